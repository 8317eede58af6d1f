"""Where the workers of a server count together: in memory, and removed with the server.

What a killed server leaves is memory, which the next one to start frees.
"""

import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger(__name__)

SHARED_MEMORY = Path("/dev/shm")
PREFIX = "mosis-metrics-"
ROOM = 1024 * 1024  # bytes, several times what workers begin with
NEW_SECONDS = 60  # in which a server that has made its directory says that it lives


@contextmanager
def metrics_directory(*parents: Path) -> Iterator[Path | None]:
    """A new directory below the first of `parents` with room for it; None when there is none.

    Without parents: shared memory, then where temporary files are.
    """
    made = None
    for parent in parents or (SHARED_MEMORY, Path(tempfile.gettempdir())):
        _sweep(parent)
        if made := _made(parent):
            break
        log.warning("%s has no room for the workers' metrics.", parent)
    if made is None:
        log.warning("Each worker counts alone, and /metrics shows one of them: free space, then restart the portal.")
        yield None
        return
    descriptor = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield made
    finally:
        os.close(descriptor)
        shutil.rmtree(made, ignore_errors=True)


def _made(parent: Path) -> Path | None:
    """A new directory below `parent`, once that is known to have room."""
    try:
        with tempfile.TemporaryFile(dir=parent) as probe:
            os.posix_fallocate(probe.fileno(), 0, ROOM)
        return Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    except OSError:
        return None


def _sweep(parent: Path) -> None:
    for path in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another user's, in use, or gone meanwhile
            if time.time() - path.stat().st_mtime < NEW_SECONDS:
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(descriptor)
