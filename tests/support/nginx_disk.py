"""What nginx keeps on the disk for its connections. It deletes these files at once, so `du` does not see them."""

import stat
from pathlib import Path

BLOCK = 512  # bytes, of st_blocks


def temporary_bytes(root: Path) -> int:
    """Bytes on the disk in temporary files that the workers of the nginx below `root` hold open."""
    return sum(_allocated(worker) for worker in _workers(root))


def _workers(root: Path) -> list[Path]:
    master = int((root / "run/nginx.pid").read_text())
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return [Path(f"/proc/{child}") for child in children]


def _allocated(worker: Path) -> int:
    found = {}
    for descriptor in (worker / "fd").iterdir():
        try:
            file, name = descriptor.stat(), str(descriptor.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
        if stat.S_ISREG(file.st_mode) and "/run/nginx-" in name:
            found[file.st_ino] = file.st_blocks * BLOCK
    return sum(found.values())


def bytes_read(root: Path) -> int:
    """Bytes that the workers have read from anything since they started; it stands still when they wait for clients."""
    lines = [line for worker in _workers(root) for line in (worker / "io").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("rchar:"))
