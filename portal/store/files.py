"""The one way to write to disk: beside the target, flushed, renamed into place, directory flushed.

Whoever calls commits the database afterwards and answers last, so that an answer is never ahead of the disk.
A crash leaves a file under `temp/` or a directory that no row names; neither is ever served.
"""

import ctypes
import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from portal.store.errors import Refused

DIRECTORY_MODE = 0o755
FILE_MODE = 0o644

WRITE_BEHIND = 4 * 1024 * 1024  # bytes
SYNC_FILE_RANGE = ctypes.CDLL(None).sync_file_range
SYNC_FILE_RANGE.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h


@dataclass(frozen=True)
class Received:
    """A file that is whole on disk: size in bytes, SHA-256 in hex."""

    size: int
    sha256: str


class Sink:
    """Takes a body chunk by chunk to a new file and hashes it on the way; memory does not grow with the body."""

    def __init__(self, path: Path, limit: int) -> None:
        """Create `path`, which must not exist. `limit` is the most bytes taken."""
        self._limit = limit
        self._digest = hashlib.sha256()
        self._size = 0
        self._file = path.open("xb", buffering=0)

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append. Raises Refused (FILE_TOO_LARGE) past the limit, OSError when the disk fails."""
        self._size += len(chunk)
        if self._size > self._limit:
            raise Refused("FILE_TOO_LARGE", f"The file is larger than {self._limit} bytes.")
        self._digest.update(chunk)
        write_all(self._file, chunk)

    def finish(self) -> Received:
        """Flush to the disk and close."""
        os.fchmod(self._file.fileno(), FILE_MODE)
        os.fsync(self._file.fileno())
        self._file.close()
        return Received(self._size, self._digest.hexdigest())

    def close(self) -> None:
        self._file.close()


def write_all(file: FileIO, chunk: bytes | bytearray | memoryview) -> None:
    """Write all of `chunk` to an unbuffered file, beginning to flush it: the disk works while the network does.

    What goes wrong there is the answer of the fsync(2) that follows.
    """
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]
    end = file.tell()
    if end // WRITE_BEHIND > (end - len(chunk)) // WRITE_BEHIND:
        SYNC_FILE_RANGE(file.fileno(), 0, end, SYNC_FILE_RANGE_WRITE)


def write_file(path: Path, data: bytes, *, mode: int = FILE_MODE, replace: bool = True) -> Received:
    """Put `data` at `path` whole or not at all. With `replace=False` an existing file stays: FileExistsError."""
    make_directory(path.parent)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            beside.replace(path)
        else:
            path.hardlink_to(beside)
    finally:
        beside.unlink(missing_ok=True)
    flush_directory(path.parent)
    return Received(len(data), hashlib.sha256(data).hexdigest())


def place_directory(source: Path, target: Path) -> None:
    """Move a flushed directory of flushed files to `target`, which must not hold files: else FileExistsError.

    rename(2) refuses a directory that is not empty, so a published package is never replaced. When the disk fails the
    directory is where it was.
    """
    make_directory(target.parent)
    try:
        source.rename(target)
    except OSError as error:
        if target.is_dir():
            raise FileExistsError(error.errno, "already exists", str(target)) from error
        raise
    try:
        flush_directory(target.parent)
        flush_directory(source.parent)
    except OSError:
        target.rename(source)
        raise


def make_directory(path: Path) -> None:
    """Create `path` and its parents so that they survive a power cut."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        flush_directory(directory.parent)


def flush_directory(path: Path) -> None:
    """fsync a directory: its names are on the disk afterwards."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard(path: Path) -> None:
    """Remove a directory and what is in it; nothing to do when it is gone already."""
    shutil.rmtree(path, ignore_errors=False, onerror=_unless_missing)


def _unless_missing(_function: object, _path: str, error: tuple) -> None:
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]


def digest(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def disk_usage(paths: Iterable[Path]) -> int:
    """Sum of the sizes of all files below `paths`, bytes. Files that vanish meanwhile count nothing."""
    total = 0
    pending = list(paths)
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return total
