"""What is signed and written next. Devices trust the old or the new catalogue, wherever the writing is cut off."""

import hashlib
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from securesystemslib.signer import Signature, Signer
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, T, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from portal.catalogue import bins
from portal.catalogue.documents import Document
from portal.catalogue.keys import DAY, Keys
from portal.catalogue.tree import TIMESTAMP, Tree, document_path, metadata_path
from portal.store import files

SIGNED_SECONDS = {"bin": 365 * DAY, "snapshot": 365 * DAY, "timestamp": 30 * DAY}
"""How long a signature of the store key is valid; the timestamp's is the longest outage that devices tolerate."""
RENEW_SECONDS, LATEST_SECONDS = 60 * DAY, 30 * DAY
"""Bins are signed anew, some every day, from so long before they expire, and all of them so long before."""
BINS_A_DAY = 3
TIMESTAMP_SECONDS = DAY
PER_DAY = 1000  # versions that a bin may have
FLUSHED_MAX = 32  # files that are flushed one by one; more are flushed together

Files = dict[str, bytes]
"""Content by path below the catalogue."""


@dataclass(frozen=True)
class Change:
    """Documents by app, None for an app that is to have none. A `complete` one has all apps but those to be `kept`."""

    documents: Mapping[str, Document | None]
    complete: bool = False
    kept: Collection[str] = ()


@dataclass(frozen=True)
class Draft:
    """What is written, stage after stage: no stage names what a later one writes, and no device misses its root."""

    documents: Files = field(default_factory=dict)
    bins: Files = field(default_factory=dict)
    snapshot: Files = field(default_factory=dict)
    timestamp: Files = field(default_factory=dict)
    roots: Files = field(default_factory=dict)
    superseded: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    """Apps whose documents go."""

    @property
    def stages(self) -> Sequence[Files]:
        return self.documents, self.bins, self.snapshot, self.timestamp, self.roots


def draft(tree: Tree, keys: Keys, change: Change, at: int) -> Draft:
    """Compare `change` with what is published, and sign what differs or is about to expire, at the time `at`."""
    return _Drafting(tree, keys, change, at).draft()


class _Drafting:
    def __init__(self, tree: Tree, keys: Keys, change: Change, at: int) -> None:
        self._tree, self._keys, self._change, self._at = tree, keys, change, at
        apps = len(change.kept) + sum(one is not None for one in change.documents.values())
        self._number = max(tree.number, bins.number_for(apps)) if change.complete else tree.number
        self._targets = keys.delegating(self._number)
        self._draft = Draft()

    def draft(self) -> Draft:
        versions = dict(self._tree.versions)
        for name, wanted in self._wanted():
            versions[name] = self._bin(name, wanted)
        versions["targets"] = self._targets.signed.version
        self._put(self._draft.bins, self._targets)
        snapshot = self._snapshot(versions)
        self._timestamp(snapshot)
        for root in self._keys.roots:
            self._put(self._draft.roots, root)
        return self._draft

    def _wanted(self) -> Iterator[tuple[str, dict[str, TargetFile]]]:
        """The targets of each bin that may change."""
        changes: dict[str, dict[str, Document | None]] = {}
        for app_id, document in self._change.documents.items():
            changes.setdefault(bins.bin_of(app_id, self._number), {})[app_id] = document
        wanted: dict[str, dict[str, TargetFile]] = {}
        if self._change.complete:
            wanted = {name: {} for name in bins.prefixes(self._number)}
            for app_id in self._change.kept:
                if target := self._tree.target(app_id):
                    wanted[bins.bin_of(app_id, self._number)][target.path] = target
        for name, documents in changes.items():
            before = self._tree.bin(name)
            targets = wanted.setdefault(name, dict(before.signed.targets) if before else {})
            for app_id, document in documents.items():
                self._document(targets, app_id, document)
        yield from wanted.items()

    def _document(self, targets: dict[str, TargetFile], app_id: str, document: Document | None) -> None:
        path = bins.path_of(app_id)
        if document is None:
            targets.pop(path, None)
            if self._tree.target(app_id):
                self._draft.removed.append(app_id)
            return
        target = TargetFile.from_data(path, document.content, ["sha256"])
        target.unrecognized_fields["custom"] = {"c": document.code}
        targets[path] = target
        if self._tree.document(target) is None:
            self._draft.documents[document_path(target)] = document.content

    def _bin(self, name: str, wanted: Mapping[str, TargetFile]) -> int:
        """The version of the bin from now on."""
        before = self._tree.bin(name)
        if before and before.signed.targets == wanted and name not in self._renewed and self._trusted(name, before):
            return before.signed.version
        for path, target in before.signed.targets.items() if before else ():
            if path not in wanted or wanted[path].hashes != target.hashes:
                self._draft.superseded.append(document_path(target))
        signed = Targets(self._next(name), expires=self._expires("bin"), targets=dict(wanted))
        path = metadata_path(name, signed.version)
        self._draft.bins[path] = _bytes(_signed(signed, [self._keys.bin_signer(self._targets.signed)]))
        if before:
            self._draft.superseded.append(metadata_path(name, before.signed.version))
        return signed.version

    @cached_property
    def _renewed(self) -> set[str]:
        """Bins that are signed anew before they expire: evenly over the days until the first has to be."""
        if not self._change.complete:
            return set()
        left = {name: self._left(found) for name in bins.prefixes(self._number) if (found := self._tree.bin(name))}
        near = sorted((name for name in left if left[name] < RENEW_SECONDS), key=lambda name: (left[name], name))
        if not near:
            return set()
        days = max(1, (left[near[0]] - LATEST_SECONDS) // DAY)
        return set(near[: max(BINS_A_DAY, math.ceil(len(near) / days))])

    def _snapshot(self, versions: Mapping[str, int]) -> Metadata[Snapshot]:
        """The snapshot from now on."""
        before = self._tree.snapshot
        if before and self._tree.versions == versions and self._in_force(before) and self._left(before) > RENEW_SECONDS:
            return before
        meta = {f"{name}.json": MetaFile(version) for name, version in sorted(versions.items())}
        signed = Snapshot(self._next("snapshot"), expires=self._expires("snapshot"), meta=meta)
        self._put(self._draft.snapshot, new := _signed(signed, self._keys.online))
        if before:
            self._draft.superseded.append(metadata_path("snapshot", before.signed.version))
        return new

    def _timestamp(self, snapshot: Metadata[Snapshot]) -> None:
        before, version = self._tree.timestamp, snapshot.signed.version
        if before and before.signed.snapshot_meta.version == version and self._in_force(before):
            signed_at = before.signed.expires.timestamp() - SIGNED_SECONDS["timestamp"]
            if 0 <= self._at - signed_at < TIMESTAMP_SECONDS:
                return
        content = _bytes(snapshot)
        meta = MetaFile(version, len(content), {"sha256": hashlib.sha256(content).hexdigest()})
        number = max(self._at, before.signed.version + 1 if before else 0)
        signed = Timestamp(number, expires=self._expires("timestamp"), snapshot_meta=meta)
        self._draft.timestamp[TIMESTAMP] = _bytes(_signed(signed, self._keys.online))

    def _trusted(self, name: str, found: Metadata[Targets]) -> bool:
        return _verifies(self._targets.signed, name, found.signed_bytes, found.signatures)

    def _in_force(self, found: Metadata[Snapshot] | Metadata[Timestamp]) -> bool:
        """Whether everybody who signs has signed it, so that every device trusts it."""
        signers = {signer.public_key.keyid for signer in self._keys.online}
        return found.signatures.keys() == signers and _verifies(
            self._keys.root, found.signed.type, found.signed_bytes, found.signatures
        )

    def _next(self, role: str) -> int:
        """Versions grow with the time, so that they do not go back where the files are lost.

        Those of bins count days, so that most in a snapshot are equal and it compresses well.
        """
        known = max(self._tree.highest.get(role, 0), self._tree.versions.get(role, 0))
        if role == "snapshot":
            return max(known + 1, self._at)
        day, second = divmod(self._at, DAY)
        first = (day + 1) * PER_DAY + second * PER_DAY // DAY  # later than any that was lost
        return max(known + 1, day * PER_DAY) if known else first

    def _expires(self, kind: str) -> datetime:
        return datetime.fromtimestamp(self._at + SIGNED_SECONDS[kind], UTC)

    def _left(self, found: Metadata[T]) -> float:
        """Seconds until it expires."""
        return found.signed.expires.timestamp() - self._at

    def _put(self, stage: Files, found: Metadata[T]) -> None:
        """Add what is not there yet, or damaged."""
        path, content = metadata_path(found.signed.type, found.signed.version), _bytes(found)
        if self._tree.read(path) != content:
            stage[path] = content


def write(tree: Tree, drafted: Draft, wrote: Callable[[str], object] = lambda path: None) -> None:
    """Write a draft to the disk, stage after stage; `wrote` is called after each file. Raises OSError."""
    for path in drafted.superseded:
        with suppress(FileNotFoundError):
            os.utime(tree.root / path)  # from now on it is kept for some days, see `prune`
    for stage in drafted.stages:
        one_by_one = len(stage) <= FLUSHED_MAX
        for path, content in stage.items():
            files.write_file(tree.root / path, content, durable=one_by_one)
            wrote(path)
        if not one_by_one:
            files.flush_file_system(tree.root)


def _signed(signed: T, signers: Iterable[Signer]) -> Metadata[T]:
    metadata = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata


def _bytes(metadata: Metadata[T]) -> bytes:
    return metadata.to_bytes(JSONSerializer(compact=True))


def _verifies(delegator: Root | Targets, role: str, content: bytes, signatures: dict[str, Signature]) -> bool:
    try:
        delegator.verify_delegate(role, content, signatures)
    except UnsignedMetadataError:
        return False
    return True
