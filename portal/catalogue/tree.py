"""The files of the catalogue: what is published, and what is written next."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import Metadata, Snapshot, T, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from portal.catalogue import bins

VERSIONED = re.compile(r"(\d+)\.(root|targets|snapshot|[0-9a-f]{3})\.json")
TIMESTAMP = "metadata/timestamp.json"


def metadata_path(role: str, version: int) -> str:
    return f"metadata/{version}.{role}.json"


def document_path(target: TargetFile) -> str:
    folder, _, name = target.path.rpartition("/")
    return f"targets/{folder}/{target.hashes['sha256']}.{name}"


class Tree:
    """What devices see below `root` at the moment; metadata that is missing or damaged is None."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.timestamp: Metadata[Timestamp] | None = self._load(TIMESTAMP)
        meta = self.timestamp.signed.snapshot_meta if self.timestamp else None
        self.snapshot: Metadata[Snapshot] | None = self._load(metadata_path("snapshot", meta.version)) if meta else None
        self._bins: dict[str, Metadata[Targets] | None] = {}

    @property
    def versions(self) -> Mapping[str, int]:
        """The version of targets and of each bin in the snapshot."""
        if self.snapshot is None:
            return {}
        return {name.removesuffix(".json"): meta.version for name, meta in self.snapshot.signed.meta.items()}

    @property
    def number(self) -> int:
        """How many bins there are."""
        return sum(bins.NAME.fullmatch(name) is not None for name in self.versions)

    def bin(self, name: str) -> Metadata[Targets] | None:
        if name not in self._bins:
            version = self.versions.get(name)
            self._bins[name] = self._load(metadata_path(name, version)) if version else None
        return self._bins[name]

    def bin_of(self, app_id: str) -> Metadata[Targets] | None:
        """The bin that has the app, or would."""
        return self.bin(bins.bin_of(app_id, self.number)) if self.number else None

    def target(self, app_id: str) -> TargetFile | None:
        found = self.bin_of(app_id)
        return found.signed.targets.get(bins.path_of(app_id)) if found else None

    def apps(self) -> Iterator[str]:
        """The apps that have a document."""
        for found in self._every_bin():
            yield from map(bins.app_of, found.signed.targets)

    def first_bin_expires(self) -> int:
        """When the first bin expires, in seconds since 1970; 0 without bins."""
        return min((int(found.signed.expires.timestamp()) for found in self._every_bin()), default=0)

    def _every_bin(self) -> Iterator[Metadata[Targets]]:
        for name in self.versions:
            if bins.NAME.fullmatch(name) and (found := self.bin(name)):
                yield found

    def document(self, target: TargetFile | None) -> bytes | None:
        """The document of a target; None if it is missing or damaged."""
        if target is None:
            return None
        try:
            content = (self.root / document_path(target)).read_bytes()
            target.verify_length_and_hashes(content)
        except (FileNotFoundError, LengthOrHashMismatchError):
            return None
        return content

    @cached_property
    def highest(self) -> Mapping[str, int]:
        """The highest version of each role on the disk, also of runs that were cut off."""
        found: dict[str, int] = defaultdict(int)
        if self.timestamp:
            found["snapshot"] = self.timestamp.signed.snapshot_meta.version  # which may be lost
        for path in (self.root / "metadata").glob("*.json"):
            if match := VERSIONED.fullmatch(path.name):
                found[match[2]] = max(found[match[2]], int(match[1]))
        return found

    def read(self, path: str) -> bytes | None:
        try:
            return (self.root / path).read_bytes()
        except FileNotFoundError:
            return None

    def _load(self, path: str) -> Metadata[T] | None:
        content = self.read(path)
        try:
            return Metadata[T].from_bytes(content) if content else None
        except DeserializationError:
            return None
