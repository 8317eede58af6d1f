"""Times are whole seconds since 1970 in UTC, in the database and on disk."""

import time


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())
