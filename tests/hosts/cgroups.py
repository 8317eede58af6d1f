"""A host's own control groups: what its processes live in, and how every one of them is found and ended."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """Where groups are made: the one tree of cgroup v2, or each controller's tree of v1."""
    if (MOUNT / "cgroup.controllers").exists():
        return [MOUNT]
    return [tree for tree in MOUNT.iterdir() if tree.is_dir() and not tree.is_symlink() and _usable(tree)]


def _usable(tree: Path) -> bool:
    return (tree / "cgroup.procs").exists()


@contextmanager
def groups(name: str) -> Iterator[list[Path]]:
    """One group called `name` in every hierarchy; they end empty, whatever ran in them."""
    remove(name)
    made = [tree / name for tree in hierarchies()]
    try:
        for group in made:
            group.mkdir()
            for setting in ("cpuset.cpus", "cpuset.mems"):
                if group.parent != MOUNT and (group / setting).exists():
                    (group / setting).write_text((group.parent / setting).read_text())
        yield made
    finally:
        remove(name)


def kill(name: str) -> None:
    """End every process of the groups called `name`. Raises TimeoutError if one survives 20 s."""
    deadline = time.monotonic() + 20
    while alive := _processes(name):
        for process in alive:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {sorted(alive)} of {name} survive SIGKILL.")
        time.sleep(0.02)


def remove(name: str) -> None:
    """End the processes of the groups called `name` and remove the groups; nothing happens if there are none."""
    kill(name)
    for tree in hierarchies():
        for directory, _, _ in os.walk(tree / name, topdown=False):
            with suppress(FileNotFoundError):
                Path(directory).rmdir()


def _processes(name: str) -> set[int]:
    found: set[int] = set()
    for tree in hierarchies():
        for directory, _, _ in os.walk(tree / name):
            with suppress(OSError):  # a session of the host ends, and its group with it
                found.update(map(int, (Path(directory) / "cgroup.procs").read_text().split()))
    return found
