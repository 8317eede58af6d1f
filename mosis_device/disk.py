"""What a power cut must not take."""

import os
from pathlib import Path


def flush(path: Path) -> None:
    """Have the system write a file, or the names in a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, data: bytes) -> None:
    """Write a file so that after a crash it is the old one or the new one."""
    fresh = path.with_name(path.name + ".fresh")
    fresh.write_bytes(data)
    flush(fresh)
    fresh.replace(path)
    flush(path.parent)
