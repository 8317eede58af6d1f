"""Reports of browsers: a line in the log, and no more than a few."""

import json
import logging
from pathlib import Path

import httpx
import pytest

from portal.store.store import Store
from tests.support.in_process import calling
from tests.support.portal import Portal, free_port, make_store

REPORT = {"effective-directive": "img-src", "blocked-uri": "https://evil.example/\n[INFO] forged", "document-uri": "/x"}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> object:
    with Portal(make_store(tmp_path_factory.mktemp("csp") / "store", port=free_port(), workers=1)) as running:
        yield running


def log(portal: Portal) -> str:
    return (Path(portal.store.layout.root) / "portal.log").read_text()


def test_reports_are_logged_one_line_each_and_only_a_few(alone: Portal) -> None:
    for _ in range(50):
        assert httpx.post(f"{alone.url}/csp-report", content=json.dumps({"csp-report": REPORT})).status_code == 204
    lines = [line for line in log(alone).splitlines() if "a browser reports" in line]
    assert 1 <= len(lines) < 20
    assert "evil.example/\\n[INFO] forged" in lines[0]
    assert not any(line.startswith("[INFO] forged") for line in log(alone).splitlines())


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"{}", b'{"csp-report": 7}', b"[" * 8000, b"\xff", b"x" * 90_000])
def test_what_is_no_report_is_ignored(alone: Portal, body: bytes) -> None:
    assert httpx.post(f"{alone.url}/csp-report", content=body).status_code == 204
    assert "Traceback" not in log(alone)


@pytest.mark.parametrize("length", [0, 100, 140, 170])
def test_no_part_of_a_preview_link_is_logged(store: Store, length: int, caplog: pytest.LogCaptureFixture) -> None:
    """The address of a page is in each report, and is cut."""
    secret = "s3" * 21 + "x"
    report = {"document-uri": f"https://{'a' * length}.test/preview/mosis_{'0' * 16}_{secret}/assets/icon"}
    with calling(store) as browser, caplog.at_level(logging.WARNING):
        assert browser.post("/csp-report", json={"csp-report": report}).status_code == 204
    [line] = [line for line in caplog.messages if "a browser reports" in line]
    assert "s3s3" not in line
