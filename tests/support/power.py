"""A disk whose power can be cut: what was not flushed is gone (ext4's shutdown ioctl on a loop mount, as root)."""

import fcntl
import itertools
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.volumes import mounted

EXT4_IOC_SHUTDOWN = 0x8004587D  # linux/fs/ext4/ext4.h
NO_LOG_FLUSH = 2
NUMBERS = itertools.count()  # of images


@dataclass
class Disk:
    """An ext4 in the file `image`, mounted at `at`."""

    image: Path
    at: Path

    def flush(self) -> None:
        subprocess.run(["sync", "--file-system", self.at], check=True)

    def cut(self) -> None:
        """Lose what was not flushed, and mount what remains.

        That is a copy: a process with a mount namespace of its own may keep the old file system alive.
        """
        directory = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(directory)
        remains = self.image.with_name(f"{next(NUMBERS)}.img")
        subprocess.run(["cp", "--sparse=always", self.image, remains], check=True)
        subprocess.run(["umount", self.at], check=True)
        subprocess.run(["mount", "-o", "loop", remains, self.at], check=True)
        if self.image.stem.isdecimal():
            self.image.unlink()
        self.image = remains


@contextmanager
def disk(place: Path) -> Iterator[Disk]:
    """An empty disk below `place`. Skips the test where this machine has none."""
    with mounted("ext4", place) as at:
        yield Disk(place / "ext4.img", at)
