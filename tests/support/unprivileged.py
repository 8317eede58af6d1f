"""What a user who is not root may not do, whoever runs the tests."""

import importlib.readers  # noqa: F401 - reading a package's files imports it, which only root may do if Python is in /root
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def unreadable(*paths: Path) -> Iterator[None]:
    """Inside, nobody may read or enter these directories, and this process is not root."""
    root = os.geteuid() == 0
    modes = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(0)
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)
