#!/usr/bin/python3
"""What DSM does early at every boot: it writes its own files anew and puts what stands in a share's way aside."""

from pathlib import Path

from accounts import regenerate
from syno import VOLUME, state
from tasks import rewrite_crontab

SUBVOLUME_INODE = 256


def main() -> None:
    regenerate()
    rewrite_crontab()
    with state("shares") as shares:
        names = [*shares]
    for path in (VOLUME / name for name in names):
        if path.exists() and path.stat().st_ino != SUBVOLUME_INODE:
            number = next(n for n in range(1, 100) if not Path(f"{path}_{n}").exists())
            path.rename(f"{path}_{number}")


if __name__ == "__main__":
    main()
