"""Sessions of browsers: after signing in with a token or a passkey, the browser keeps a cookie instead.

A session ends after SECONDS, or IDLE_SECONDS without a request, when it is signed out, and as soon as its token expires
or is revoked.
"""

import hashlib
import re
import secrets
import sqlite3
from contextlib import closing, suppress

from portal.settings import Settings
from portal.store import audit, tokens
from portal.store.clock import now
from portal.store.rate_limit import rate_limit
from portal.store.tokens import Token

SECONDS = 12 * 3600
IDLE_SECONDS = 3600
MOST = 20  # of a token: a program that signs in again and again ends the first ones instead of filling the disk
PATTERN = re.compile(r"[A-Za-z0-9_-]{43}")
OLDEST = """
    DELETE FROM sessions WHERE token_id = :token_id AND secret_hash NOT IN
    (SELECT secret_hash FROM sessions WHERE token_id = :token_id ORDER BY created_at DESC LIMIT :kept)"""
VALID = "SELECT token_id, created_at, expires_at FROM sessions WHERE secret_hash = ? AND expires_at > ?"


def count(settings: Settings, token: Token) -> None:
    """Count a sign-in before it starts a session. Raises RateLimited.

    Not as a change of the developer: a thief who uses those up by a stolen token must not keep its owner out. A token
    that is bound to one app can have been created by such a thief, by the hundred.
    """
    name, key = ("changes", token.developer_id) if token.app_id else ("sign-ins", f"sign-in {token.token_id}")
    with closing(rate_limit(settings, name)) as limit:
        limit.take(key)


def start(tx: sqlite3.Connection, actor: audit.Actor, token: Token) -> str:
    """Start a session of the token and return its secret, which is not stored; ended sessions are forgotten."""
    secret, at = secrets.token_urlsafe(32), now()
    tx.execute("DELETE FROM sessions WHERE expires_at <= ?", (at,))
    tx.execute(OLDEST, {"token_id": token.token_id, "kept": MOST - 1})
    tx.execute(
        "INSERT INTO sessions (secret_hash, token_id, created_at, expires_at) VALUES (?, ?, ?, ?)",
        (_hash(secret), token.token_id, at, _end(at, at, token)),
    )
    audit.append(tx, actor, "session.start", token.token_id)
    return secret


def token_of(db: sqlite3.Connection, secret: str) -> Token | None:
    """The valid token of the session with this secret, or None; the session is in use then."""
    if PATTERN.fullmatch(secret) is None:
        return None
    at = now()
    row = db.execute(VALID, (_hash(secret), at)).fetchone()
    token = tokens.get(db, row["token_id"]) if row else None
    if token is None or not token.is_valid:
        return None
    until = _end(row["created_at"], at, token)
    if until - row["expires_at"] >= tokens.USE_NOTED_EVERY:
        with suppress(sqlite3.OperationalError):  # a full disk stops no reader
            db.execute("UPDATE sessions SET expires_at = ? WHERE secret_hash = ?", (until, _hash(secret)))
    return token


def end(tx: sqlite3.Connection, actor: audit.Actor, secret: str) -> None:
    """End a session, effective from the next request in every worker."""
    if tx.execute("DELETE FROM sessions WHERE secret_hash = ?", (_hash(secret),)).rowcount:
        audit.append(tx, actor, "session.end", actor.token_id or "")


def end_all(tx: sqlite3.Connection) -> None:
    """End every session."""
    tx.execute("DELETE FROM sessions")


def _end(created_at: int, used_at: int, token: Token) -> int:
    return min(used_at + IDLE_SECONDS, created_at + SECONDS, token.expires_at)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
