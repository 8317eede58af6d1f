"""Refused log-ins and actions are in the audit log, in a number that nobody can raise."""

import sqlite3

import httpx
import pytest

from portal.http.authentication import Authentication
from portal.store import audit, refusals, sessions, tokens
from portal.store.audit import OPERATOR
from portal.store.rate_limit import RATES
from portal.store.store import Store
from tests.packages.samples import APP_ID
from tests.support.in_process import calling
from tests.support.portal import add_developer, problem
from tests.support.publishing import add_app

WRONG = f"mosis_{'0' * 16}_{'x' * 43}"


def logged(store: Store, action: str) -> list[audit.Entry]:
    return list(audit.filtered(store.db.read(), action=action))


def test_a_wrong_token_is_in_the_log_by_its_id_alone(store: Store) -> None:
    with calling(store, WRONG) as client:
        problem(client.get("/api/me"), 401, "UNAUTHENTICATED")
        client.headers.pop("Authorization")
        problem(client.get("/api/me"), 401, "UNAUTHENTICATED")  # nobody tried to be anybody
        assert client.post("/sign-in", data={"token": "guess", "next": ""}, headers=OURS).status_code == 401
    first, second = logged(store, refusals.LOG_IN)
    assert (first.actor, first.address, first.subject) == ("-", "192.0.2.1", "0" * 16)
    assert (second.subject, second.detail) == ("token", '{"kind":"token"}')
    assert "guess" not in str(second) and "x" * 43 not in str(first)


OURS = {"Origin": "http://portal", "Host": "portal"}


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [("/api/oidc/token", {"app_id": APP_ID, "token": "a.b.c"}, "ID token"), ("/sign-in/passkey", None, "passkey")],
)
def test_every_way_in_is_logged(store: Store, path: str, body: dict[str, str] | None, kind: str) -> None:
    credential = {"credential": {"id": "AA", "rawId": "AA", "type": "public-key", "response": {}}}
    with calling(store) as client:
        client.base_url = httpx.URL("http://localhost")
        answer = client.post(path, json=body or credential, headers={"Origin": "http://localhost"})
    assert answer.is_client_error
    [entry] = logged(store, refusals.LOG_IN)
    assert f'"kind":"{kind}"' in entry.detail


def test_what_somebody_may_not_do_is_logged_with_the_token(store: Store) -> None:
    add_developer(store, "acme")
    add_app(store, APP_ID)
    thief = add_developer(store, "thief", key=None)
    with calling(store, thief) as client:
        problem(client.post("/api/developers", json={"developer_id": "x", "name": "X"}), 403, "FORBIDDEN")
        problem(client.post(f"/api/apps/{APP_ID}/versions/1/yank", json={"reason": "So."}), 404, "NOT_FOUND")
        problem(client.get("/api/apps/org.example.nowhere"), 404, "NOT_FOUND")  # which is no attempt at anything
    scope, foreign = logged(store, refusals.ACTION)
    token_id = tokens.PATTERN.fullmatch(thief)[1]
    assert [(entry.actor, entry.subject, entry.token_id) for entry in (scope, foreign)] == [
        ("thief", token_id, token_id)
    ] * 2
    assert '"code":"FORBIDDEN","request":"POST /api/developers"' in scope.detail
    assert f'"app_id":"{APP_ID}","code":"NOT_FOUND"' in foreign.detail


def test_a_session_is_known_too(store: Store) -> None:
    add_developer(store, "acme")
    with store.db.write() as tx:
        token, _ = tokens.issue(tx, OPERATOR, "acme", "developer", 1)
        secret = sessions.start(tx, OPERATOR, token)
    with calling(store) as client:
        client.cookies.set("mosis-session", secret)
        assert client.get("/review").status_code == 403
    assert [entry.subject for entry in logged(store, refusals.ACTION)] == [token.token_id]


def test_an_attack_fills_no_disk(store: Store) -> None:
    """One address has its share, and all of them together theirs; actions of people are counted apart."""
    for host in range(5):
        with calling(store, WRONG, f"192.0.2.{host}") as client:
            for _ in range(12):
                assert client.get("/api/me").status_code == 401
    entries = logged(store, refusals.LOG_IN)
    assert len([entry for entry in entries if entry.address == "192.0.2.0"]) == RATES["refusals"].count
    assert len([entry for entry in entries if entry.address]) == RATES["all-refusals"].count
    with calling(store, add_developer(store, "thief", key=None)) as client:
        client.post("/api/developers", json={"developer_id": "x", "name": "X"})
    assert len(logged(store, refusals.ACTION)) == 1


def test_rows_that_are_left_out_are_no_secret(store: Store) -> None:
    """Whoever uses up the rows of an hour hides what others try, but not that somebody tries."""
    for host in range(4):
        with calling(store, WRONG, f"192.0.2.{host}") as client:
            for _ in range(12):
                client.get("/api/me")
    [entry] = [entry for entry in logged(store, refusals.LOG_IN) if entry.subject == refusals.LEFT_OUT]
    assert (entry.actor, entry.address) == ("-", "")


def test_a_log_that_cannot_be_written_changes_no_answer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with calling(store, WRONG) as client, monkeypatch.context() as broken:
        broken.setattr(audit, "append", full)
        problem(client.get("/api/me"), 401, "UNAUTHENTICATED")


def test_a_database_that_fails_meanwhile_changes_no_answer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with calling(store, add_developer(store, "thief", key=None)) as client, monkeypatch.context() as broken:
        broken.setattr(Authentication, "known", failing)
        problem(client.post("/api/developers", json={"developer_id": "x", "name": "X"}), 403, "FORBIDDEN")
