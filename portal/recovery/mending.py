"""Find files that differ from the database, set them aside and mend them from a good copy, while the portal serves.

A damaged file is renamed into quarantine at once: a device then gets FILE_NOT_FOUND, never bytes that differ from their
entity tag. What is mended is complete and checked before it takes the name of the damaged one.
"""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic, sleep

from portal.packages.manifest import PATH as MANIFEST
from portal.recovery import records
from portal.store import audit, files, known_files, placement
from portal.store.errors import Refused
from portal.store.known_files import NamedFile
from portal.store.layout import Layout
from portal.store.store import Store

CHUNK = 1024 * 1024  # bytes
CLOCK_GRAIN = 2  # seconds, of FAT
TRIES = 2  # a bit that flipped on the way from the disk is right the next time

STORE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # of writing, not of reading a copy

Throttle = Callable[[int], None]


@dataclass(frozen=True)
class Read:
    """A file as found on disk: SHA-256 in hex, and which inode had it."""

    sha256: str
    inode: int


def throttle(bytes_per_second: float) -> Throttle:
    """A function that is called with the bytes just read, and waits so that the rate is not exceeded."""
    free_at = monotonic()

    def took(size: int) -> None:
        nonlocal free_at
        free_at = max(free_at, monotonic()) + size / bytes_per_second
        sleep(max(0.0, free_at - monotonic()))

    return took


def read(path: Path, took: Throttle) -> Read:
    """Hash a file as it is on the disk, not in the page cache. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        digest = sha256()
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            took(len(chunk))
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return Read(digest.hexdigest(), os.fstat(file.fileno()).st_ino)


def fault(path: Path, file: NamedFile, took: Throttle) -> tuple[str, int] | None:
    """What is wrong with the copy of `file` at `path`, as a phrase, and its inode (0: none); None if it is good."""
    wrong, inode = "", 0
    for _ in range(TRIES):
        try:
            before = path.stat()
            inode = before.st_ino
            if not stat.S_ISREG(before.st_mode):  # on a drive of somebody else perhaps a pipe, or a device without end
                return "cannot be read: not a regular file", inode
            if before.st_size != file.size:
                return "is damaged", inode
            found = read(path, took)
        except FileNotFoundError:
            return "is missing", 0
        except OSError as error:
            wrong = f"cannot be read: {error.strerror}"
            continue
        if found.sha256 == file.sha256:
            return None
        wrong, inode = "is damaged", found.inode
    return wrong, inode


def is_copy(path: Path, file: NamedFile) -> bool:
    """Whether `path` on a drive is meant to be this file, not one that had its path before or since, or nothing.

    The record beside a package says so. Before releases that wrote records, its time did; a restore of an earlier
    state is no older than those.
    """
    try:
        changed = path.stat().st_mtime
    except OSError:
        return False
    if file.manifest and (recorded := records.digest_beside(path)):
        return recorded == file.sha256
    return changed + CLOCK_GRAIN >= file.since


def manifest_fault(directory: Path, file: NamedFile) -> str | None:
    """What is wrong with the manifest beside a package, as a phrase; None if it is as the database has it, and for an
    image, which has none.
    """
    if file.manifest is None:
        return None
    try:
        expected = file.manifest.encode()
        return None if files.content(directory / MANIFEST, len(expected)) == expected else "is damaged"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def manifest_is_good(directory: Path, file: NamedFile) -> bool:
    return manifest_fault(directory, file) is None


def quarantine(store: Store, file: NamedFile, inode: int) -> bool:
    """Set a damaged file aside; False if it was deleted or replaced since it was read.

    It is renamed where it is, which needs no room on the disk, and then moved: quarantine may be on another one.
    """
    source, target = file.below(store.layout.root), store.layout.quarantine / file.path
    hidden = source.with_name(f".{source.name}.damaged")
    with store.db.write() as tx:
        if not known_files.current(tx, store.layout, file) or not _is(source, inode):
            return False
        source.replace(hidden)
        if file.plain and _is(plain := store.layout.root / file.plain, inode):
            plain.unlink()  # the same damaged file
        files.flush_directory(source.parent)
        audit.append(tx, audit.OPERATOR, "file.quarantine", str(file.path), sha256=file.sha256)
    files.make_directory(target.parent)
    shutil.move(hidden, target)
    return True


def mend(store: Store, file: NamedFile, candidates: Iterable[Path], *, source: str = "") -> Path | None:
    """Put the first good one of `candidates` in the place of a file that is missing; None if there is none.

    `source` is where they come from, if their paths do not say it.
    """
    with _place(store.layout) as place:
        for candidate in candidates:
            copy = place / file.path.name
            if not _copy(candidate, copy, file):
                continue
            if not _put(store, file, copy, source or str(candidate)):
                return None
            (store.layout.quarantine / file.path).unlink(missing_ok=True)
            return candidate
    return None


def _put(store: Store, file: NamedFile, copy: Path, source: str) -> bool:
    target = store.layout.root / file.path
    files.make_directory(target.parent)
    with store.db.write() as tx:
        if not known_files.current(tx, store.layout, file):
            return False
        copy.replace(target)
        files.flush_directory(target.parent)
        if file.plain:
            placement.name_image(target, store.layout.root / file.plain)
        audit.append(tx, audit.OPERATOR, "file.repair", str(file.path), sha256=file.sha256, copy=source)
    return True


def mend_manifest(store: Store, file: NamedFile) -> None:
    """Write the manifest beside a package anew, from the database."""
    with store.db.write() as tx:
        if file.manifest and known_files.current(tx, store.layout, file):
            path = file.path.with_name(MANIFEST)
            files.write_file(store.layout.root / path, file.manifest.encode(), scratch=store.layout.area("temp"))
            audit.append(tx, audit.OPERATOR, "file.repair", str(path), copy="the database")


def mend_copy(good: Path, damaged: Path, others: Iterable[Path]) -> None:
    """Replace a damaged copy on a drive by a good file, under every name of `others` that is the same file.

    Raises OSError.
    """
    inode = damaged.stat().st_ino if damaged.exists() else 0
    names = [damaged, *(path for path in others if path != damaged and _is(path, inode))]
    beside = damaged.with_name(f".{damaged.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        shutil.copyfile(good, beside)
        times = good.stat()
        with suppress(OSError):  # a drive that keeps no times; the next backup compares sizes then
            os.utime(beside, ns=(times.st_atime_ns, times.st_mtime_ns))
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        for name in names[1:]:
            link = name.with_name(beside.name)
            link.hardlink_to(beside)
            link.replace(name)
        beside.replace(damaged)
    finally:
        beside.unlink(missing_ok=True)


def quarantined(layout: Layout) -> int:
    """How many files are set aside and not mended."""
    return sum(len(names) for _, _, names in os.walk(layout.quarantine))


@contextmanager
def _place(layout: Layout) -> Iterator[Path]:
    place = layout.staging(f"mend-{secrets.token_hex(8)}")
    files.make_directory(place)
    try:
        yield place
    finally:
        files.discard(place)


def _copy(candidate: Path, copy: Path, file: NamedFile) -> bool:
    """Copy to the store's disk; False, and nothing left, if the candidate is not what the database has."""
    if not candidate.is_file():
        return False
    try:
        with candidate.open("rb") as source, closing(files.Sink(copy, file.size)) as sink:
            while chunk := source.read(CHUNK):
                sink.write(chunk)
            good = sink.finish().sha256 == file.sha256
    except Refused:  # larger than it should be
        good = False
    except OSError as error:
        if error.errno in STORE_ERRORS:
            raise
        good = False  # missing, unreadable
    if not good:
        copy.unlink(missing_ok=True)
    return good


def _is(path: Path, inode: int) -> bool:
    try:
        return path.stat().st_ino == inode
    except OSError:
        return False
