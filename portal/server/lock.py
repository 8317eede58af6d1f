"""The lock that portals share, so that a restore, which takes it alone, never runs under one."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from portal.store.errors import DatabaseUnusable

WAIT_SECONDS = 2.0  # a portal that starts holds the lock alone for a moment
POLL_SECONDS = 0.05


def share(lock: TextIO) -> None:
    """Hold the lock until the file is closed. Raises DatabaseUnusable."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not _held(lock, fcntl.LOCK_SH):
        if time.monotonic() >= deadline:
            raise DatabaseUnusable("A restore is running: start the portal when it has ended.")
        time.sleep(POLL_SECONDS)


@contextmanager
def alone(lock: TextIO) -> Iterator[bool]:
    """Whether no other portal runs during the block, which must be brief: none can start either. Shares the lock after.

    Raises DatabaseUnusable.
    """
    try:
        yield _held(lock, fcntl.LOCK_EX)
    finally:
        share(lock)


def _held(lock: TextIO, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
