"""Rate limits shared by all workers: the generic cell rate algorithm (ITU-T I.371) in a file of fixed size.

A limit needs one number per key: the time when its bucket is full again. A hash of the key selects the number's slot in
the file, so the file does not grow with the number of attackers; two keys share a slot with a chance of 1 in 262,144.
"""

import fcntl
import hashlib
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.store.errors import RateLimited

SLOTS = 1 << 18
SLOT = struct.Struct("<q")  # nanoseconds since 1970
SECOND = 10**9


class RateLimit:
    """At most `count` events per key in a burst, refilled evenly over `seconds`."""

    def __init__(self, path: Path, what: str, count: int, seconds: int) -> None:
        """Open `path`, creating it if needed; `what` names the events in the error message."""
        self._what = what
        self._interval = seconds * SECOND // count
        self._burst = seconds * SECOND
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(self._file, 0, SLOTS * SLOT.size)
        self._thread = threading.Lock()

    def take(self, key: str) -> None:
        """Count one event. Raises RateLimited, without counting, when the limit is exceeded."""
        digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
        offset = int.from_bytes(digest, "big") % SLOTS * SLOT.size
        with self._exclusively():
            now = time.time_ns()
            slot = os.pread(self._file, SLOT.size, offset)
            (full_at,) = SLOT.unpack(slot.ljust(SLOT.size, b"\0"))  # somebody may have emptied the file
            if not now <= full_at <= now + self._burst:  # over, or from before the clock was set back
                full_at = now
            wait = full_at + self._interval - self._burst - now
            if wait > 0:
                seconds = -(-wait // SECOND)
                raise RateLimited(f"Too many {self._what}; try again in {seconds} s.", seconds)
            os.pwrite(self._file, SLOT.pack(full_at + self._interval), offset)

    def close(self) -> None:
        os.close(self._file)

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        # flock(2) belongs to the open file, which all threads of a worker share: they need a lock of their own.
        with self._thread:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
