"""Claims: one holder per key, over all processes and containers, until it lets go or dies.

A claim is a lock on one byte of a file, chosen by a hash of the key; nothing is written. The lock belongs to the open
file (F_OFD_SETLK in fcntl(2)): the kernel releases it when its holder ends, however that ends.
"""

import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FLOCK = struct.Struct("hhqqi0q")  # struct flock: type, whence, start, length, process


@contextmanager
def claim(path: Path, key: str, *, wait: bool = False) -> Iterator[bool]:
    """Hold the key for the block; False where another holds it, or `wait` for it. `path` is created if missing."""
    offset = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=7).digest(), "big")
    file = _opened(path)
    try:
        yield _set(file, fcntl.F_WRLCK, offset, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK)
    finally:
        _set(file, fcntl.F_UNLCK, offset)  # a child that was forked meanwhile has the file open too
        os.close(file)


def _opened(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:  # a command that root runs: the portal, which is another user, must be able to open it
        owner = path.parent.stat()
        os.fchown(file, owner.st_uid, owner.st_gid)
    return file


def _set(file: int, kind: int, offset: int, how: int = fcntl.F_OFD_SETLK) -> bool:
    try:
        fcntl.fcntl(file, how, FLOCK.pack(kind, os.SEEK_SET, offset, 1, 0))
    except BlockingIOError:
        return False
    return True
