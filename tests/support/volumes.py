"""Real file systems on loop devices, for tests that run as root."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

MIB = 1024 * 1024


@dataclass(frozen=True)
class Kind:
    """How a file system is made and mounted: `{image}` is a file, `{device}` its loop device, `{uid}` the owner."""

    make: str
    mount: str
    mib: int = 64


KINDS = {
    "ext4": Kind("mkfs.ext4 -q -F {image}", "mount -o loop {image} {at}"),
    "btrfs": Kind("mkfs.btrfs -q {image}", "mount -o loop {image} {at}", mib=128),
    "ntfs": Kind("mkfs.ntfs -q -F -Q {image}", "ntfs-3g -o uid={uid},umask=000 {device} {at}"),
    "exfat": Kind("mkfs.exfat {image}", "mount.exfat-fuse -o uid={uid},umask=000 {device} {at}"),
    "fat": Kind("mkfs.vfat -F 32 {image}", "fusefat -o rw+,allow_other {image} {at}"),
}


@contextmanager
def mounted(name: str, place: Path, *, uid: int = 0) -> Iterator[Path]:
    """An empty file system below `place`. Skips the test where this machine cannot mount it."""
    kind, image, at = KINDS[name], place / f"{name}.img", place / name
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    for program in (kind.make, kind.mount):
        if not shutil.which(program.split()[0]):
            pytest.skip(f"{program.split()[0]} is not installed")
    at.mkdir(parents=True)
    image.touch()
    os.truncate(image, kind.mib * MIB)
    _possible(kind.make.format(image=image))
    device = _possible(f"losetup --find --show {image}").strip() if "{device}" in kind.mount else ""
    try:
        _possible(kind.mount.format(image=image, device=device, at=at, uid=uid))
        try:
            yield at
        finally:
            subprocess.run(["umount", at], check=True)
    finally:
        if device:
            subprocess.run(["losetup", "--detach", device], check=True)
        image.unlink()


def _possible(command: str) -> str:
    """What the command prints. Skips the test where this machine cannot do it, as in a container."""
    done = subprocess.run(command.split(), check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"{command}: {done.stderr.strip()}")
    return done.stdout
