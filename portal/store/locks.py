"""flock(2) with a bounded wait: the kernel releases such a lock when its holder ends, however that ends."""

import fcntl
import time
from typing import IO

POLL_SECONDS = 0.02
ALONE, SHARED = fcntl.LOCK_EX, fcntl.LOCK_SH


def lock(file: int | IO[str] | IO[bytes], kind: int = ALONE, *, wait: float = 0) -> bool:
    """Hold the lock of an open file until that is closed; False if others hold it for longer than `wait` seconds."""
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        else:
            return True
