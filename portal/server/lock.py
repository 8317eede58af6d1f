"""The lock that portals share, so that a restore, which takes it alone, never runs under one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from portal.store.errors import DatabaseUnusable
from portal.store.locks import ALONE, SHARED, lock

WAIT_SECONDS = 2.0  # a portal that starts holds the lock alone for a moment


def share(file: TextIO) -> None:
    """Hold the lock until the file is closed. Raises DatabaseUnusable."""
    if not lock(file, SHARED, wait=WAIT_SECONDS):
        raise DatabaseUnusable("A restore is running: start the portal when it has ended.")


@contextmanager
def alone(file: TextIO) -> Iterator[bool]:
    """Whether no other portal runs during the block, which must be brief: none can start either. Shares the lock after.

    Raises DatabaseUnusable.
    """
    try:
        yield lock(file, ALONE)
    finally:
        share(file)
