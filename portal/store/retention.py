"""How long a version is kept, by the contract's table; what is not in it is kept for good."""

import sqlite3
from dataclasses import dataclass

from portal.store.versions import COLUMNS, Version

HOUR, DAY = 3600, 86400


@dataclass(frozen=True)
class Rule:
    """`since` is the column that says when the time began to run; `seconds` how long it runs."""

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
    """Versions whose time by `rule` is over at `at`, seconds since 1970."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM versions WHERE status = ? AND {rule.since} <= ? ORDER BY {rule.since}",
        (rule.status, at - rule.seconds),
    )
    return [Version(*row) for row in rows]
