"""How long versions are kept, by status; a version without a rule is kept forever."""

import sqlite3
from dataclasses import dataclass

from portal.store.versions import COLUMNS, Version, from_row

HOUR, DAY = 3600, 86400


@dataclass(frozen=True)
class Rule:
    """Versions with `status` are kept for `seconds` from the time in the column `since`."""

    label: str
    status: str
    since: str
    seconds: int


RULES = (
    Rule("superseded", "published", "superseded_at", 365 * DAY),
    Rule("draft", "draft", "status_at", 30 * DAY),
    Rule("rejected", "rejected", "status_at", 7 * DAY),
    Rule("failed", "failed", "status_at", 24 * HOUR),
    Rule("uploading", "uploading", "status_at", 1 * HOUR),
)
UPLOAD_SECONDS = next(rule.seconds for rule in RULES if rule.status == "uploading")


def due(db: sqlite3.Connection, rule: Rule, at: int) -> list[Version]:
    """Versions expired by `rule` at the time `at`, seconds since 1970, oldest first."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM versions WHERE status = ? AND {rule.since} <= ? ORDER BY {rule.since}",
        (rule.status, at - rule.seconds),
    )
    return [from_row(row) for row in rows]
