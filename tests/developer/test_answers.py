"""Answers of another shape than a store's: every command ends with a sentence, whatever it was sent."""

import contextlib
import copy
import io
import json
import os
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal import cli
from portal.developer.answers import Me, Placed, read
from portal.faults import Fault
from tests.developer.test_client import TOKEN, serving

APP = "org.acme.hello"
VERSION = {
    "app_id": APP, "version_code": 1, "version": "1.0.0", "status": "draft", "status_at": "2026-01-01T00:00:00Z",
    "size": 10, "sha256": "0" * 64, "reasons": ["It does not start."], "developer_id": "acme",
}  # fmt: skip
ME = {"developer_id": "acme", "scope": "admin", "expires_at": "2027-01-01T00:00:00Z", "app_id": None}
KEYS = {"keys": [{"key_id": "0" * 32, "revoked_at": None}]}
APPS = {
    "apps": [
        {"app_id": APP, "name": "Hello", "published_code": None, "signing": {"keys": [], "pending_recovery": None}}
    ]
}
UPLOAD = {"upload_id": "u1", "url": "/upload/u1?x=y"}
ANSWERS: dict[str, object] = {
    "/api/me": ME, "/api/apps": APPS, f"/api/apps/{APP}/versions": {"versions": [VERSION]},
    "/api/review": {"versions": [VERSION]}, "/api/developers/acme/keys": KEYS,
    "/api/uploads/u1/complete": VERSION, f"/api/apps/{APP}/uploads": UPLOAD,
    "/api/uploads/u1/url": UPLOAD,
}  # fmt: skip
COMMANDS = (
    ("apps",), ("apps", "--json"), ("versions", APP), ("review", "show", APP), ("review", "list"), ("key", "list"),
    ("review", "approve", APP, "1"), ("yank", APP, "1", "--reason", "x"), ("push", "app"),
    ("push", "app", "--dry-run", "--json"), ("push", "app", "--submit"),
)  # fmt: skip
EVIL = st.sampled_from(["\x1b[2J", "a\nb", "../../x", "\u202e", "\ud800", "http://[", "/x y", "", "ä" * 5000])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | EVIL
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner), max_leaves=5
)
PROBLEM = {"type": "about:blank", "title": "No", "code": "WRONG_STATE", "detail": "No.", "errors": ["name: No."]}


def places(document: object, at: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """The path to every value in a document."""
    yield at
    members = (
        document.items() if isinstance(document, dict) else enumerate(document if isinstance(document, list) else ())
    )
    for key, value in members:
        yield from places(value, (*at, key))


@st.composite
def spoilt(draw: st.DrawFn, document: object) -> object:
    """The document with one value exchanged, or a member left out."""
    document = copy.deepcopy(document)
    *above, last = draw(st.sampled_from(list(places(document)))) or (None,)
    if last is None:
        return draw(VALUES)
    inner = document
    for key in above:
        inner = inner[key]
    if isinstance(inner, dict) and draw(st.booleans()):
        del inner[last]
    else:
        inner[last] = draw(VALUES)
    return document


@pytest.fixture(scope="module")
def developer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("home")
    environment = {k: v for k, v in os.environ.items() if not k.upper().endswith("_PROXY")} | {
        "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home), "MOSIS_TOKEN": TOKEN,
    }  # fmt: skip
    with contextlib.chdir(home), mock.patch.dict(os.environ, environment, clear=True):
        (home / "app").mkdir()
        (home / "app" / "a.txt").write_text("a")
        assert ran("init", "app", "--id", APP)[0] == 0
        assert ran("key", "generate", "--offline")[0] == 0
        yield home


def ran(*words: str) -> tuple[int, str]:
    """Exit status and output of a command, in this process."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    with mock.patch.object(sys, "argv", ["mosis", *words]), contextlib.redirect_stdout(out):
        with contextlib.redirect_stderr(out), pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), out.buffer.getvalue().decode()


class Store:
    """A store whose answer to one path is another one."""

    def __init__(self) -> None:
        self.path, self.answer, self.status, self.headers = "", b"", 200, {}

    def __call__(self, request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        path = request.path.partition("?")[0]
        if path == self.path:
            return self.status, self.headers, self.answer
        if request.command in ("OPTIONS", "HEAD", "PATCH"):
            return 204, {"Tus-Max-Size": "1000000", "Upload-Offset": "100000"}, b""
        answer = ANSWERS.get(path, VERSION)
        return (404, {}, json.dumps({**PROBLEM, "code": "NOT_FOUND"}).encode()) if "store" in path else (
            200, {"Content-Type": "application/json"}, json.dumps(answer).encode()
        )  # fmt: skip


@pytest.fixture(scope="module")
def store(developer: Path) -> Iterator[tuple[str, Store]]:
    answering = Store()
    with serving(answering) as (url, _), mock.patch.dict(os.environ, {"MOSIS_URL": url}):
        yield url, answering


def require_sentence(status: int, said: str) -> None:
    assert status in (0, 1, 3, 4, 5), said
    assert "Traceback" not in said
    assert not [c for c in said if c not in "\n\t" and not c.isprintable()]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_answer_of_any_shape_ends_in_a_sentence(store: tuple[str, Store], data: st.DataObject) -> None:
    _, answering = store
    answering.path = data.draw(st.sampled_from([*ANSWERS, f"/api/apps/{APP}/versions/1/submit"]))
    genuine = ANSWERS.get(answering.path, VERSION)
    answering.status = data.draw(st.sampled_from([200, 200, 200, 201, 400, 404, 409, 422]))
    wanted = genuine if answering.status < 300 else PROBLEM
    body = data.draw(spoilt(wanted).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=20))
    answering.answer, answering.headers = body, {"Content-Type": "application/json"}
    require_sentence(*ran(*data.draw(st.sampled_from(COMMANDS))))


@pytest.mark.parametrize("offset", ["", "x", "-1", "9" * 30, "0", "99999999999"])
def test_an_offset_that_is_none_ends_the_upload(store: tuple[str, Store], offset: str) -> None:
    _, answering = store
    answering.path, answering.status, answering.headers = "/upload/u1", 204, {"Upload-Offset": offset}
    answering.answer = b""
    status, said = ran("push", "app")
    require_sentence(status, said)
    assert (status, "is no store" in said or "is not what a store sends" in said) == (1, True) or "9999" in offset


def test_a_captive_portal_is_named(store: tuple[str, Store]) -> None:
    url, answering = store
    answering.path, answering.status, answering.answer = "/api/apps", 200, b"<html>Welcome to the hotel"
    answering.headers = {"Content-Type": "text/html\x1b[2J"}
    assert ran("apps") == (1, f"{url} is no store: it answered 200 with text/html\\u001b[2J.\n")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Fault, match=r"The answer to GET x is not what a store sends \(scope: field required\)"):
        read(Me, {"developer_id": "acme", "expires_at": ""}, "GET x")
    with pytest.raises(Fault, match=r"\(the whole: "):
        read(Placed, [], "GET x")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_store_as_it_should_be_is_understood(store: tuple[str, Store], words: tuple[str, ...]) -> None:
    store[1].path = ""
    status, said = ran(*words)
    assert status == 0, said
