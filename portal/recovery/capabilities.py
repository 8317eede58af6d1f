"""What the file system of the drive can do, found by trying it: each kind of drive is copied to in its own way."""

import ctypes
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from portal.recovery.errors import BackupError

PROBE = ".mosis-probe"
INABILITIES = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EINVAL}
FULL = "Delete the oldest directories below `generations` and keep fewer, or attach a larger drive."
ODD_SECOND = 1_700_000_001
CDLL = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Capabilities:
    """`resolution` of a file's time in seconds, None where it cannot be set; `modes` that files and directories have
    where chmod(2) fails.
    """

    links: bool
    resolution: int | None
    modes: tuple[int, int] | None

    @property
    def generations(self) -> bool:
        """Whether whole trees can share their files: those that rsync knows again by their times."""
        return self.links and self.resolution is not None

    @property
    def options(self) -> list[str]:
        """How rsync copies to such a drive without asking for what it cannot do."""
        options = ["--omit-dir-times"]
        if self.resolution is not None:
            options.append("--times")
        if self.resolution:
            options.append(f"--modify-window={self.resolution}")
        if self.modes:  # rsync calls chmod(2) for every file whose mode is another one
            options.append("--chmod=F{:o},D{:o}".format(*self.modes))
        return options

    @property
    def umask(self) -> int:
        """For rsync, so that it asks for no other modes than `modes`; -1: the process's own."""
        return 0 if self.modes else -1

    @property
    def passes(self) -> list[list[str]]:
        """How rsync finds what to copy, one run each: without times by what is newer here, then by size."""
        return [[]] if self.resolution is not None else [["--update"], ["--size-only"]]

    def __str__(self) -> str:
        if self.generations:
            return "hard links: each generation is a whole tree"
        if self.resolution is None:
            return "file times cannot be set, sizes are compared: mount the drive with uid= of the store's user"
        return "no hard links: one tree, and what each run replaced or deleted"


def probe(directory: Path) -> Capabilities:
    """Try it with a file that is gone afterwards. Raises BackupError where nothing can be written."""
    path, link = directory / PROBE, directory / f"{PROBE}-link"
    try:
        link.unlink(missing_ok=True)
        verify(directory)
        path.touch()
        try:
            links = _able(lambda: link.hardlink_to(path))
            modes = None if _able(lambda: path.chmod(0o600)) else (_mode(path), _mode(directory))
            return Capabilities(links, _resolution(path), modes)
        finally:
            link.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(directory, error) from error


def flush(directory: Path) -> None:
    """Write everything to the disk, and prove it by a file that is written, flushed and read back.

    Raises BackupError: fsync(2) and syncfs(2) report errors of a drive that is gone, sync(2) does not.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if CDLL.syncfs(descriptor):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(descriptor)
        verify(directory)
    except OSError as error:
        raise _unwritable(directory, error) from error


def verify(directory: Path) -> None:
    """Raises OSError unless a new file can be written, flushed and read back from the disk."""
    path, content = directory / PROBE, os.urandom(4096)
    path.unlink(missing_ok=True)
    try:
        with path.open("xb", buffering=0) as file:
            file.write(content)
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # so that the disk answers, not the cache
        if path.read_bytes() != content:
            raise OSError(errno.EIO, "what was written is not what is read")
    finally:
        path.unlink(missing_ok=True)


def _able(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError as error:
        if error.errno in INABILITIES:
            return False
        raise
    return True


def _resolution(path: Path) -> int | None:
    if not _able(lambda: os.utime(path, (ODD_SECOND, ODD_SECOND))):
        return None
    off = abs(int(path.stat().st_mtime) - ODD_SECOND)
    return off and off + 1 if off < 2 else None


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _unwritable(directory: Path, error: OSError) -> BackupError:
    reasons = {
        errno.EROFS: "It is mounted read-only: check the file system of the drive and mount it anew.",
        errno.ENOSPC: FULL,
        errno.EACCES: "Mount the drive so that the user of the store may write there.",
    }
    remedy = reasons.get(error.errno or 0, "Check the drive and its cable, and attach it anew.")
    return BackupError(f"{directory} cannot be written: {error.strerror}. {remedy}")
