"""With a token ends what it has created: nothing that a thief leaves behind outlasts the revocation."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.store import audit, keys, tokens, webhooks
from portal.store.audit import OPERATOR, Actor
from portal.store.errors import Refused
from portal.store.store import Store
from tests.support.portal import add_developer, registration

OF_A_VALID_TOKEN = {"tokens", "sessions", "passkeys", "idempotency"}
"""Tables whose rows open nothing once their token has ended; the audit log names what was done."""


def test_all_that_a_token_creates_ends_with_it(store: Store) -> None:
    tables = store.db.read().execute(
        "SELECT tables.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns"
        " WHERE tables.type = 'table' AND columns.name = 'token_id'"
    )
    assert {row[0] for row in tables} == {"audit", *OF_A_VALID_TOKEN, *tokens.ENDING}


def test_a_webhook_ends_with_the_token_that_set_it(store: Store) -> None:
    settings = store.settings.model_copy(update={"webhooks": "public"})
    stolen, kept = (tokens.authenticate(store.db.read(), add_developer(store, name, None)) for name in ("acme", "else"))
    assert stolen and kept
    for token in (stolen, kept):
        with store.db.write() as tx:
            actor = Actor(token.developer_id, "developer", token.token_id, "192.0.2.1")
            webhooks.put(tx, settings, actor, "https://thief.example/")
    with store.db.write() as tx:
        tokens.revoke(tx, OPERATOR, "acme", stolen.token_id)
    with pytest.raises(Refused, match="has no webhook"):
        webhooks.get(store.db.read(), "acme")
    assert webhooks.get(store.db.read(), "else").developer_id == "else"
    assert audit.about(store.db.read(), stolen.token_id)[-1][1]["webhooks"] == ["acme"]
    with store.db.write() as tx, pytest.raises(Refused, match="was revoked"):
        webhooks.put(tx, settings, Actor("acme", "developer", stolen.token_id, ""), "https://thief.example/")


def test_what_a_former_release_left_ends_by_revoking_again(store: Store) -> None:
    """It revokes a token alone, for it knows of nothing else."""
    settings = store.settings.model_copy(update={"webhooks": "public"})
    stolen = tokens.authenticate(store.db.read(), add_developer(store, "acme", None))
    assert stolen
    with store.db.write() as tx:
        webhooks.put(tx, settings, Actor("acme", "developer", stolen.token_id, ""), "https://thief.example/")
        tx.execute("UPDATE tokens SET revoked_at = 1 WHERE token_id = ?", (stolen.token_id,))
        tokens.revoke(tx, OPERATOR, "acme", stolen.token_id)
    with pytest.raises(Refused, match="has no webhook"):
        webhooks.get(store.db.read(), "acme")


def test_tokens_that_ended_long_ago_are_forgotten_unless_something_needs_them(store: Store) -> None:
    add_developer(store, "acme", None)
    [used] = tokens.every(store.db.read(), "acme")
    at = used.created_at + (tokens.KEPT_DAYS + 2) * tokens.DAY
    with store.db.write() as tx:
        expired, parent = (tokens.issue(tx, OPERATOR, "acme", "developer", 1)[0] for _ in range(2))
        child = tokens.issue(tx, Actor("acme", "developer", parent.token_id, ""), "acme", "developer", 365)[0]
        gone = tokens.issue(tx, OPERATOR, "acme", "developer", 365)[0]
        tokens.revoke(tx, OPERATOR, "acme", gone.token_id)
        tx.execute("UPDATE tokens SET expires_at = ? WHERE token_id = ?", (at + 1, used.token_id))
        assert not tokens.is_any_to_forget(tx, used.created_at + tokens.KEPT_DAYS * tokens.DAY)
        assert tokens.is_any_to_forget(tx, at)
        assert tokens.forget_ended(tx, at) == 2
    left = {token.token_id for token in tokens.every(store.db.read(), "acme")}
    assert left == {used.token_id, parent.token_id, child.token_id}
    assert expired.token_id not in left, "its parent would end the child that is still valid"


def test_a_revocation_names_the_keys_that_a_thief_may_have_registered(store: Store) -> None:
    add_developer(store, "acme", None)
    [stolen] = tokens.every(store.db.read(), "acme")
    body = registration("acme", Ed25519PrivateKey.generate())
    with store.db.write() as tx:
        thief = Actor("acme", "developer", stolen.token_id, "192.0.2.1")
        key = keys.register(tx, thief, "acme", body["public_key"], body["proof"])
        tokens.revoke(tx, OPERATOR, "acme", stolen.token_id)
    assert keys.fault(store.db.read(), key.key_id, "acme") is None, "apps may be signed with it"
    assert audit.about(store.db.read(), stolen.token_id)[-1][1]["keys_that_stay"] == [key.key_id]


def test_forgetting_tokens_is_linear_work(store: Store) -> None:
    """A developer may make hundreds an hour, and the database is locked meanwhile. Counts what SQLite executes."""
    add_developer(store, "acme", None)
    [used] = tokens.every(store.db.read(), "acme")
    at = used.created_at + (tokens.KEPT_DAYS + 2) * tokens.DAY
    few, many = (steps_to_forget(store, number, at) for number in (200, 1600))
    assert many < 16 * few, "8 times as many tokens, not 64 times the work"


def test_revoking_tokens_is_linear_work(store: Store) -> None:
    """A developer may make thousands with one token, and end them; whoever ends that one has the database locked."""
    few, many = (steps_to_revoke(store, f"dev{number}", number) for number in (200, 1600))
    assert many < 16 * few, "8 times as many tokens and rows of the log, not 64 times the work"


def steps_to_revoke(store: Store, developer_id: str, number: int) -> int:
    """A token that made as many, the last of which is valid, after as many changes."""
    add_developer(store, developer_id, None)
    [maker] = tokens.every(store.db.read(), developer_id)
    actor, steps = Actor(developer_id, "developer", maker.token_id, ""), []
    with store.db.write() as tx:
        for _ in range(number):
            audit.append(tx, actor, "app.edit", "org.example.app")
        tx.executemany(
            "INSERT INTO tokens (token_id, developer_id, scope, secret_hash, created_at, expires_at, created_by)"
            " VALUES (?, ?, 'developer', x'00', 1, 2, ?)",
            [(f"{number + each:016x}", developer_id, maker.token_id) for each in range(number)],
        )
        last = tokens.issue(tx, actor, developer_id, "developer", 1)[0]
        tx.set_progress_handler(lambda: steps.append(1), 100)
        tokens.revoke(tx, OPERATOR, developer_id, maker.token_id)
        tx.set_progress_handler(None, 0)
    assert not tokens.get(store.db.read(), last.token_id).is_valid
    return len(steps)


def steps_to_forget(store: Store, number: int, at: int) -> int:
    steps = []
    with store.db.write() as tx:
        tx.executemany(
            "INSERT INTO tokens (token_id, developer_id, scope, secret_hash, created_at, expires_at)"
            " VALUES (?, 'acme', 'developer', x'00', 1, 2)",
            [(f"{each:016x}",) for each in range(number)],
        )
        tx.set_progress_handler(lambda: steps.append(1), 100)
        assert tokens.forget_ended(tx, at) >= number
        tx.set_progress_handler(None, 0)
    return len(steps)
