"""Read-only Btrfs snapshots of the store's root, where that is a subvolume of the store's own user.

They cost no space until files change, and bring back what was deleted by mistake; a lost disk takes them with it.
They are generations below the root itself. No capability is needed: the owner of a subvolume may snapshot it, and may
delete a snapshot as a directory once it is writable.
"""

import errno
import fcntl
import os
import struct
from datetime import datetime
from pathlib import Path

from portal.recovery import generations
from portal.store import files

SNAP_CREATE_V2 = 0x50009417  # linux/btrfs.h
SUBVOL_GETFLAGS = 0x80089419
SUBVOL_SETFLAGS = 0x4008941A
RDONLY = 2
CREATE = "=qQQ32x4040s"  # struct btrfs_ioctl_vol_args_v2: fd, transid, flags, unused, name
FIRST_INODE = 256  # of every subvolume
REFUSALS = {errno.EPERM, errno.EACCES, errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.EXDEV}


def is_subvolume(path: Path) -> bool:
    """Whether `path` is the top of a Btrfs subvolume."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, SUBVOL_GETFLAGS, bytes(8))
        return os.fstat(descriptor).st_ino == FIRST_INODE
    except OSError:
        return False
    finally:
        os.close(descriptor)


def snapshot(root: Path, at: datetime | None, keep: int) -> Path | None:
    """Make a snapshot of `root` as it is on the disk, and keep those of the last `keep` days.

    None where there is nothing to do, or this user may not. Raises OSError.
    """
    if not keep or not is_subvolume(root):
        return None
    generations.discard_expired(root)
    made = generations.following(root, at)
    try:
        files.make_directory(made.path.parent)
        _create(root, made.path)
    except OSError as error:
        if error.errno in REFUSALS:
            return None
        raise
    for old in generations.expired(generations.listed(root), daily=keep, weekly=0, whole=True):
        _set_writable(old.path)
        generations.delete(old)
    return made.path


def _create(source: Path, target: Path) -> None:
    what, where = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (source, target.parent))
    try:
        fcntl.ioctl(where, SNAP_CREATE_V2, bytearray(struct.pack(CREATE, what, 0, RDONLY, target.name.encode())))
    finally:
        os.close(what)
        os.close(where)


def _set_writable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, SUBVOL_SETFLAGS, struct.pack("=Q", 0))
    finally:
        os.close(descriptor)
