"""The signed catalogue as the mirror copies it: one state of it, in the order in which devices may come upon its files.

A state is what one timestamp leads to, and devices must find everything that they are led to. So the bucket gets
documents once it has the packages that they name, then the bins that name the documents, the snapshot, and the
timestamp. New roots come last, since what is signed with new keys is signed with the old ones too. No name but the
timestamp's is written twice, so an interrupted copy leaves the earlier state whole.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from portal.faults import Fault
from portal.mirror.record import Record
from portal.mirror.wanted import Wanted
from portal.store import catalogue_files
from portal.store.layout import Layout

if TYPE_CHECKING:
    from portal.mirror.trusted import File, Trusted

APP_ID = f"{catalogue_files.DIRECTORY}/"
"""Stands for an app in the record; no app has this ID."""
TIMESTAMP = f"{catalogue_files.DIRECTORY}/{catalogue_files.TIMESTAMP}"


class CatalogueError(Fault):
    """The catalogue on the disk is not copied, because devices would refuse it."""


@dataclass(frozen=True)
class State:
    """A state of the catalogue: its `version`, the `keys` of all its objects, and what the bucket lacks, in `stages`.

    A stage is copied once the one before it is complete. `waits_for` is a package that a document names and the bucket
    has not got: until it is there, nothing is copied.
    """

    version: int
    keys: frozenset[str]
    stages: tuple[tuple[Wanted, ...], ...]
    waits_for: str | None
    version_of: Callable[[bytes], int]
    """The version of another timestamp, 0 if devices do not trust it."""


def timestamp(layout: Layout) -> bytes | None:
    """The timestamp of this moment, None without a catalogue. Raises OSError.

    Read it before the database is scanned: then everything that it leads to was published before the scan.
    """
    try:
        return catalogue_files.path(layout, catalogue_files.TIMESTAMP).read_bytes()
    except FileNotFoundError:
        return None


def require_newer(found: State, current: bytes, there: bytes | None) -> None:
    """`there` is the timestamp in the bucket: no device that has seen it accepts an earlier one.

    Raises CatalogueError.
    """
    version = found.version_of(there) if there is not None and there != current else 0
    if version >= found.version:
        raise CatalogueError(
            f"The catalogue in the bucket has version {version}, and that of the store {found.version}, which"
            " devices would refuse. `mosis catalogue` signs a newer one within a day, unless the clock was ahead when"
            " that in the bucket was signed: then make another key by `mosis catalogue renew --new-store-key`."
        )


def state(layout: Layout, record: Record, current: bytes) -> State | None:
    """The state that the timestamp `current` leads to; None if the bucket has all of it.

    Notes in the record what its bins and documents name. Raises CatalogueError.
    """
    if not _changed(layout, record, current):
        return None
    from tuf.api.exceptions import RepositoryError  # here, because python-tuf takes longer to load than an empty run

    from portal.mirror.trusted import Trusted

    try:
        return _Reading(layout, record, Trusted(layout.root / catalogue_files.DIRECTORY, current)).state()
    except (RepositoryError, OSError, ValueError, KeyError) as error:
        raise CatalogueError(
            f"The catalogue is damaged, so it is not copied: {str(error).rstrip('.')}. `mosis catalogue --verify`"
            " writes it again."
        ) from None


def _changed(layout: Layout, record: Record, current: bytes) -> bool:
    """By the timestamp, or by a root that was added without one."""
    if not record.has(TIMESTAMP, hashlib.sha256(current).hexdigest()):
        return True
    there = record.objects(APP_ID)
    roots = (layout.root / catalogue_files.DIRECTORY).glob("metadata/*.root.json")
    return any(f"{catalogue_files.DIRECTORY}/metadata/{root.name}" not in there for root in roots)


class _Reading:
    """Reads what the record does not know yet: after a publish one bin and one document."""

    def __init__(self, layout: Layout, record: Record, trusted: "Trusted") -> None:
        self._layout, self._record, self._trusted = layout, record, trusted
        self._there = record.objects(APP_ID)
        self._waits_for: str | None = None

    def state(self) -> State:
        trusted = self._trusted
        bins = {_key(f"metadata/{file}"): name for name, file in trusted.bins.items()}
        read = [file for key, name in bins.items() if (file := self._bin(key, name))]
        documents = {key for bin_key in bins for key in self._record.named(bin_key)}
        fresh = tuple(self._document(key) for key in sorted(documents - self._there.keys()))
        stages = (
            fresh,
            self._lacking(*read, trusted.targets),
            self._lacking(trusted.snapshot),
            self._lacking(trusted.timestamp),
            self._lacking(*trusted.roots),
        )
        metadata = (trusted.timestamp, trusted.snapshot, trusted.targets, *trusted.roots)
        keys = frozenset({_metadata(file).key for file in metadata} | bins.keys() | documents)
        return State(trusted.version, keys, stages, self._waits_for, trusted.version_of)

    def _bin(self, key: str, name: str) -> "File | None":
        """The bin, if the bucket or the record lacks it."""
        if key in self._there and self._record.named(key):
            return None
        file, documents = self._trusted.read_bin(name)
        found = [_key(f"targets/{_hashed(path, sha256)}") for path, sha256 in documents.items()]
        self._record.name(key, found)
        return file

    def _document(self, key: str) -> Wanted:
        """A document, which waits for what it names."""
        name = key.removeprefix(APP_ID)
        content = catalogue_files.path(self._layout, name).read_bytes()
        sha256 = PurePosixPath(name).name.partition(".")[0]
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError(f"{name} has not the digest in its name")
        named = [*_files(json.loads(content))]
        self._record.name(key, {path for paths, _ in named for path in paths})
        for paths, digest in named:
            if not (_is_image(paths) or any(self._record.contains(path, digest) for path in paths)):
                self._waits_for = paths[0]
        return _wanted(key, content, sha256)

    def _lacking(self, *files: "File") -> tuple[Wanted, ...]:
        found = [_metadata(file) for file in files]
        return tuple(one for one in found if self._there.get(one.key) != one.sha256)


def _is_image(paths: list[str]) -> bool:
    """An image may be replaced before it was copied, again and again, by an owner who must not hold up other apps."""
    return all(path.startswith("assets/") for path in paths)


def _files(node: object) -> Iterator[tuple[list[str], str]]:
    """Paths and SHA-256 of every file that a document names, wherever in it."""
    if isinstance(node, dict):
        if isinstance(node.get("paths"), list):
            yield node["paths"], node["sha256"]
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        yield from _files(child)


def _hashed(path: str, sha256: str) -> str:
    """The name of a target's file (TUF section 6.2, consistent snapshots)."""
    return str(PurePosixPath(path).with_name(f"{sha256}.{PurePosixPath(path).name}"))


def _key(name: str) -> str:
    return f"{catalogue_files.DIRECTORY}/{name}"


def _metadata(file: "File") -> Wanted:
    return _wanted(_key(f"metadata/{file.name}"), file.content, hashlib.sha256(file.content).hexdigest())


def _wanted(key: str, content: bytes, sha256: str) -> Wanted:
    headers = {
        "CacheControl": catalogue_files.cache_control(key.removeprefix(APP_ID)),
        "ContentType": catalogue_files.CONTENT_TYPE,
    }
    return Wanted(key, APP_ID, len(content), sha256, content, headers, is_document=True)
