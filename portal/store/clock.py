"""Times are whole seconds since 1970 in UTC, in the database and on disk."""

import time
from datetime import UTC, datetime


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())


def rfc3339(at: int) -> str:
    """Format seconds since 1970 as in `2026-02-03T04:05:06Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
