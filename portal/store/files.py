"""Durable writes: to a temporary file beside the target, fsync, rename, fsync of the directory.

Callers commit the database afterwards and respond last, so that a response never precedes the disk. A crash leaves a
file under `temp/` or a directory without a row; neither is ever served.
"""

import ctypes
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType

from portal.store.errors import Refused

DIRECTORY_MODE = 0o755
FILE_MODE = 0o644

WRITE_BEHIND = 4 * 1024 * 1024  # bytes
SYNC_FILE_RANGE = ctypes.CDLL(None).sync_file_range
SYNC_FILE_RANGE.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
SYNCFS = ctypes.CDLL(None, use_errno=True).syncfs
SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h


@dataclass(frozen=True)
class Received:
    """A complete file on disk: size in bytes, SHA-256 in hex."""

    size: int
    sha256: str


class Sink:
    """Writes a body to a new file chunk by chunk and hashes it meanwhile, in constant memory."""

    def __init__(self, path: Path, limit: int, *, durable: bool = True) -> None:
        """Create `path`, which must not exist. `limit` is the most bytes accepted. If not `durable`, `finish` leaves
        the fsync to the one who moves the file to where it stays.
        """
        self._limit = limit
        self._durable = durable
        self._digest = hashlib.sha256()
        self._size = 0
        self._file = path.open("xb", buffering=0)

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append a chunk. Raises Refused (FILE_TOO_LARGE) beyond the limit, OSError when the disk fails."""
        self._size += len(chunk)
        if self._size > self._limit:
            raise Refused("FILE_TOO_LARGE", f"The file is larger than {self._limit} bytes.")
        self._digest.update(chunk)
        write_all(self._file, chunk)

    def finish(self) -> Received:
        """Close the complete file."""
        os.fchmod(self._file.fileno(), FILE_MODE)
        if self._durable:
            os.fsync(self._file.fileno())
        self._file.close()
        return Received(self._size, self._digest.hexdigest())

    def close(self) -> None:
        self._file.close()


def write_all(file: FileIO, chunk: bytes | bytearray | memoryview) -> None:
    """Write all of `chunk` to an unbuffered file and start writeback, so that disk and network work in parallel.

    Errors of the writeback are reported by the fsync(2) that follows.
    """
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]
    end = file.tell()
    if end // WRITE_BEHIND > (end - len(chunk)) // WRITE_BEHIND:
        SYNC_FILE_RANGE(file.fileno(), 0, end, SYNC_FILE_RANGE_WRITE)


def write_file(
    path: Path, data: bytes, *,
    mode: int = FILE_MODE, replace: bool = True, durable: bool = True, scratch: Path | None = None,
) -> Received:  # fmt: skip
    """Write `data` to `path` atomically. With `replace=False`, raises FileExistsError if `path` exists.

    If not `durable`, a power cut may leave an incomplete file. A crash leaves a file in the directory `scratch`, beside
    `path` unless it is given.
    """
    make_directory(path.parent)
    beside = (scratch or path.parent) / f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        with _named(path), os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if replace:
            beside.replace(path)
        else:
            path.hardlink_to(beside)
    finally:
        beside.unlink(missing_ok=True)
    if durable:
        flush_directory(path.parent)
    return Received(len(data), hashlib.sha256(data).hexdigest())


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of write(2) and fsync(2) name no file; the message of a full disk should."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def place_directory(source: Path, target: Path) -> None:
    """Move a directory of flushed files to `target`. Raises FileExistsError if `target` has files.

    rename(2) does not replace a directory that is not empty, so a published package is never replaced. When the disk
    fails, the directory is moved back.
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
    """Create `path` and its parents durably."""
    for directory in create_directory(path):
        flush_directory(directory.parent)


def create_directory(path: Path) -> list[Path]:
    """Create `path` and its parents, and return those that were missing, outermost first; the caller flushes them."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    return missing[::-1]


def flush_directory(path: Path) -> None:
    """Fsync a directory, so that its entries are on disk."""
    _flush(path, os.O_RDONLY | os.O_DIRECTORY)


def flush_file_system(path: Path) -> None:
    """Flush everything on the file system of a directory: faster than file by file where there are many."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if SYNCFS(descriptor):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    finally:
        os.close(descriptor)


def flush_file(path: Path) -> None:
    """Fsync a closed file."""
    _flush(path, os.O_RDONLY)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard(path: Path) -> None:
    """Remove a directory tree, if it exists."""
    shutil.rmtree(path, ignore_errors=False, onerror=_unless_missing)


def _unless_missing(
    _function: object, _path: str, error: tuple[type[BaseException], BaseException, TracebackType]
) -> None:
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content(path: Path, most: int) -> bytes:
    """The first `most` bytes of a regular file, and one more if it is longer. Raises OSError for anything else.

    A name on a drive may be a pipe, or lead to a device without end.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb") as file:
        return file.read(most + 1)


@dataclass(frozen=True)
class Usage:
    """Bytes of all files that may be read, and the directories that may not, such as `lost+found`."""

    bytes: int
    unreadable: tuple[Path, ...] = ()


def disk_usage(paths: Iterable[Path]) -> Usage:
    """The total size of all files below `paths`: one with several names once, one removed meanwhile not at all."""
    total, unreadable, pending, linked = 0, [], list(paths), set[int]()
    while pending:
        path = pending.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                    else:
                        total += _size(entry, linked)
        except FileNotFoundError:
            continue
        except OSError:
            unreadable.append(path)
    return Usage(total, tuple(unreadable))


def _size(entry: os.DirEntry[str], linked: set[int]) -> int:
    """The size of a file, 0 if its inode is among the `linked`, to which it is added if it has other names."""
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return 0
    if found.st_nlink > 1:
        if found.st_ino in linked:
            return 0
        linked.add(found.st_ino)
    return found.st_size
