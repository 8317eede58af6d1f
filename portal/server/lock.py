"""The lock that portals share, so that a restore, which takes it alone, never runs under one."""

import fcntl
from typing import TextIO

from portal.store.errors import DatabaseUnusable


def share(lock: TextIO) -> None:
    """Hold the lock until the file is closed. Raises DatabaseUnusable."""
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DatabaseUnusable("A restore is running: start the portal when it has ended.") from None
