"""Whatever writes something can be repeated only so often: by developer, by address, and in all."""

import logging
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from portal.app import MODULES, PAGES
from portal.http.browsers import SAFE
from portal.store import audit, keys, rate_limit, signed_uploads, tokens
from portal.store.apps import App
from portal.store.clock import now
from portal.store.rate_limit import Rate
from portal.store.store import Store
from tests.packages.samples import APP_ID
from tests.support.in_process import calling
from tests.support.portal import add_developer, make_store, problem
from tests.support.publishing import OWNER, add_app

WITHOUT_A_TOKEN = {
    "/csp-report": "limited by address and in all",
    "/sign-in": "wrong tokens are limited by address, right ones each by itself",
    "/sign-in/passkey": "the same with passkeys",
    "/api/oidc/token": "wrong ones are limited by address, right ones by app, and each is accepted once",
    "/api/store/updates": "writes nothing",
    "/api/uploads/<upload_id:re:[0-9a-f]{32}>": "each needs a signed URL: chunks are limited by developer",
}
"""Routes that change something, or seem to, which strangers can reach, and what bounds them."""


def rows(store: Store) -> int:
    return audit.head(store.db.read()).seq


def limited(answer: httpx.Response) -> None:
    assert "changes of this developer" in problem(answer, 429, "RATE_LIMITED")["detail"]
    assert int(answer.headers["retry-after"]) > 0


def test_changes_are_limited_for_each_developer(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", changes_per_hour=3, webhooks="public")
    first, second = (add_developer(store, name, key=None) for name in ("first", "second"))
    with closing(store.db), calling(store, first) as client:
        for number in range(3):
            made = client.post("/api/apps", json={"app_id": f"org.example.app{number}", "name": "App"})
            assert made.status_code == 201
        written = rows(store)
        limited(client.post("/api/apps", json={"app_id": "org.example.app3", "name": "App"}))
        limited(client.patch("/api/apps/org.example.app0", json={"name": "Another"}))
        limited(client.post("/api/me/tokens", json={"app_id": "org.example.app0", "days": 1}))
        limited(client.put("/api/me/webhook", json={"url": "https://hooks.example.org"}))
        assert rows(store) == written
        assert client.get("/api/apps").status_code == 200
        with calling(store, second) as other:
            assert other.post("/api/apps", json={"app_id": "org.example.else", "name": "App"}).status_code == 201


ENDING = {
    ("DELETE", "/api/developers/<developer_id>"),
    ("DELETE", "/api/developers/<developer_id>/tokens/<token_id:re:[0-9a-f]{16}>"),
    ("DELETE", "/api/developers/<developer_id>/keys/<key_id:re:[0-9a-f]{32}>"),
    ("DELETE", "/api/me/tokens/<token_id:re:[0-9a-f]{16}>"),
    ("DELETE", "/api/me/webhook"),
    ("DELETE", "/api/apps/<app_id>/versions/<version_code:code>/previews/<preview_id:re:[0-9a-f]{16}>"),
    ("DELETE", "/api/apps/<app_id>/publishers/<number:re:[1-9][0-9]{0,15}>"),
    ("POST", "/console/tokens/<token_id:re:[0-9a-f]{16}>/revoke"),
    ("POST", "/console/keys/<key_id:re:[0-9a-f]{32}>/revoke"),
    ("POST", "/console/apps/<app_id>/versions/<version_code:code>/previews/<preview_id:re:[0-9a-f]{16}>/revoke"),
    ("POST", "/review/<app_id>/<version_code:code>/previews/<preview_id:re:[0-9a-f]{16}>/revoke"),
    ("POST", "/sign-out"),
}
"""What ends access: each writes something once, and nothing when there is nothing to end."""


def test_what_ends_access_is_never_limited(tmp_path: Path) -> None:
    """A thief with a token of one app must not keep its owner from revoking it, nor from signing in to do so."""
    store = make_store(tmp_path / "store", changes_per_hour=3)
    owner = add_developer(store, "acme")
    [key] = keys.of_developer(store.db.read(), "acme")
    with closing(store.db), calling(store, owner) as client:
        client.post("/api/apps", json={"app_id": APP_ID, "name": "App"}).raise_for_status()
        bound = client.post("/api/me/tokens", json={"app_id": APP_ID, "days": 1}).json()
        with calling(store, bound["token"]) as thief:
            thief.patch(f"/api/apps/{APP_ID}", json={"name": "Mine"}).raise_for_status()
            limited(thief.patch(f"/api/apps/{APP_ID}", json={"name": "Mine too"}))
            page = thief.post("/sign-in", data={"token": bound["token"]}, headers={"Origin": "http://portal"})
            assert (page.status_code, "set-cookie" in page.headers) == (429, False)
        files = {path.name for path in store.layout.area("data").glob("*.limit")}
        page = client.post("/sign-in", data={"token": owner}, headers={"Origin": "http://portal"})
        assert (page.status_code, "set-cookie" in page.headers) == (303, True)
        assert {path.name for path in store.layout.area("data").glob("*.limit")} == files, "a full disk takes none more"
        assert client.delete(f"/api/me/tokens/{bound['token_id']}").status_code == 204
        assert client.request("DELETE", f"/api/developers/acme/keys/{key.key_id}", json={}).status_code == 204
        assert client.post("/sign-out", headers={"Origin": "http://portal"}).status_code == 303
        written = rows(store)
        for _ in range(2):
            assert client.post("/sign-out", headers={"Origin": "http://portal"}).status_code == 303
            assert client.delete("/api/me/webhook").status_code == 204
        assert rows(store) == written
        for _ in range(2):
            client.post("/sign-in", data={"token": owner}, headers={"Origin": "http://portal"})
        page = client.post("/sign-in", data={"token": owner}, headers={"Origin": "http://portal"})
        assert page.status_code == 429
        assert client.delete(f"/api/me/tokens/{owner.split('_')[1]}").status_code == 204


def test_which_routes_end_access() -> None:
    operations = [route.operation for module in (*MODULES, *PAGES) for route in module.routes]
    assert {(one.method, one.rule) for one in operations if one.ends_access} == ENDING
    revoking = {one.rule for one in operations if "revoke" in one.summary.lower() and one.method not in SAFE}
    assert revoking <= {rule for _, rule in ENDING}


def test_what_changes_something_without_a_token_is_bounded_otherwise() -> None:
    found = {
        route.operation.rule
        for module in (*MODULES, *PAGES)
        for route in module.routes
        if route.operation.method not in SAFE and not route.operation.access.scopes
    }
    assert found == set(WITHOUT_A_TOKEN)


def test_revoking_what_is_revoked_writes_nothing(store: Store) -> None:
    token = tokens.authenticate(store.db.read(), add_developer(store, "acme"))
    [key] = keys.of_developer(store.db.read(), "acme")
    assert token is not None
    for _ in range(2):
        with store.db.write() as tx:
            tokens.revoke(tx, OWNER, "acme", token.token_id)
            keys.revoke(tx, OWNER, "acme", key.key_id)
        assert [entry.action for entry in audit.entries(store.db.read())][-2:] == ["token.revoke", "key.revoke"]
    assert sum(entry.action == "token.revoke" for entry in audit.entries(store.db.read())) == 1


def test_reports_of_all_browsers_together_are_limited(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(rate_limit.RATES, "all-csp-reports", Rate("reports", 5, 3600))
    with caplog.at_level(logging.WARNING):
        for number in range(9):
            with calling(store, address=f"198.51.100.{number}") as browser:
                assert browser.post("/csp-report", json={"csp-report": {}}).status_code == 204
    assert sum("a browser reports" in line for line in caplog.messages) == 5


@pytest.fixture
def transfer(store: Store) -> signed_uploads.Transfer:
    add_developer(store, "acme")
    add_app(store, APP_ID)
    return signed_uploads.issue(store, App(APP_ID, "acme", "", "", None, 0, now()), 10, None)


def test_an_empty_chunk_writes_nothing(store: Store, transfer: signed_uploads.Transfer) -> None:
    statements: list[str] = []
    store.db.read().set_trace_callback(statements.append)
    with signed_uploads.held(store, transfer.upload_id) as upload:
        upload.append(iter([b""]))
        upload.append(iter([]))
    assert not any(statement.startswith(("BEGIN", "UPDATE")) for statement in statements)


def test_chunks_are_limited(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rate_limit.RATES, "chunks", Rate("chunks of this developer's uploads", 3, 3600))
    with calling(store, add_developer(store, "dev", key=None)) as client:
        client.post("/api/apps", json={"app_id": "org.example.dev", "name": "App"}).raise_for_status()
        url = client.post("/api/apps/org.example.dev/uploads", json={"size": 10}).json()["url"]
        kind = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
        for at in range(3):
            sent = client.patch(url, content=b"x", headers=kind | {"Upload-Offset": str(at)})
            assert sent.status_code == 204
        again = client.patch(url, content=b"x", headers=kind | {"Upload-Offset": "3"})
        for refused in (again, client.put(url, content=bytes(10))):
            assert "chunks" in problem(refused, 429, "RATE_LIMITED")["detail"]
        asked = client.head(url, headers={"Tus-Resumable": "1.0.0"})  # it flushes the database
        assert asked.status_code == 429
