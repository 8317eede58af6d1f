"""Sessions end when they are over, signed out, or their token is."""

from collections.abc import Callable

import pytest

from portal.store import apps, audit, developers, sessions, tokens
from portal.store.errors import Refused
from portal.store.store import Store
from tests.packages.samples import APP_ID
from tests.support import clock


@pytest.fixture
def token(store: Store) -> tokens.Token:
    with store.db.write() as tx:
        developers.add(tx, audit.OPERATOR, "dev", "Dev")
        return tokens.issue(tx, audit.OPERATOR, "dev", "developer", 1)[0]


def started(store: Store, token: tokens.Token) -> str:
    with store.db.write() as tx:
        return sessions.start(tx, audit.OPERATOR, token)


def test_a_session_has_the_rights_of_its_token(store: Store, token: tokens.Token) -> None:
    assert sessions.token_of(store.db.read(), started(store, token)) == token


def test_each_sign_in_has_a_secret_of_its_own_that_is_not_stored(store: Store, token: tokens.Token) -> None:
    first, second = started(store, token), started(store, token)
    assert first != second
    dump = "".join(store.db.read().iterdump())
    assert first not in dump and second not in dump


@pytest.mark.parametrize("secret", ["", "x", "x" * 43, "é" * 43, "\ud800" * 43, "x" * 10**6])
def test_what_is_no_secret_of_a_session_names_nobody(store: Store, token: tokens.Token, secret: str) -> None:
    started(store, token)
    assert sessions.token_of(store.db.read(), secret) is None


def revoke(store: Store, token: tokens.Token, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.db.write() as tx:
        tokens.revoke(tx, audit.OPERATOR, "dev", token.token_id)


def sign_out(store: Store, token: tokens.Token, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.db.write() as tx:
        sessions.end(tx, audit.OPERATOR, secret)


def wait(store: Store, token: tokens.Token, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock.move(monkeypatch, sessions.SECONDS)


@pytest.mark.parametrize("end", [revoke, sign_out, wait])
def test_a_session_ends_at_once(
    store: Store, token: tokens.Token, end: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = started(store, token)
    end(store, token, secret, monkeypatch)
    assert sessions.token_of(store.db.read(), secret) is None


def test_a_session_that_nobody_uses_ends(store: Store, token: tokens.Token, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = started(store, token)
    clock.move(monkeypatch, sessions.IDLE_SECONDS)
    assert sessions.token_of(store.db.read(), secret) is None


def test_a_session_in_use_ends_no_later(store: Store, token: tokens.Token, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = started(store, token)
    alive = 0
    for minute in range(0, 24 * 60, 45):
        clock.move(monkeypatch, minute * 60)
        if sessions.token_of(store.db.read(), secret):
            alive = minute * 60
    assert sessions.SECONDS - sessions.IDLE_SECONDS < alive < sessions.SECONDS


def test_use_is_noted_now_and_then(store: Store, token: tokens.Token, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = started(store, token)
    clock.move(monkeypatch, tokens.USE_NOTED_EVERY - 30)
    before = store.db.read().total_changes
    assert sessions.token_of(store.db.read(), secret) == token
    assert store.db.read().total_changes == before
    clock.move(monkeypatch, tokens.USE_NOTED_EVERY + 30)
    for _ in range(3):
        assert sessions.token_of(store.db.read(), secret) == token
    assert store.db.read().total_changes == before + 1


def test_a_session_ends_with_its_token(store: Store, token: tokens.Token, monkeypatch: pytest.MonkeyPatch) -> None:
    clock.move(monkeypatch, token.expires_at - token.created_at - 60)
    secret = started(store, token)
    assert sessions.token_of(store.db.read(), secret) == token
    clock.move(monkeypatch, token.expires_at - token.created_at + 1)
    assert sessions.token_of(store.db.read(), secret) is None


def test_sessions_that_are_over_are_forgotten(
    store: Store, token: tokens.Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(store, token)
    clock.move(monkeypatch, sessions.SECONDS + 1)
    started(store, token)
    assert store.db.read().execute("SELECT count(*) FROM sessions").fetchone()[0] == 1


def test_a_token_has_a_bounded_number_of_sessions_the_last_ones(
    store: Store, token: tokens.Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []
    for second in range(sessions.MOST + 2):
        clock.move(monkeypatch, second)
        begun.append(started(store, token))
    of = [sessions.token_of(store.db.read(), secret) for secret in begun]
    assert of == [None, None, *[token] * sessions.MOST]


def test_a_token_that_was_revoked_during_its_request_creates_none(store: Store, token: tokens.Token) -> None:
    """Another one would not have been among those that were revoked with it."""
    dev = audit.Actor("dev", "developer", token.token_id, "test")
    with store.db.write() as tx:
        apps.add(tx, dev, APP_ID, "App", "")
        tokens.revoke(tx, audit.OPERATOR, "dev", token.token_id)
        with pytest.raises(Refused, match="was revoked"):
            tokens.issue_own(tx, dev, APP_ID, 365)


def test_what_was_created_with_what_a_token_created_is_revoked_with_it(store: Store, token: tokens.Token) -> None:
    with store.db.write() as tx:
        made = [token]
        for _ in range(3):
            actor = audit.Actor("dev", "admin", made[-1].token_id, "test")
            made.append(tokens.issue(tx, actor, "dev", "admin", 1)[0])
        other, _ = tokens.issue(tx, audit.OPERATOR, "dev", "developer", 1)
        tokens.revoke(tx, audit.OPERATOR, "dev", token.token_id)
        assert [tokens.get(tx, each.token_id).is_valid for each in (*made, other)] == [False] * 4 + [True]


def test_a_developer_has_a_bounded_number_of_tokens_for_single_apps(store: Store, token: tokens.Token) -> None:
    dev = audit.Actor("dev", "developer", token.token_id, "test")
    with store.db.write() as tx:
        apps.add(tx, dev, APP_ID, "App", "")
        made = [tokens.issue_own(tx, dev, APP_ID, 1)[0] for _ in range(tokens.OWN_MAX)]
        with pytest.raises(Refused, match="end one"):
            tokens.issue_own(tx, dev, APP_ID, 1)
        tokens.revoke(tx, dev, "dev", made[0].token_id)
        tokens.issue_own(tx, dev, APP_ID, 1)
