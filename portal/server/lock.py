"""The lock that portals share, so that a restore, which takes it alone, never runs under one."""

import fcntl
from typing import TextIO

from portal.store.errors import DatabaseUnusable


def share(lock: TextIO) -> bool:
    """Hold the lock until the file is closed; whether no other portal holds it. Raises DatabaseUnusable."""
    alone = _lock(lock, fcntl.LOCK_EX)
    if not _lock(lock, fcntl.LOCK_SH):
        raise DatabaseUnusable("A restore is running: start the portal when it has ended.")
    return alone


def _lock(lock: TextIO, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
