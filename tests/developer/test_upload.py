"""An upload continues where it broke off, whatever broke it off."""

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from portal.developer.answers import Document
from portal.developer.client import Answer, Client
from portal.developer.credentials import Account
from portal.developer.errors import Problem, Unreachable
from portal.developer.patience import Patience
from portal.developer.upload import CHUNK, Source, Upload
from portal.store import presign
from portal.store.clock import now
from tests.packages.samples import KEY, make_package
from tests.support.cutting import CuttingProxy
from tests.support.nginx import NGINX, nginx_before
from tests.support.portal import Portal, add_developer, free_port, make_store

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
MIB = 1024 * 1024
APP = "org.example.upload"


class Store:
    """A store of its own behind nginx, which a test may kill."""

    def __init__(self, portal: Portal, url: str, token: str) -> None:
        self.portal, self.url, self.token = portal, url, token
        self.port = urlsplit(url).port or 0

    def wake(self, seconds: float) -> None:
        """What a client does instead of sleeping: a portal that was killed is back then."""
        if self.portal.process is None:
            self.portal.start()


class Slept(Client):
    """The first URL has expired once the store has `after` bytes, as on a laptop that was closed meanwhile."""

    after, portal, renewed, sent = 0, None, False, 0

    def post(self, path, kind, body=None, *, once=False):
        self.renewed |= path.endswith("/url")
        return super().post(path, kind, body, once=once)

    def request(self, method, path, body=None, headers=None, *, signed=False) -> Answer:
        if signed:
            if not self.renewed and int((headers or {}).get("Upload-Offset", 0)) >= self.after:
                path = expired(self.portal, path)
            self.sent += int((headers or {}).get("Content-Length", 0))
        return super().request(method, path, body, headers, signed=signed)


def expired(portal: Portal, path: str) -> str:
    """The same URL, whose time is over."""
    parts = urlsplit(path)
    given = {name: values[0] for name, values in parse_qs(parts.query).items()}
    grant = presign.Grant("PUT", parts.path, int(given["size"]), given["sha256"], now() - 1, parts.path.split("/")[-1])
    return f"{parts.path}?{urlencode(presign.sign(presign.load(portal.store.layout.presign_keys), grant))}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = make_store(tmp_path_factory.mktemp("upload") / "store", port=free_port(), accel=True, proxied=True)
    with Portal(made) as portal, nginx_before(portal) as url:
        token = add_developer(made, "dev", KEY)
        Client(Account(url, token)).post("/api/apps", Document, {"app_id": APP, "name": "Upload"})
        yield Store(portal, url, token)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def package(directory: Path, version_code: int, payload_bytes: int) -> Source:
    path = directory / f"{version_code}.mosis"
    make_package(path, app_id=APP, version_code=version_code, key=KEY, payload_bytes=payload_bytes)
    content = path.read_bytes()
    return Source(BytesIO(content), len(content), hashlib.sha256(content).hexdigest())


def test_50_mb_through_ten_cuts_a_killed_portal_and_an_expired_url(store: Store, tmp_path: Path) -> None:
    source = package(tmp_path, 1, 50_000_000)
    killed = []

    def progress(position: int, total: int) -> None:
        if position > 40 * MIB and not killed:
            killed.append(position)
            store.portal.stop(signal.SIGKILL)

    with CuttingProxy(store.port, cuts=10, after=3 * MIB) as network:
        client = Slept(Account(network.url, store.token))
        client.after, client.portal = 24 * MIB, store.portal
        version = Upload(client, APP, source, Patience(sleep=store.wake), progress).send()
        carried, cuts_left = network.carried, network.cuts_left
    assert killed and cuts_left == 0 and client.renewed
    assert (version.status, version.sha256, version.size) == ("draft", source.sha256, source.size)
    assert carried < source.size + 11 * CHUNK, "more was sent again than what the cuts lost"


def test_a_connection_that_is_lost_while_the_url_is_renewed_ends_nothing(store: Store, tmp_path: Path) -> None:
    class Lost(Slept):
        lost = False

        def post(self, path, kind, body=None, *, once=False):
            if path.endswith("/url") and not self.lost:
                self.lost = True
                raise Unreachable("The connection was reset.")
            return super().post(path, kind, body, once=once)

    source, client = package(tmp_path, 7, 2 * CHUNK), Lost(Account(store.url, store.token))
    client.after, client.portal = CHUNK, store.portal
    version = Upload(client, APP, source, Patience(sleep=store.wake), lambda *_: None).send()
    assert client.lost and client.renewed and version.status == "draft"


def test_the_next_command_continues_an_upload_that_was_interrupted(store: Store, tmp_path: Path) -> None:
    source = package(tmp_path, 2, 3 * CHUNK)

    def interrupted(position: int, total: int) -> None:
        if position > 2 * CHUNK:
            raise KeyboardInterrupt

    account = Account(store.url, store.token)
    with pytest.raises(KeyboardInterrupt):
        Upload(Client(account), APP, source, Patience(sleep=store.wake), interrupted).send()
    seen: list[int] = []
    version = Upload(
        Client(account), APP, source, Patience(sleep=store.wake), lambda position, total: seen.append(position)
    ).send()
    assert seen[0] >= CHUNK and version.sha256 == source.sha256
    assert not list((tmp_path / "cache").rglob("*.json"))


def test_an_upload_that_the_store_gave_up_meanwhile_starts_anew(store: Store, tmp_path: Path) -> None:
    source = package(tmp_path, 3, 2 * CHUNK)
    client = Client(Account(store.url, store.token))
    ended: list[str] = []

    def progress(position: int, total: int) -> None:
        if position == CHUNK and not ended:  # the first piece is sent
            [note] = (tmp_path / "cache").rglob("*.json")
            upload_id = json.loads(note.read_text())["upload_id"]
            ended.append(upload_id)
            with store.portal.store.db.write() as tx:
                tx.execute("DELETE FROM uploads WHERE upload_id = ?", (upload_id,))
                tx.execute("DELETE FROM versions WHERE version_id = ?", (upload_id,))

    assert Upload(client, APP, source, Patience(sleep=store.wake), progress).send().sha256 == source.sha256
    assert ended


def test_a_package_that_fails_validation_is_not_uploaded_twice(store: Store, tmp_path: Path) -> None:
    taken = Client(Account(store.url, store.token))
    Upload(taken, APP, package(tmp_path, 4, 2000), Patience(sleep=store.wake), lambda position, total: None).send()
    source = package(tmp_path, 4, 1000)  # a code that is in use
    client = Slept(Account(store.url, store.token))
    client.after = source.size + 1
    for tries in (1, 2):
        with pytest.raises(Problem) as refused:
            Upload(client, APP, source, Patience(sleep=store.wake), lambda position, total: None).send()
        assert refused.value.code == "VERSION_EXISTS"
        assert client.sent == tries * source.size


def test_patience_ends_with_what_was_wrong(tmp_path: Path) -> None:
    client = Client(Account("http://127.0.0.1:1", f"mosis_{'0' * 16}_{'a' * 43}"))
    source = Source(BytesIO(os.urandom(10)), 10, "0" * 64)
    waited: list[float] = []
    told: list[str] = []
    with pytest.raises(Unreachable, match=r"http://127.0.0.1:1 cannot be reached: connection refused\."):
        Upload(client, APP, source, Patience(30, told.append, waited.append), lambda position, total: None).send()
    assert sum(waited) <= 30 and waited == sorted(waited)
    assert told and all(text.endswith(" s.") for text in told)
