"""A small disk, made without root, that a test can fill."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class SmallDisk:
    """A file system in memory that only the processes of one mount namespace see, below `path`."""

    holder: subprocess.Popen[bytes]
    path: Path

    def run(self, *command: str | Path) -> str:
        return subprocess.run([*self.inside(), *command], check=True, capture_output=True, text=True).stdout

    def inside(self) -> list[str]:
        return ["nsenter", "--target", str(self.holder.pid), "--user", "--mount", "--preserve-credentials"]

    def fill(self) -> None:
        """Take every byte that is free."""
        copied = subprocess.run(
            [*self.inside(), "dd", "if=/dev/zero", f"of={self.path}/fill", "bs=4k"], capture_output=True
        )  # fmt: skip
        assert b"No space left" in copied.stderr

    def resize(self, mebibytes: int) -> None:
        self.run("mount", "-o", f"remount,size={mebibytes}m", self.path)

    @property
    def seen(self) -> Path:
        """Where this process finds it."""
        return Path(f"/proc/{self.holder.pid}/root{self.path}")


UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]


@contextmanager
def small_disk_at(path: Path) -> Iterator[SmallDisk]:
    """64 MiB in the directory `path`, which is made. Skips the test where that takes root."""
    if shutil.which("unshare") is None or subprocess.run([*UNSHARE, "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces here: a small file system cannot be mounted")
    path.mkdir()
    mount = 'mount -t tmpfs -o size=64m tmpfs "$0" && echo mounted && exec sleep infinity'
    holder = subprocess.Popen([*UNSHARE, "sh", "-c", mount, path], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"mounted\n"
        yield SmallDisk(holder, path)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
