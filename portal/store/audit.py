"""Who did what, when, from where: an append-only log in which each row's hash covers the row before it."""

import hashlib
import json
import sqlite3
from dataclasses import dataclass

from portal.store.clock import now

GENESIS = "0" * 64


@dataclass(frozen=True)
class Actor:
    """Who acts: a developer by a token, or the operator on the host."""

    developer_id: str
    scope: str
    token_id: str | None
    address: str


OPERATOR = Actor("operator", "admin", None, "host")


def append(tx: sqlite3.Connection, actor: Actor, action: str, subject: str, **detail: object) -> None:
    """Write one row in the caller's transaction, so that a change and its record stand or fall together."""
    last = tx.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    seq, previous = (last["seq"] + 1, last["hash"]) if last else (1, GENESIS)
    text = json.dumps(detail, sort_keys=True, separators=(",", ":"))
    row = (seq, now(), actor.developer_id, actor.token_id, actor.address, action, subject, text)
    tx.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, _chain(previous, row)))


def first_fault(connection: sqlite3.Connection) -> int | None:
    """The first row that is missing or not as it was written, or None. A cut tail shows only against a copy."""
    previous, expected = GENESIS, 1
    for *row, stored in connection.execute("SELECT * FROM audit ORDER BY seq"):
        if row[0] != expected or _chain(previous, tuple(row)) != stored:
            return expected
        previous, expected = stored, expected + 1
    return None


def _chain(previous: str, row: tuple) -> str:
    return hashlib.sha256(json.dumps([previous, *row], separators=(",", ":")).encode()).hexdigest()
