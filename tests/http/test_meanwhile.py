"""An app that is transferred or deleted, or a token that is revoked, while a request of its owner is under way.

A request checks what it may do, and writes later. Whatever happens before one of its transactions must count in it.
"""

import itertools
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.app import MODULES
from portal.http.browsers import SAFE
from portal.http.routing import DEVELOPER, MEMBER
from portal.packages import signature
from portal.store import apps, deletion, keys, previews, publishers, tokens, transfers, versions
from portal.store.audit import OPERATOR
from portal.store.claims import claim
from portal.store.database import Database
from portal.store.store import Store, open_store
from tests.packages.samples import APP_ID, KEY, make_package
from tests.support.in_process import calling
from tests.support.portal import add_developer, make_store, problem, registration
from tests.support.publishing import OWNER, add_app, change, illustrate, png, publish, upload

ISSUER = "https://ci.example.org"
NEW_KEY = Ed25519PrivateKey.generate()
APP = "/api/apps/<app_id>"
VERSION = f"{APP}/versions/<version_code:code>"
PREVIEW = f"{VERSION}/previews/<preview_id:re:[0-9a-f]{{16}}>"
PUBLISHER = f"{APP}/publishers/<number:re:[1-9][0-9]{{0,15}}>"

WRITE = Database.write

Send = Callable[[httpx.Client, Store, Path], httpx.Response]


def package(path: Path, code: int) -> dict[str, tuple[str, bytes]]:
    make_package(path, app_id=APP_ID, version_code=code)
    return {"package": ("package.mosis", path.read_bytes())}


def rotation() -> dict[str, str | int]:
    old, new = (signature.key_id(signature.raw_public_key(key)) for key in (KEY, NEW_KEY))
    statement = signature.rotation_statement(APP_ID, old, new, 50)
    signatures = {"old_signature": signature.sign(KEY, statement), "new_signature": signature.sign(NEW_KEY, statement)}
    return {"new_key_id": new, "from_version_code": 50, **signatures}


def preview_id(store: Store) -> str:
    return previews.of_version(store.db.read(), versions.get(store.db.read(), APP_ID, 3))[0].preview_id


IN = f"/api/apps/{APP_ID}"
OF_AN_APP: dict[tuple[str, str], Send] = {
    ("POST", f"{APP}/versions"): lambda client, _, path: client.post(f"{IN}/versions", files=package(path, 9)),
    ("DELETE", VERSION): lambda client, *_: client.request("DELETE", f"{IN}/versions/3", json={}),
    ("POST", f"{VERSION}/submit"): lambda client, *_: client.post(f"{IN}/versions/3/submit"),
    ("POST", f"{VERSION}/withdraw"): lambda client, *_: client.post(f"{IN}/versions/4/withdraw"),
    ("POST", f"{VERSION}/yank"): lambda client, *_: client.post(f"{IN}/versions/2/yank", json={"reason": "So."}),
    ("POST", f"{VERSION}/unyank"): lambda client, *_: client.post(f"{IN}/versions/1/unyank"),
    ("POST", f"{VERSION}/previews"): lambda client, *_: client.post(f"{IN}/versions/3/previews", json={"days": 1}),
    ("DELETE", PREVIEW): lambda client, store, _: client.delete(f"{IN}/versions/3/previews/{preview_id(store)}"),
    ("POST", f"{VERSION}/download-url"): lambda client, *_: client.post(f"{IN}/versions/3/download-url"),
    ("POST", f"{APP}/publishers"): lambda client, *_: client.post(
        f"{IN}/publishers", json={"issuer": ISSUER, "repository_id": "8"}
    ),
    ("DELETE", PUBLISHER): lambda client, *_: client.delete(f"{IN}/publishers/1"),
    ("POST", f"{APP}/key-rotations"): lambda client, *_: client.post(f"{IN}/key-rotations", json=rotation()),
    ("POST", f"{APP}/uploads"): lambda client, *_: client.post(f"{IN}/uploads", json={"size": 10}),
    ("POST", f"{APP}/icon"): lambda client, *_: client.post(f"{IN}/icon", files={"icon": png(64, 64)}),
    ("POST", f"{APP}/screenshots"): lambda client, *_: client.post(
        f"{IN}/screenshots", files={"screenshot": png(1280, 720)}
    ),
    ("PUT", f"{APP}/screenshots"): lambda client, *_: client.put(f"{IN}/screenshots", json={"order": [2, 1]}),
    ("POST", f"{APP}/screenshots/<number:re:[1-5]>"): lambda client, *_: client.post(
        f"{IN}/screenshots/1", files={"screenshot": png(720, 1280)}
    ),
    ("DELETE", f"{APP}/screenshots/<number:re:[1-5]>"): lambda client, *_: client.delete(f"{IN}/screenshots/1"),
}  # fmt: skip
ELSEWHERE = {
    ("PATCH", APP): "reads in its transaction; this app has its name from a manifest",
    ("DELETE", f"{APP}/key-recoveries/<number:code>"): "reads in its transaction, as the others of app_keys",
    ("DELETE", f"{APP}/images"): "a test in tests/store/test_proposals.py: it needs images that wait",
}
LASTING: dict[tuple[str, str], Send] = {
    ("POST", "/api/me/tokens"): lambda client, *_: client.post("/api/me/tokens", json={"app_id": APP_ID, "days": 1}),
    ("PUT", "/api/me/webhook"): lambda client, *_: client.put("/api/me/webhook", json={"url": "https://example.org"}),
    ("POST", "/api/developers/<developer_id>/keys"): lambda client, *_: client.post(
        "/api/developers/acme/keys", json=registration("acme", Ed25519PrivateKey.generate())
    ),
    **{
        (method, rule): send
        for (method, rule), send in OF_AN_APP.items()
        if method == "POST" and rule.endswith(("previews", "publishers", "download-url"))
    },
}
"""What outlasts the token that creates it."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, str]]:
    """A store with an app that has a version in each status, images, a preview link and a publisher; its token."""
    issuer = {"issuer": ISSUER, "jwks_url": f"{ISSUER}/jwks"}
    root = tmp_path_factory.mktemp("meanwhile") / "store"
    store = make_store(root, issuers=[issuer], webhooks="any", public_url="https://store.example.org")
    token = add_developer(store, "acme")
    add_developer(store, "other", key=None, scope="reviewer")
    add_app(store, APP_ID)
    publish(store, APP_ID, 1)
    with store.db.write() as tx:
        versions.change(tx, OWNER, apps.get(tx, APP_ID), 1, "yank", "So.")
    publish(store, APP_ID, 2)
    for code in (3, 4):
        upload(store, APP_ID, code)
    change(store, APP_ID, 4, "submit")
    illustrate(store, APP_ID)
    with store.db.write() as tx:
        keys.register(tx, OPERATOR, "acme", **registration("acme", NEW_KEY))
        previews.add(tx, OWNER, versions.get(tx, APP_ID, 3), 1)
        publishers.add(tx, store.settings, OWNER, APP_ID, ISSUER, "7", "", "")
    with closing(store.db):
        yield store, token


def transferred(store: Store) -> None:
    transfers.transfer(store, OPERATOR, APP_ID, "other", "Sold.")


def deleted(store: Store) -> None:
    deletion.delete_app(store, OPERATOR, APP_ID, "By order of a court.")


def revoked(store: Store) -> None:
    with store.db.write() as tx:
        [token, *_] = tokens.every(tx, "acme")
        tokens.revoke(tx, OPERATOR, "acme", token.token_id)


@dataclass
class Before:
    """Something happens just before the request's transaction of this number, if another request could do it then."""

    number: int
    act: Callable[[Store], None]
    store: Store
    has_happened: bool = False
    transactions: int = 0

    def count(self) -> None:
        self.transactions += 1
        if self.transactions == self.number:
            with claim(self.store.layout.claims, f"packages of {APP_ID}") as is_free:
                pass
            if is_free:
                self.act(self.store)
                self.has_happened = True

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def write(database: Database, **options: bool) -> AbstractContextManager[sqlite3.Connection]:
            if database is not self.store.db:
                self.count()
            return WRITE(database, **options)

        monkeypatch.setattr(Database, "write", write)


def answers(
    prepared: tuple[Store, str], directory: Path, send: Send, act: Callable[[Store], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[httpx.Response]:  # fmt: skip
    """The answers to the request if `act` comes before its first transaction, its second, and so on."""
    original, token = prepared
    for number in itertools.count(1):
        root = directory / str(number)
        shutil.copytree(original.layout.root, root)
        store = open_store(original.settings.model_copy(update={"root": root}))
        before = Before(number, act, store)
        before.patch(monkeypatch)
        with closing(store.db), calling(store, token) as client:
            answer = send(client, store, directory / "package.mosis")
        monkeypatch.undo()
        if number > before.transactions:
            assert answer.is_success, answer.text
            return
        if before.has_happened:
            yield answer


def test_every_change_of_an_app_is_tried_here() -> None:
    operations = [route.operation for module in MODULES for route in module.routes]
    found = {
        (one.method, one.rule)
        for one in operations
        if "<app_id>" in one.rule and one.method not in SAFE and one.access in (DEVELOPER, MEMBER)
    }
    assert found == OF_AN_APP.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("act", [transferred, deleted])
@pytest.mark.parametrize("send", OF_AN_APP.values(), ids=map(" ".join, OF_AN_APP))
def test_the_owner_of_before_changes_nothing(
    prepared: tuple[Store, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, send: Send,
    act: Callable[[Store], None],
) -> None:  # fmt: skip
    for answer in answers(prepared, tmp_path, send, act, monkeypatch):
        assert answer.is_client_error, answer.text


@pytest.mark.parametrize("send", LASTING.values(), ids=map(" ".join, LASTING))
def test_a_token_that_was_revoked_leaves_nothing_behind(
    prepared: tuple[Store, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, send: Send
) -> None:
    for answer in answers(prepared, tmp_path, send, revoked, monkeypatch):
        problem(answer, 401, "UNAUTHENTICATED")
