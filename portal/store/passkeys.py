"""Passkeys: a passkey is a token whose secret never leaves an authenticator, so it is sent by no program.

It is registered with a token of its owner, and has that token's scope and end: access lasts no longer than the operator
has granted it. Like every token that was created with another one it is revoked with that one, and with its developer.
Sessions are those of the passkey's own token, which therefore names them in the audit log.
"""

import secrets
import sqlite3
from collections.abc import Mapping
from typing import Any

from portal.store import audit, authenticators, challenges, presign, sessions, tokens
from portal.store.authenticators import Credential, RelyingParty
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.store import Store
from portal.store.tokens import Token

MOST = 20  # valid ones of a developer
SIGN_IN = "sign in"
ENDED = (
    "DELETE FROM passkeys WHERE token_id IN"
    " (SELECT token_id FROM tokens WHERE passkey IS NOT NULL AND (revoked_at IS NOT NULL OR expires_at <= ?))"
)
SIGNED = """
    UPDATE passkeys SET sign_count = :count, challenge_at = :at WHERE credential_id = :credential_id
    AND (challenge_at < :at OR challenge_at > :now) AND (sign_count < :count OR (sign_count = 0 AND :count = 0))"""
"""A challenge counts once. What was noted by a clock that has been set back since says nothing."""


def registration(store: Store, party: RelyingParty, actor: audit.Actor, token: Token) -> dict[str, Any]:
    """What the browser needs to make a passkey with the rights of this token. Raises Refused (FORBIDDEN)."""
    _require_own(actor, token)
    challenge = challenges.make(presign.load(store.layout.presign_keys), _register(token))
    name = token.developer_id if token.scope == "developer" else f"{token.developer_id} ({token.scope})"
    user_id = authenticators.user_id(token.developer_id, token.scope)
    return authenticators.registration(party, challenge, user_id, name, _lasting(store.db.read(), token))


def register(
    store: Store, party: RelyingParty, actor: audit.Actor, token: Token, name: str, sent: Mapping[str, Any]
) -> Token:
    """Register the passkey that the browser has made. Raises Refused (FORBIDDEN, INVALID_PROOF, KEY_EXISTS,
    QUOTA_EXCEEDED, UNAUTHENTICATED).
    """
    _require_own(actor, token)
    challenge = authenticators.challenge_in(sent)
    at = challenges.made_at(presign.load(store.layout.presign_keys), _register(token), challenge)
    made = authenticators.registered(party, challenge, sent)
    with store.db.write() as tx:
        tokens.require_valid(tx, token.token_id)
        tx.execute(ENDED, (now(),))
        if len(of_developer(tx, token.developer_id)) >= MOST:
            raise Refused("QUOTA_EXCEEDED", f"{MOST} passkeys are registered, the maximum: remove one.")
        passkey = _add(tx, token, name)
        _keep(tx, passkey, made, at)
        detail = {"developer_id": token.developer_id, "scope": token.scope, "name": name, "by": token.token_id}
        audit.append(tx, actor, "passkey.register", passkey.token_id, **detail)
    return passkey


def authentication(store: Store, party: RelyingParty) -> dict[str, Any]:
    """What the browser needs to sign in with any passkey of this store."""
    challenge = challenges.make(presign.load(store.layout.presign_keys), SIGN_IN)
    return authenticators.authentication(party, challenge)


def sign_in(store: Store, party: RelyingParty, address: str, sent: Mapping[str, Any]) -> str:
    """Start a session by a passkey, and return its secret.

    Raises Refused (UNAUTHENTICATED: the store knows no such passkey; INVALID_PROOF: its signature does not hold;
    RATE_LIMITED).
    """
    known, token = _known(store.db.read(), authenticators.id_in(sent))
    challenge = authenticators.challenge_in(sent)
    at = challenges.made_at(presign.load(store.layout.presign_keys), SIGN_IN, challenge)
    user_id = authenticators.user_id(token.developer_id, token.scope)
    count = authenticators.signed(party, challenge, sent, known, user_id)
    sessions.count(store.settings, token)
    actor = audit.Actor(token.developer_id, token.scope, token.token_id, address)
    values = {"count": count, "at": at, "now": challenges.microseconds(), "credential_id": known.credential_id}
    with store.db.write() as tx:
        if tx.execute(SIGNED, values).rowcount:
            return sessions.start(tx, actor, token)
        audit.append(tx, actor, "passkey.refuse", token.token_id, reason="signed before, or copied")
    raise Refused("INVALID_PROOF", "This signature was used before: try again. If that recurs, remove the passkey.")


def of_developer(db: sqlite3.Connection, developer_id: str) -> list[Token]:
    """The valid passkeys, in the order in which they were registered."""
    rows = db.execute(
        f"SELECT {tokens.COLUMNS} FROM tokens WHERE developer_id = ? AND passkey IS NOT NULL"
        " ORDER BY created_at, token_id",
        (developer_id,),
    )
    return [token for row in rows if (token := Token(*row)).is_valid]


def remove(tx: sqlite3.Connection, actor: audit.Actor, developer_id: str, token_id: str) -> None:
    """Remove a passkey, effective from the next request in every worker. Raises Refused (NOT_FOUND)."""
    if token_id not in {token.token_id for token in of_developer(tx, developer_id)}:
        raise Refused("NOT_FOUND", f"Developer {developer_id} has no passkey {token_id}.")
    tokens.revoke(tx, actor, developer_id, token_id)


def _require_own(actor: audit.Actor, token: Token) -> None:
    if token.developer_id != actor.developer_id:
        raise Refused("FORBIDDEN", f"This token is not one of {actor.developer_id}.")
    if token.app_id is not None:
        raise Refused("FORBIDDEN", f"This token is bound to {token.app_id}: use one that is not.")


def _register(token: Token) -> str:
    return f"register {token.token_id}"


def _lasting(db: sqlite3.Connection, token: Token) -> list[bytes]:
    """The passkeys that another one by this token would not outlast; an authenticator replaces the others."""
    rows = db.execute(
        "SELECT credential_id FROM passkeys JOIN tokens USING (token_id) WHERE developer_id = ? AND scope = ?"
        " AND revoked_at IS NULL AND expires_at >= ?",
        (token.developer_id, token.scope, token.expires_at),
    )
    return [row["credential_id"] for row in rows]


def _add(tx: sqlite3.Connection, token: Token, name: str) -> Token:
    """The token of a passkey: what is hashed is random and forgotten, so nobody can send it."""
    passkey = Token(
        secrets.token_hex(8), token.developer_id, token.scope, now(), token.expires_at, None, None, None, name
    )
    tx.execute(
        f"INSERT INTO tokens ({tokens.COLUMNS}, secret_hash, created_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*vars(passkey).values(), secrets.token_bytes(32), token.token_id),
    )
    return passkey


def _keep(tx: sqlite3.Connection, passkey: Token, made: Credential, at: int) -> None:
    kept = tx.execute(
        "INSERT INTO passkeys (credential_id, token_id, public_key, sign_count, challenge_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (credential_id) DO NOTHING",
        (made.credential_id, passkey.token_id, made.public_key, made.sign_count, at),
    )
    if not kept.rowcount:
        raise Refused("KEY_EXISTS", "This passkey is already registered.")


def _known(db: sqlite3.Connection, credential_id: bytes) -> tuple[Credential, Token]:
    row = db.execute("SELECT * FROM passkeys WHERE credential_id = ?", (credential_id,)).fetchone()
    token = tokens.get(db, row["token_id"]) if row else None
    if token is None or not token.is_valid:
        raise Refused(
            "UNAUTHENTICATED",
            "The store does not know this passkey: it was removed, or has expired with its token. Use a token.",
        )
    return Credential(credential_id, row["public_key"], row["sign_count"]), token
