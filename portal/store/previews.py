"""Preview links: a link shows a version as the store would show it, before anybody publishes it.

A link has an id and 256 random bits, of which the hash is stored, in the form of a token: what keeps tokens out of logs
and errors (`tokens.redacted`, nginx's log format) keeps links out as well. It belongs to a version, moves on to
the package that replaces that, and ends with it. It opens nothing once its version is no draft and not in review.
"""

import hashlib
import hmac
import secrets
import sqlite3
from dataclasses import dataclass

from portal.store import audit, tokens, versions
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.states import Status
from portal.store.versions import PlacedVersion, Version

DAY = 86400
DAYS_MAX = 30
MOST = 20  # links to one version
SHOWN: tuple[Status, ...] = ("draft", "in_review")
OF_APP = "version_id IN (SELECT version_id FROM versions WHERE app_id = ?)"


@dataclass(frozen=True)
class Preview:
    """A link without its secret; `developer_id` created it, times are seconds since 1970."""

    preview_id: str
    version_id: str
    developer_id: str
    created_at: int
    expires_at: int


COLUMNS = ", ".join(Preview.__dataclass_fields__)


def add(tx: sqlite3.Connection, actor: audit.Actor, version: PlacedVersion, days: int) -> tuple[Preview, str]:
    """Create a link; returns it with its clear text, which is not stored. Expired ones are forgotten.

    Raises Refused (WRONG_STATE, QUOTA_EXCEEDED, UNAUTHENTICATED).
    """
    tokens.require_valid(tx, actor.token_id)
    require_shown(version)
    at = now()
    tx.execute("DELETE FROM previews WHERE expires_at <= ?", (at,))
    if len(of_version(tx, version)) >= MOST:
        raise Refused("QUOTA_EXCEEDED", f"{MOST} links show this version, the maximum: revoke one.")
    secret = secrets.token_urlsafe(32)
    preview = Preview(secrets.token_hex(8), version.version_id, actor.developer_id, at, at + days * DAY)
    tx.execute(
        f"INSERT INTO previews ({COLUMNS}, secret_hash, token_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*vars(preview).values(), _hash(secret), actor.token_id),
    )
    audit.append(
        tx, actor, "version.share", f"{version.app_id}/{version.version_code}", preview_id=preview.preview_id, days=days
    )  # fmt: skip
    return preview, f"mosis_{preview.preview_id}_{secret}"


def require_shown(version: Version) -> None:
    """Raises Refused (WRONG_STATE) unless links show a version of this status."""
    if version.status not in SHOWN:
        raise Refused(
            "WRONG_STATE",
            f"{version.app_id} {version.version_code} is {version.status}: links show a draft or a version in review.",
        )


def version_of(db: sqlite3.Connection, text: str) -> PlacedVersion | None:
    """The version of the link with this clear text, in any status, or None; timing reveals nothing about others."""
    match = tokens.PATTERN.fullmatch(text)
    if match is None:
        return None
    row = db.execute("SELECT secret_hash, version_id, expires_at FROM previews WHERE preview_id = ?", (match[1],))
    known, version_id, expires_at = row.fetchone() or (bytes(32), "", 0)
    if not hmac.compare_digest(known, _hash(match[2])) or now() >= expires_at:
        return None
    found = db.execute(f"SELECT {versions.COLUMNS} FROM versions WHERE version_id = ?", (version_id,)).fetchone()
    version = versions.from_row(found) if found else None
    return version if isinstance(version, PlacedVersion) else None


def of_version(db: sqlite3.Connection, version: Version) -> list[Preview]:
    """The valid links to a version, the newest first."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM previews WHERE version_id = ? AND expires_at > ? ORDER BY created_at DESC, preview_id",
        (version.version_id, now()),
    )
    return [Preview(*row) for row in rows]


def revoke(tx: sqlite3.Connection, actor: audit.Actor, version: Version, preview_id: str) -> None:
    """End a link, effective from the next request in every worker. Raises Refused (NOT_FOUND)."""
    gone = tx.execute(
        "DELETE FROM previews WHERE preview_id = ? AND version_id = ?", (preview_id, version.version_id)
    )  # fmt: skip
    if not gone.rowcount:
        raise Refused("NOT_FOUND", f"There is no link {preview_id} to this version.")
    audit.append(tx, actor, "version.unshare", f"{version.app_id}/{version.version_code}", preview_id=preview_id)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
