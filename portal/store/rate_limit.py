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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from portal.settings import Settings
from portal.store.errors import RateLimited
from portal.store.layout import Layout

SLOTS = 1 << 18
SLOT = struct.Struct("<q")  # nanoseconds since 1970
SECOND = 10**9
EVERYBODY = "everybody"  # the key of a limit that all share


@dataclass(frozen=True)
class Rate:
    """At most `count` events of a key in `seconds`; `count` is a number, or the name of a setting.

    `what` names the events in the error message. `file` is the limit whose file is used, if not its own.
    """

    what: str
    count: int | str
    seconds: int
    file: str = ""

    def number(self, settings: Settings) -> int:
        return self.count if isinstance(self.count, int) else int(getattr(settings, self.count))


RATES: Mapping[str, Rate] = {
    "auth-failures": Rate("wrong tokens from this address", "auth_failures_per_minute", 60),
    "changes": Rate("changes of this developer", "changes_per_hour", 3600),
    "sign-ins": Rate("sign-ins with this token", "changes_per_hour", 3600, "changes"),  # which is there on a full disk
    "uploads": Rate("uploads of this developer", "uploads_per_hour", 3600),
    "publishers": Rate("tokens for jobs of this app", "uploads_per_hour", 3600),
    "chunks": Rate("chunks of this developer's uploads", 20_000, 3600),  # by tus, each of which is noted and flushed
    "csp-reports": Rate("CSP reports from this address", 10, 60),  # text of strangers, and the log is on the disk
    "all-csp-reports": Rate("CSP reports", 1000, 3600),
    "refusals": Rate("audit rows about refused log-ins or actions, per address or developer", 10, 3600),
    "all-refusals": Rate("audit rows about refused log-ins, and as many about actions", 30, 3600, "refusals"),
    "refusals-left-out": Rate("audit rows which say that refusals were left out", 1, 3600, "refusals"),
}
"""Whatever can be repeated without end and writes something, or guesses."""


class RateLimit:
    """At most `count` events per key in a burst, refilled evenly over `seconds`."""

    def __init__(self, path: Path, what: str, count: int, seconds: int) -> None:
        """Open `path`, creating it if needed; `what` names the events in the error message."""
        self._what = what
        self._interval = seconds * SECOND // count
        self._burst = seconds * SECOND
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with suppress(OSError):  # a full disk, on which an operator signs in to make room
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
            with suppress(OSError):  # what cannot be noted is not refused either
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


def rate_limit(settings: Settings, name: str) -> RateLimit:
    """One of RATES, shared by all that open it."""
    rate = RATES[name]
    path = Layout(settings.root).area("data") / f"{rate.file or name}.limit"
    return RateLimit(path, rate.what, rate.number(settings), rate.seconds)
