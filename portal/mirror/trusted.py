"""The metadata that a timestamp leads to, with every signature verified as a device would do it.

A cache keeps what it was given once: a file that was damaged on the disk must not get there under a name for ever.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

Role = TypeVar("Role", Root, Snapshot, Targets, Timestamp)


@dataclass(frozen=True)
class File:
    """A file below `metadata/`: its name there, its bytes."""

    name: str
    content: bytes


class Trusted:
    """The state that the timestamp `current` leads to, below the directory `place`.

    Raises tuf's RepositoryError for a file that devices would refuse, OSError for one that is missing. That it has
    expired is no reason: devices know that by themselves.
    """

    def __init__(self, place: Path, current: bytes) -> None:
        self._metadata = place / "metadata"
        self.roots, self._root = self._chain()
        root = self._root
        signed = _verified(Timestamp, "timestamp", current, root)
        self.version = signed.version
        self.timestamp = File("timestamp.json", current)
        self.snapshot, snapshot = self._read(Snapshot, "snapshot", signed.snapshot_meta, root)
        self._meta = {name.removesuffix(".json"): meta for name, meta in snapshot.meta.items()}
        self.targets, self._delegating = self._read(Targets, "targets", self._meta.pop("targets"), root)

    @property
    def bins(self) -> dict[str, str]:
        """The file of each bin, by the bin's name."""
        return {name: _file_name(name, meta) for name, meta in self._meta.items()}

    def version_of(self, timestamp: bytes) -> int:
        """The version of another timestamp; 0 for what devices with the newest root refuse anyway."""
        try:
            return _verified(Timestamp, "timestamp", timestamp, self._root).version
        except RepositoryError:
            return 0

    def read_bin(self, name: str) -> tuple[File, dict[str, str]]:
        """A bin, and the SHA-256 of each document in it, by target path."""
        file, targets = self._read(Targets, name, self._meta[name], self._delegating)
        return file, {path: target.hashes["sha256"] for path, target in targets.targets.items()}

    def _chain(self) -> tuple[list[File], Root]:
        """All roots, each signed by the one before it and by itself."""
        found: list[File] = []
        root: Root | None = None
        while (path := self._metadata / f"{len(found) + 1}.root.json").exists() or root is None:
            content = path.read_bytes()
            following = _verified(Root, "root", content, root)
            root = _verified(Root, "root", content, following)
            found.append(File(path.name, content))
        return found, root

    def _read(self, kind: type[Role], role: str, meta: MetaFile, delegator: Root | Targets) -> tuple[File, Role]:
        file = File(_file_name(role, meta), (self._metadata / _file_name(role, meta)).read_bytes())
        meta.verify_length_and_hashes(file.content)
        found = _verified(kind, role, file.content, delegator)
        if found.version != meta.version:
            raise RepositoryError(f"{file.name} has version {found.version}")
        return file, found


def _file_name(role: str, meta: MetaFile) -> str:
    return f"{meta.version}.{role}.json"


def _verified(kind: type[Role], role: str, content: bytes, delegator: Root | Targets | None) -> Role:
    """The metadata, if `delegator` trusts its signatures; without a delegator they are not checked."""
    try:
        metadata = Metadata[Role].from_bytes(content)
    except DeserializationError:
        raise RepositoryError(f"{role} is cut or overwritten") from None
    if not isinstance(metadata.signed, kind):
        raise RepositoryError(f"{role} is of the type {metadata.signed.type}")
    if delegator:
        delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    return metadata.signed
