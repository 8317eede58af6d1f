"""Times are whole seconds since 1970 in UTC, in the database and on disk."""

import ctypes
import time
from datetime import UTC, datetime

UNSYNCHRONIZED = 0x0040  # STA_UNSYNC of linux/timex.h: set at boot and by whoever sets the clock, cleared by NTP
AGREE_SECONDS = 2


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2); with `modes` 0 the call only reads, which needs no privilege."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),
    )


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())


def rfc3339(at: int) -> str:
    """Format seconds since 1970 as in `2026-02-03T04:05:06Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def synchronized() -> bool:
    """Whether the kernel's clock is synchronized with a reference, and is this process's clock.

    It need not be: libfaketime and the like give a process another one. False where the kernel may not be asked.
    """
    timex = _Timex()
    if ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) < 0:
        return False
    return not timex.status & UNSYNCHRONIZED and abs(timex.seconds - now()) <= AGREE_SECONDS
