"""A file that takes room on the store's disk, so that cleanup has room to begin when the disk is full.

A version is deleted by a transaction, and a transaction needs some room itself.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from portal.settings import MIB
from portal.store.layout import Layout

BYTES = 8 * MIB  # a transaction of cleanup takes about 1.5 MiB
ROOM = 4 * BYTES  # bytes free without which the disk has better uses for it


@contextmanager
def released(layout: Layout) -> Iterator[None]:
    """Give its room to the block if the disk is full, and take it again afterwards, once there is enough."""
    if _free(layout) < BYTES:
        layout.ballast.unlink(missing_ok=True)
    try:
        yield
    finally:
        take(layout)


def take(layout: Layout) -> None:
    """Take the room, if there is enough and it is not taken yet."""
    if layout.ballast.exists() or _free(layout) < ROOM:
        return
    with suppress(OSError), layout.ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, BYTES)


def _free(layout: Layout) -> int:
    return shutil.disk_usage(layout.area("data")).free
