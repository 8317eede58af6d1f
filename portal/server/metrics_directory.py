"""Where the workers of a server count together: in memory, and not there any longer than the server.

A write to a mapped file of a disk that is full would kill the worker (SIGBUS). What a killed server leaves is memory:
the next one to start takes it away.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
PREFIX = "mosis-metrics-"
NEW_SECONDS = 60  # in which a server that has made its directory says that it lives


@contextmanager
def metrics_directory(parent: Path = SHARED_MEMORY) -> Iterator[str]:
    """A new directory below `parent`, or where temporary files are if that is not to be written to."""
    memory = parent if os.access(parent, os.W_OK) else None
    if memory:
        _sweep(memory)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=memory) as made:
        descriptor = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield made
        finally:
            os.close(descriptor)


def _sweep(memory: Path) -> None:
    for path in memory.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another user's, in use, or gone meanwhile
            if time.time() - path.stat().st_mtime < NEW_SECONDS:
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(descriptor)
