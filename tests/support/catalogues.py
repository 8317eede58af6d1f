"""A signed catalogue on disk as docs/device-protocol.md has it, made by python-tuf without a store."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from portal.store import versions
from portal.store.store import Store

BINS = 4
BIN_NAMES_MAX = 1024  # a bin is named by the first of these that it has
ROLES = ("root", "targets", "snapshot", "timestamp")


class SignedCatalogue:
    """The files below `place`/catalogue. New metadata of all roles but root has one version, and `expires`."""

    def __init__(
        self, place: Path, signers: tuple[CryptoSigner, CryptoSigner] | None = None, expires: datetime | None = None
    ) -> None:
        self.place = place / "catalogue"
        self.root_signer, self.signer = signers or (CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519())
        self.version, self.root_version = 0, 0
        self.expires = expires or datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
        self.documents: dict[str, bytes] = {}
        for directory in ("metadata", "targets/apps"):
            (self.place / directory).mkdir(parents=True, exist_ok=True)
        self.rotate()

    @property
    def first_root(self) -> bytes:
        """What devices are made with."""
        return (self.place / "metadata/1.root.json").read_bytes()

    def rotate(self, signer: CryptoSigner | None = None) -> None:
        """Write the next root, with `signer` as its new key."""
        old, self.root_signer = self.root_signer, signer or self.root_signer
        self.root_version += 1
        root = Root(version=self.root_version, expires=self.expires + timedelta(days=1800), consistent_snapshot=True)
        for role in ROLES:
            root.add_key(self.root_signer.public_key if role in ("root", "targets") else self.signer.public_key, role)
        self._write(f"{self.root_version}.root", root, old, self.root_signer)

    def publish(self, documents: Mapping[str, Mapping[str, Any]], *, without: tuple[str, ...] = ()) -> None:
        """Write the next version, with these documents by app besides those that are there, or `without` some."""
        self.documents |= {app_id: canonical(document) for app_id, document in documents.items()}
        for app_id in without:
            del self.documents[app_id]
        self.version += 1
        for app_id, content in self.documents.items():
            name = f"{hashlib.sha256(content).hexdigest()}.{app_id}.json"
            (self.place / "targets/apps" / name).write_bytes(content)
        roles = bins(self.signer.public_key)
        metadata = {"targets.json": self._targets(roles)}
        metadata |= {f"{name}.json": self._bin(role) for name, role in roles.items()}
        snapshot = self._write(
            f"{self.version}.snapshot", Snapshot(version=self.version, expires=self.expires, meta=metadata)
        )
        timestamp = Timestamp(version=self.version, expires=self.expires)
        timestamp.snapshot_meta = MetaFile.from_data(self.version, snapshot, ["sha256"])
        self._write("timestamp", timestamp)

    def _targets(self, roles: dict[str, DelegatedRole]) -> MetaFile:
        delegations = Delegations(keys={self.signer.public_key.keyid: self.signer.public_key}, roles=roles)
        targets = Targets(version=self.version, expires=self.expires, delegations=delegations)
        self._write(f"{self.version}.targets", targets, self.root_signer)
        return MetaFile(version=self.version)

    def _bin(self, role: DelegatedRole) -> MetaFile:
        """The bin, written again if its documents have changed."""
        targets = Targets(version=self.version, expires=self.expires)
        for app_id, content in self.documents.items():
            path = f"apps/{app_id}.json"
            if role.is_delegated_path(path):
                targets.targets[path] = TargetFile.from_data(path, content, ["sha256"])
                codes = [release["version_code"] for release in json.loads(content)["releases"]]
                targets.targets[path].unrecognized_fields["custom"] = {"c": max(codes, default=0)}
        written = {int(path.name.partition(".")[0]): path for path in self.place.glob(f"metadata/*.{role.name}.json")}
        if written:
            newest = Metadata[Targets].from_bytes(written[max(written)].read_bytes()).signed
            if newest.targets == targets.targets and newest.expires == targets.expires:
                return MetaFile(version=newest.version)
        self._write(f"{self.version}.{role.name}", targets)
        return MetaFile(version=self.version)

    def _write(self, name: str, signed: Signed, *signers: CryptoSigner) -> bytes:
        metadata = Metadata(signed)
        for signer in signers or (self.signer,):
            metadata.sign(signer, append=True)
        content = metadata.to_bytes(JSONSerializer(compact=True))
        fresh = self.place / "metadata" / f"{name}.json.new"
        fresh.write_bytes(content)
        fresh.rename(fresh.with_suffix(""))
        return content


def bins(key: Key) -> dict[str, DelegatedRole]:
    """Equal shares of all hashes of target paths."""
    share = 256 // BINS
    return {
        name: DelegatedRole(
            name, [key.keyid], 1, terminating=False,
            path_hash_prefixes=[f"{prefix:02x}" for prefix in range(number * share, (number + 1) * share)],
        )
        for number in range(BINS)
        for name in [f"{number * BIN_NAMES_MAX // BINS:03x}"]
    }  # fmt: skip


def canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def documents_of(store: Store) -> dict[str, dict[str, Any]]:
    """What the mirror reads of the documents of all apps with published versions."""
    rows = store.db.read().execute(
        f"SELECT {versions.COLUMNS} FROM versions WHERE status = 'published' ORDER BY app_id, version_code DESC"
    )
    documents: dict[str, dict[str, Any]] = {}
    for version in (versions.PlacedVersion(*row) for row in rows):
        path = store.layout.package(version.developer_id, version.app_id, version.version_code)
        key = str(path.relative_to(store.layout.root))
        release = {
            "version_code": version.version_code,
            "sha256": version.sha256,
            "paths": [f"downloads/{key.partition('/')[2]}", key],
        }
        empty = {"app_id": version.app_id, "format": 1, "icons": [], "releases": [], "withdrawn": []}
        documents.setdefault(version.app_id, empty)["releases"].append(release)
    return documents
