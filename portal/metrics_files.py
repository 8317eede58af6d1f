"""The files that workers count in, which cannot fail a request.

The client library maps a file whose blocks do not exist yet: where the file system is full, the first write to such a
page kills the worker (SIGBUS). Here the blocks come first, and a worker that gets none counts in memory of its own.
"""

import logging
import mmap
import os
from io import BytesIO
from pathlib import Path

from prometheus_client import mmap_dict, values

from portal.settings import METRICS_VARIABLE

log = logging.getLogger(__name__)

PRIVATE = ".private"  # suffix of a file that says: a worker counts separately from the others
BYTES_MIN = 64 * 1024  # of a file
KEY_OVERHEAD = 40  # bytes beside its name that a value takes at most


def install() -> None:
    """Use these files for every metric that is made from now on in this process."""
    vars(values)["MmapedDict"] = WorkerFile


def incomplete() -> bool:
    """Whether some worker counts separately, so that sums over the files lack what it counted."""
    directory = os.environ.get(METRICS_VARIABLE)
    return directory is None or any(Path(directory).glob(f"*{PRIVATE}"))


class WorkerFile(mmap_dict.MmapedDict):
    """A worker's counts of one type, in a file that all workers read, or in private memory when there is no room."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        self._shared = True
        try:
            _allocate(filename, BYTES_MIN)
            super().__init__(filename, read_mode)
        except OSError as error:
            Path(filename).unlink(missing_ok=True)  # readers fail on an empty file
            self._f, self._fname, self._positions, self._used = BytesIO(), filename, {}, 8
            self._capacity, self._m = BYTES_MIN, mmap.mmap(-1, BYTES_MIN)
            self._separate(error)

    def _init_value(self, key: str) -> None:
        needed = self._used + len(key.encode()) + KEY_OVERHEAD
        if needed > self._capacity:
            self._grow(max(needed, 2 * self._capacity))
        super()._init_value(key)

    def _grow(self, capacity: int) -> None:
        try:
            if not self._shared:
                raise OSError("counts separately already")
            _allocate(self._fname, capacity)
            grown = mmap.mmap(self._f.fileno(), capacity)
        except OSError as error:
            grown = mmap.mmap(-1, capacity)
            grown[: self._capacity] = self._m[: self._capacity]
            self._separate(error)
        self._capacity, self._m = capacity, grown

    def _separate(self, error: OSError) -> None:
        if not self._shared:
            return
        self._shared = False
        path = Path(self._fname)
        log.warning(
            "%s: %s. This worker counts separately from now on, and /metrics is incomplete: free space there, then"
            " restart the portal.", path.parent, error.strerror,
        )  # fmt: skip
        try:
            path.with_suffix(PRIVATE).touch()
        except OSError:
            log.warning("%s: not even a mark could be left there.", path.parent)


def _allocate(filename: str, size: int) -> None:
    """Give the file `size` bytes of disk. Raises OSError."""
    descriptor = os.open(filename, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)
