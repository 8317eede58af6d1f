"""What the store takes of the disk, deleted files that are open too: nginx deletes its own at once, unseen by `du`."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

BLOCK = 512  # bytes, of st_blocks


def used(root: Path, pids: Iterable[int]) -> int:
    """Bytes on the disk of all files below `root`, and of deleted ones that these processes hold open."""
    found = dict(_named(root))
    for pid in pids:
        found.update(_deleted(pid))
    return sum(found.values())


def _named(directory: Path) -> Iterable[tuple[tuple[int, int], int]]:
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _named(Path(entry))
            else:
                with suppress(OSError):
                    yield _size(entry.stat(follow_symlinks=False))


def _deleted(pid: int) -> Iterable[tuple[tuple[int, int], int]]:
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found = descriptor.stat()
                if stat.S_ISREG(found.st_mode) and found.st_nlink == 0:
                    yield _size(found)


def _size(found: os.stat_result) -> tuple[tuple[int, int], int]:
    return (found.st_dev, found.st_ino), found.st_blocks * BLOCK
