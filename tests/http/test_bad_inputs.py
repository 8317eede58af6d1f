"""Whatever is thrown at it, the portal answers precisely, keeps nothing of it and goes on working."""

import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random

import httpx
import pytest
from PIL import Image

from portal.packages import signature
from portal.recovery import records
from portal.store import apps, keys, tokens
from portal.store.audit import OPERATOR, Actor
from tests.http.bad_inputs import APP, APP_ID, VERSIONS, Row, bodies, images, packages, requests
from tests.http.raw import exchange
from tests.packages.samples import KEY
from tests.support.patience import PATIENCE
from tests.support.portal import Portal, add_developer, children, free_port, make_store, registration

ROWS = [row for module in (requests, bodies, packages, images) for row in module.rows()]
WORKER_RSS_MAX = 300 * 1024  # KiB
ROOMY = {"auth_failures_per_minute": 1_000_000, "uploads_per_hour": 1_000_000, "changes_per_hour": 1_000_000}


RECORDS = {Path(name).stem for name in (records.DEVELOPER, records.APP, records.VERSION)}


@dataclass
class Target:
    """A portal of its own, with one app whose developer may upload it."""

    portal: Portal
    tokens: dict[str, str]
    client: httpx.Client
    codes: Iterator[int]

    def kept(self) -> list[str]:
        """Everything below temp, packages and assets, apart from records, which a portal writes when it likes, and the
        directories of developers, which it makes for them.
        """
        layout = self.portal.store.layout
        roots = [layout.area(area) for area in ("temp", "packages", "assets")]
        found = (path for root in roots for path in root.rglob("*") if path.parent != layout.area("packages"))
        return sorted(str(path) for path in found if path.name.lstrip(".").partition(".json")[0] not in RECORDS)

    def worker_rss(self) -> dict[int, int]:
        """The most memory that each worker process has ever had, KiB (proc(5), VmHWM)."""
        return {worker: _peak(worker) for worker in children(self.portal.process.pid)}

    def good_upload(self) -> httpx.Response:
        package = packages.signed(KEY, version_code=next(self.codes))
        return self.client.post(VERSIONS, files={"package": package})


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    store = make_store(tmp_path_factory.mktemp("bad-inputs") / "store", port=free_port(), **ROOMY)
    issued = {
        "developer": add_developer(store, "dev"),
        "admin": add_developer(store, "admin", key=None, scope="admin"),
        "foreign": add_developer(store, "foreign", key=packages.FOREIGN_KEY),
    }
    with store.db.write() as tx:
        actor = Actor("dev", "developer", None, "test")
        apps.add(tx, actor, APP_ID, "Reader", "")
        public = signature.raw_public_key(packages.REVOKED_KEY)
        revoked = signature.key_id(public)
        keys.register(tx, OPERATOR, "dev", **registration("dev", packages.REVOKED_KEY))
        keys.revoke(tx, OPERATOR, "dev", revoked)
        for name in ("revoked", "expired"):
            token, issued[name] = tokens.issue(tx, OPERATOR, "dev", "developer", 1)
            column = {"revoked": "revoked_at", "expired": "expires_at"}[name]
            tx.execute(f"UPDATE tokens SET {column} = 1 WHERE token_id = ?", (token.token_id,))
    portal = Portal(store).start()
    with portal.client(issued["developer"]) as client:
        yield Target(portal, issued, client, itertools.count(1))
    portal.stop()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_a_bad_input_is_answered_and_leaves_nothing(row: Row, target: Target) -> None:
    before, workers = target.kept(), target.worker_rss()
    first, *rest = row.pieces
    for name, token in target.tokens.items():
        first = first.replace(f"@{name}".encode(), token.encode())
    answer = exchange(target.portal.store.settings.port, [first, *rest], hang_up=row.hang_up)
    status, code = row.answer
    assert answer.status == status, answer
    if code is None:
        assert answer.body == b""
    else:
        assert answer.content_type == "application/problem+json"
        problem = json.loads(answer.body)
        assert (problem["code"], problem["status"]) == (code, status)
        assert row.says in "\n".join([problem["detail"], *problem.get("errors", [])])
    _settled(target, before)
    assert target.good_upload().status_code == 201
    peaks = target.worker_rss()
    assert peaks.keys() == workers.keys(), "a worker died"
    assert max(peaks.values()) <= WORKER_RSS_MAX, peaks


def test_many_large_uploads_at_once_stay_within_a_worker_s_memory(target: Target) -> None:
    """Icons of 9.7 MB: a connection and a thread each. Those beyond what one developer may have at once are refused."""
    icon = BytesIO()
    Image.frombytes("RGB", (1800, 1800), Random(0).randbytes(3 * 1800**2)).save(icon, "PNG", compress_level=0)

    def put(_: int) -> int:
        headers = {"Authorization": target.client.headers["Authorization"]}
        answer = httpx.post(
            f"{target.portal.url}{APP}/icon", files={"icon": icon.getvalue()}, headers=headers, timeout=120
        )
        return answer.status_code

    with ThreadPoolExecutor(48) as together:
        assert {200} <= set(together.map(put, range(48))) <= {200, 503}
    assert max(target.worker_rss().values()) <= WORKER_RSS_MAX, target.worker_rss()


def _settled(target: Target, before: list[str]) -> None:
    """The portal may still be clearing up when its answer is there."""
    deadline = time.monotonic() + PATIENCE
    while target.kept() != before:
        assert time.monotonic() < deadline, sorted(set(target.kept()) - set(before))
        time.sleep(0.01)
