"""Bearer tokens `mosis_<id>_<secret>`: shown once, stored as a hash, checked in the database at every request.

A token may be bound to one app of its developer. The app is part of what is hashed, so a release that knows no such
tokens refuses them.
"""

import hashlib
import hmac
import json
import re
import secrets
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from portal.store import apps, audit, developers
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.pages import ALL, Page

Scope = Literal["developer", "reviewer", "admin"]
DAY = 86400
OWN_MAX = 100  # tokens for single apps that a developer may have in force
OWN = (
    "SELECT count(*) FROM tokens"
    " WHERE developer_id = ? AND app_id IS NOT NULL AND revoked_at IS NULL AND expires_at > ?"
)
USE_NOTED_EVERY = 600  # seconds; a write per request would cost an fsync per request
KEPT_DAYS = 90  # that an ended token is listed
PATTERN = re.compile(r"mosis_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Token:
    """A token without its secret, bound to the app `app_id` unless that is None; times are seconds since 1970.

    `passkey` is the name of a passkey, which is a token that only an authenticator has; see `passkeys`.
    """

    token_id: str
    developer_id: str
    scope: Scope
    created_at: int
    expires_at: int
    revoked_at: int | None
    last_used_at: int | None
    app_id: str | None
    passkey: str | None = None

    @property
    def is_valid(self) -> bool:
        return self.revoked_at is None and now() < self.expires_at


COLUMNS = ", ".join(Token.__dataclass_fields__)
MAKERS = """
    SELECT token_id AS made, created_by AS maker FROM tokens WHERE developer_id = ? AND created_by IS NOT NULL
    UNION SELECT tokens.token_id, publishers.token_id FROM tokens CROSS JOIN publishers ON number = publisher
    WHERE publisher IS NOT NULL AND publishers.token_id IS NOT NULL"""
"""Which token created another one, or let a job publish that has it."""
ENDING = {"previews": "preview_id", "publishers": "number", "webhooks": "developer_id"}
"""What else a token can create that outlasts it, and what names a row: all of it has the column `token_id`."""
LISTED = "(SELECT value FROM json_each(?))"
KEYS = (
    "SELECT key_id FROM keys CROSS JOIN audit ON audit.subject = keys.key_id"  # by its index, key by key
    f" WHERE keys.revoked_at IS NULL AND audit.action = 'key.register' AND audit.token_id IN {LISTED}"
    " ORDER BY audit.token_id, audit.seq"
)
LONG_ENDED = (
    "SELECT token_id FROM tokens WHERE (expires_at < :before OR revoked_at < :before)"
    # Each list is made once: a search for each token would take 17 s for 20,000 of them, with the database locked.
    " AND token_id NOT IN (SELECT created_by FROM tokens WHERE created_by IS NOT NULL)"
    + "".join(
        f" AND token_id NOT IN (SELECT token_id FROM {table} WHERE token_id IS NOT NULL)"
        for table in (*ENDING, "idempotency")
    )
    + " LIMIT :most"
)
FORGOTTEN_AT_ONCE = 10_000  # tokens


def issue(
    tx: sqlite3.Connection, actor: audit.Actor, developer_id: str, scope: Scope, days: int, app_id: str | None = None
) -> tuple[Token, str]:  # fmt: skip
    """Issue a token; returns it with its clear text, which is not stored.

    Raises Refused (NOT_FOUND, DEVELOPER_DISABLED, UNAUTHENTICATED).
    """
    require_valid(tx, actor.token_id)
    developers.require_enabled(tx, developer_id)
    token, text = _insert(tx, actor, developer_id, scope, days * DAY, app_id, None)
    bound = {"app_id": app_id} if app_id else {}
    audit.append(tx, actor, "token.issue", token.token_id, developer_id=developer_id, scope=scope, days=days, **bound)
    return token, text


def issue_to_job(
    tx: sqlite3.Connection, actor: audit.Actor, app_id: str, seconds: int, publisher: int, subject: str
) -> tuple[Token, str]:
    """Issue a token of the app's owner, the actor, to a job of a CI service that has proved its `subject`."""
    token, text = _insert(tx, actor, actor.developer_id, "developer", seconds, app_id, publisher)
    audit.append(
        tx, actor, "token.issue", token.token_id, developer_id=actor.developer_id, scope="developer", app_id=app_id,
        seconds=seconds, publisher=publisher, job=subject,
    )  # fmt: skip
    return token, text


def forget_ended_of_jobs(tx: sqlite3.Connection) -> None:
    """Forget tokens of jobs that ended days ago: each job has its own, and the audit log names them all.

    One that created preview links is needed to end those.
    """
    tx.execute(
        "DELETE FROM tokens WHERE publisher IS NOT NULL AND expires_at < ?"
        " AND NOT EXISTS (SELECT 1 FROM previews WHERE previews.token_id = tokens.token_id)"
        " AND NOT EXISTS (SELECT 1 FROM idempotency WHERE idempotency.token_id = tokens.token_id)",
        (now() - 2 * DAY,),
    )


def forget_ended(tx: sqlite3.Connection, at: int) -> int:
    """Forget tokens that expired or were revoked long before `at`, and return how many: the audit log names them all.

    One that created something which outlasts it, another token among that, is needed to end it.
    """
    ended = {"before": at - KEPT_DAYS * DAY, "most": FORGOTTEN_AT_ONCE}
    return tx.execute(f"DELETE FROM tokens WHERE token_id IN ({LONG_ENDED})", ended).rowcount


def is_any_to_forget(db: sqlite3.Connection, at: int) -> bool:
    """Whether `forget_ended` would forget a token."""
    return db.execute(LONG_ENDED, {"before": at - KEPT_DAYS * DAY, "most": 1}).fetchone() is not None


def _insert(
    tx: sqlite3.Connection, actor: audit.Actor, developer_id: str, scope: Scope, seconds: int, app_id: str | None,
    publisher: int | None,
) -> tuple[Token, str]:  # fmt: skip
    token_id, secret, at = secrets.token_hex(8), secrets.token_urlsafe(32), now()
    token = Token(token_id, developer_id, scope, at, at + seconds, None, None, app_id)
    row = (*vars(token).values(), _hash(secret, app_id), actor.token_id, publisher)
    tx.execute(
        f"INSERT INTO tokens ({COLUMNS}, secret_hash, created_by, publisher) VALUES ({', '.join('?' * len(row))})", row
    )
    return token, f"mosis_{token_id}_{secret}"


def issue_own(tx: sqlite3.Connection, actor: audit.Actor, app_id: str, days: int) -> tuple[Token, str]:
    """Issue a token of the actor that is bound to one of its apps. Raises Refused (NOT_FOUND, QUOTA_EXCEEDED)."""
    apps.owned(tx, app_id, actor.developer_id)
    if tx.execute(OWN, (actor.developer_id, now())).fetchone()[0] >= OWN_MAX:
        raise Refused("QUOTA_EXCEEDED", f"{OWN_MAX} tokens for single apps are in force, the maximum: end one.")
    return issue(tx, actor, actor.developer_id, "developer", days, app_id)


def authenticate(db: sqlite3.Connection, text: str) -> Token | None:
    """The valid token with the clear text `text`, or None; timing does not reveal which part was wrong."""
    match = PATTERN.fullmatch(text)
    if match is None:
        return None
    row = db.execute(f"SELECT secret_hash, {COLUMNS} FROM tokens WHERE token_id = ?", (match[1],)).fetchone()
    known, app_id = (row["secret_hash"], row["app_id"]) if row else (bytes(32), None)
    if not hmac.compare_digest(known, _hash(match[2], app_id)) or row is None:
        return None
    token = Token(*row[1:])
    return token if token.is_valid else None


def redacted(text: str) -> str:
    """Replace the secrets of tokens in `text`."""
    return PATTERN.sub(r"mosis_\1_…", text)


def note_use(db: sqlite3.Connection, token: Token) -> None:
    """Record the use of the token, to within USE_NOTED_EVERY; errors are ignored, so a full disk stops no reader."""
    if token.last_used_at is None or now() - token.last_used_at >= USE_NOTED_EVERY:
        with suppress(sqlite3.OperationalError):
            db.execute("UPDATE tokens SET last_used_at = ? WHERE token_id = ?", (now(), token.token_id))


def revoke(tx: sqlite3.Connection, actor: audit.Actor, developer_id: str, token_id: str) -> None:
    """Revoke a token or passkey of the developer, and what was created with it, or with one of those: tokens, passkeys
    and ENDING. Effective from the next request in every worker: a thief of a token may have created others. Raises
    Refused (NOT_FOUND).
    """
    if get(tx, token_id).developer_id != developer_id:
        raise not_found(token_id)
    made = _made(tx, developer_id, token_id)
    revoked = [each for each in made if _revoke(tx, each)]
    ended = {table: found for table in ENDING if (found := _deleted(tx, table, made))}
    if not revoked and not ended:
        return  # nothing changes, so the log says nothing
    if others := [each for each in revoked if each != token_id]:
        ended["with"] = [*others]
    if registered := keys_of(tx, made):
        ended["keys_that_stay"] = [*registered]
    action = "token.revoke" if get(tx, token_id).passkey is None else "passkey.remove"
    audit.append(tx, actor, action, token_id, developer_id=developer_id, **ended)


def _made(db: sqlite3.Connection, developer_id: str, token_id: str) -> list[str]:
    """The token, those that were created with it, and those of jobs that it let publish, at any depth.

    A developer may have made thousands that have ended: each is looked at once.
    """
    made_with = defaultdict[str, list[str]](list)
    for made, maker in db.execute(MAKERS, (developer_id,)):
        made_with[maker].append(made)
    found, waiting = {token_id}, [token_id]
    while waiting:
        new = set(made_with[waiting.pop()]) - found
        found |= new
        waiting += new
    return sorted(found)


def keys_of(db: sqlite3.Connection, token_ids: Sequence[str]) -> list[str]:
    """The keys in force that were registered with the tokens. They stay when these end, for apps may be signed with
    them: only their owner knows whether it was a thief who registered them.
    """
    return [row[0] for row in db.execute(KEYS, (json.dumps(token_ids),))]


def _revoke(tx: sqlite3.Connection, token_id: str) -> bool:
    """Revoke one token; false if it was already."""
    change = "UPDATE tokens SET revoked_at = ? WHERE token_id = ? AND revoked_at IS NULL"
    return tx.execute(change, (now(), token_id)).rowcount > 0


def _deleted(tx: sqlite3.Connection, table: str, created_with: list[str]) -> list[str | int]:
    """Delete the rows of one of ENDING that were created with these tokens; returns what names them."""
    change = f"DELETE FROM {table} WHERE token_id IN {LISTED} RETURNING {ENDING[table]}"
    return sorted(row[0] for row in tx.execute(change, (json.dumps(created_with),)).fetchall())


def not_found(token_id: str) -> Refused:
    return Refused("NOT_FOUND", f"There is no token {token_id}.")


def require_valid(tx: sqlite3.Connection, token_id: str | None) -> None:
    """Raises Refused (UNAUTHENTICATED) if the token, where there is one, has ended since the request was authenticated.

    What outlasts a token is created after this check, in the same transaction: or it would escape its revocation.
    """
    if token_id is not None and not get(tx, token_id).is_valid:
        raise Refused("UNAUTHENTICATED", "The token has expired or was revoked.")


def get(db: sqlite3.Connection, token_id: str) -> Token:
    """The token with this id. Raises Refused (NOT_FOUND)."""
    row = db.execute(f"SELECT {COLUMNS} FROM tokens WHERE token_id = ?", (token_id,)).fetchone()
    if row is None:
        raise not_found(token_id)
    return Token(*row)


def every(db: sqlite3.Connection, developer_id: str | None = None, page: Page = ALL) -> list[Token]:
    """All tokens, or those of a developer, the first one first."""
    ordered, values = page.sql(["created_at", "token_id"])
    which, whose = ("TRUE", ()) if developer_id is None else ("developer_id = ?", (developer_id,))
    rows = db.execute(f"SELECT {COLUMNS} FROM tokens WHERE {which}{ordered}", (*whose, *values))
    return [Token(*row) for row in rows]


def ending(db: sqlite3.Connection, days: int) -> list[Token]:
    """Tokens in use that expire within that many days, the first one first; passkeys end with theirs, and those of CI
    jobs within minutes.
    """
    rows = db.execute(
        f"SELECT {COLUMNS} FROM tokens WHERE revoked_at IS NULL AND last_used_at IS NOT NULL AND passkey IS NULL"
        " AND publisher IS NULL AND expires_at > ? AND expires_at <= ? ORDER BY expires_at, token_id",
        (now(), now() + days * DAY),
    )
    return [Token(*row) for row in rows]


def is_without_admin(db: sqlite3.Connection) -> bool:
    """Whether every admin token and passkey has ended, of those that are listed."""
    query = "SELECT max(revoked_at IS NULL AND expires_at > ?) FROM tokens WHERE scope = 'admin'"
    valid: int | None = db.execute(query, (now(),)).fetchone()[0]
    return valid == 0


def _hash(secret: str, app_id: str | None) -> bytes:
    return hashlib.sha256((f"{app_id} {secret}" if app_id else secret).encode()).digest()
