"""The keys of the catalogue, and what the root key signs: which keys are trusted, and how apps are spread over bins.

    <keys>/store-NUMBER.pem   signs bins, snapshot and timestamp; read by the job alone
    <keys>/N.root.json        signed by the root key, which is elsewhere; public, and published by the job
    <keys>/N.targets.json     the same; one per number of bins, so that a growing store needs no root key

A change writes new files and removes none: killed at any point, it leaves a set that works.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Delegations, Key, Metadata, Role, Root, T, Targets
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer

from portal.catalogue import bins
from portal.catalogue.errors import KeysError
from portal.packages import keys as key_files
from portal.packages.keys import KeyUnusable
from portal.store import files

DAY = 86400
ROOT_SECONDS = 5 * 365 * DAY
"""For so long the root key's signatures are valid: root and targets."""
ONLINE = ("snapshot", "timestamp")
OFFLINE = ("root", "targets")
DIRECTORY_MODE = 0o700


Found = TypeVar("Found")


@dataclass(frozen=True)
class Keys:
    """What the job reads."""

    directory: Path
    roots: Sequence[Metadata[Root]]
    """All of them, oldest first; the last one is in force."""
    targets: Sequence[Metadata[Targets]]
    """All of them, oldest first."""
    signers: Sequence[CryptoSigner]
    unusable: Sequence[str] = ()
    """What is wrong with files of store keys, which may be of keys that nothing needs any more."""

    @property
    def root(self) -> Root:
        return self.roots[-1].signed

    @cached_property
    def online(self) -> list[CryptoSigner]:
        """Who signs snapshot and timestamp: for this root and all before it, so that a change of the key leaves no
        moment in which a device trusts none, however late a mirror gets new roots.
        """
        trusted = {key for root in self.roots for key in root.signed.roles["timestamp"].keyids}
        return [signer for signer in self.signers if signer.public_key.keyid in trusted]

    def delegating(self, number: int) -> Metadata[Targets]:
        """The newest targets that spread the apps over so many bins. Raises KeysError."""
        found = (one for one in reversed(self.targets) if len(_roles(one.signed)) == number)
        return self._required(next(found, None), f"targets for {number} bins")

    def bin_signer(self, targets: Targets) -> CryptoSigner:
        """Who signs the bins of `targets`. Raises KeysError."""
        trusted = targets.delegations.keys if targets.delegations else {}
        found = (signer for signer in self.signers if signer.public_key.keyid in trusted)
        return self._required(next(found, None), "key for bins")

    def _required(self, found: Found | None, what: str) -> Found:
        if found is None:
            raise KeysError(
                f"{self.directory} has no {what} of the catalogue: put back what was there, or have the root key sign"
                f" another one by `mosis catalogue renew --new-store-key`. {' '.join(self.unusable)}".rstrip()
            )
        return found


def _roles(targets: Targets) -> dict[str, DelegatedRole]:
    return (targets.delegations and targets.delegations.roles) or {}


def load(directory: Path) -> Keys:
    """Raises KeysError."""
    roots, targets = _all(directory, Root), _all(directory, Targets)
    found = Keys(directory, roots, targets, *_signers(directory))
    trusted = {signer.public_key.keyid for signer in found.online}
    if not trusted & set(found.root.roles["timestamp"].keyids):
        raise KeysError(
            f"{directory} has no key that the root of the catalogue trusts: put it back, or make a new one by `mosis"
            f" catalogue renew --new-store-key`. {' '.join(found.unusable)}".rstrip()
        )
    return found


def roots(directory: Path) -> list[bytes]:
    """The files of all roots, oldest first."""
    return [_path(directory, "root", version).read_bytes() for version in _versions(directory, "root")]


def restore_root(directory: Path, version: int, content: bytes) -> None:
    """Put back the file of a root."""
    files.make_directory(directory)
    directory.chmod(DIRECTORY_MODE)
    files.write_file(_path(directory, "root", version), content)


def make(directory: Path, root_keys: Sequence[Ed25519PrivateKey], *, threshold: int, at: int) -> None:
    """Make the first store key, and have the root keys trust it, of which `threshold` must sign a change."""
    files.make_directory(directory)
    directory.chmod(DIRECTORY_MODE)
    public = {key.keyid: key for key in map(_public, root_keys)}
    _sign(directory, 1, public, threshold, _new_store_key(directory), root_keys, at)


def renew(
    directory: Path,
    root_keys: Sequence[Ed25519PrivateKey],
    *,
    new_root_keys: Sequence[Ed25519PrivateKey] = (),
    threshold: int = 1,
    new_store_key: bool = False,
    at: int,
) -> None:
    """Sign anew, for ROOT_SECONDS from `at`, with another store key or other root keys if those are wanted.

    Raises KeysError if too few of the root's keys are given; then nothing has changed.
    """
    root = _all(directory, Root)[-1].signed
    role, online = root.roles["root"], root.roles["timestamp"].keyids[0]
    given = {_public(key).keyid for key in root_keys} & set(role.keyids)
    if len(given) < role.threshold:
        raise KeysError(f"{len(given)} of the given keys are root keys of this catalogue, {role.threshold} must sign.")
    if not new_store_key and online not in {signer.public_key.keyid for signer in _signers(directory)[0]}:
        raise KeysError(f"{directory} has no store key that the catalogue trusts: put it back, or add --new-store-key.")
    public = {key.keyid: key for key in map(_public, new_root_keys)}
    store_key = _new_store_key(directory) if new_store_key else root.keys[online]
    _sign(
        directory,
        root.version + 1,
        public or {key_id: root.keys[key_id] for key_id in role.keyids},
        threshold if public else role.threshold,
        store_key,
        [*root_keys, *new_root_keys],
        at,
    )


def _sign(
    directory: Path,
    version: int,
    root_keys: Mapping[str, Key],
    threshold: int,
    store_key: Key,
    signing: Iterable[Ed25519PrivateKey],
    at: int,
) -> None:
    """Write targets for each number of bins, then the root, whose file makes the change complete."""
    signers, expires = [CryptoSigner(key) for key in signing], datetime.fromtimestamp(at + ROOT_SECONDS, UTC)
    last = max([at, *_versions(directory, "targets")])  # it grows, even where older files are lost
    for step, number in enumerate(bins.NUMBERS, start=1):
        delegated = {
            name: DelegatedRole(name, [store_key.keyid], 1, terminating=True, path_hash_prefixes=prefixes)
            for name, prefixes in bins.prefixes(number).items()
        }
        delegations = Delegations({store_key.keyid: store_key}, delegated)
        _write(directory, Targets(last + step, expires=expires, delegations=delegations), signers)
    roles = dict.fromkeys(OFFLINE, Role(list(root_keys), threshold)) | dict.fromkeys(ONLINE, Role([store_key.keyid], 1))
    keys = {**root_keys, store_key.keyid: store_key}
    _write(directory, Root(version, expires=expires, keys=keys, roles=roles), signers)


def _write(directory: Path, signed: T, signers: Iterable[CryptoSigner]) -> None:
    metadata = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    files.write_file(_path(directory, signed.type, signed.version), metadata.to_bytes(JSONSerializer(compact=True)))


def _signers(directory: Path) -> tuple[list[CryptoSigner], list[str]]:
    """Those of all store keys, and what is wrong with the files of others: only a key that is needed stops anything."""
    signers, unusable = list[CryptoSigner](), list[str]()
    for path in sorted(directory.glob("store-*.pem")):
        try:
            signers.append(CryptoSigner(key_files.load(path)))
        except KeyUnusable as fault:
            unusable.append(str(fault))
    return signers, unusable


def changes_of_root_keys(directory: Path) -> list[int]:
    """The versions of those roots whose root keys are others than those of the root before. Raises KeysError."""
    found = [set(root.signed.roles["root"].keyids) for root in _all(directory, Root)]
    return [version for version, (before, keys) in enumerate(pairwise(found), start=2) if keys != before]


def _new_store_key(directory: Path) -> Key:
    key = key_files.generate(directory / f"store-{secrets.token_hex(4)}.pem")
    files.flush_directory(directory)
    return _public(key)


def _public(key: Ed25519PrivateKey) -> Key:
    return CryptoSigner(key).public_key


def _all(directory: Path, kind: type[T]) -> list[Metadata[T]]:
    """Every version of a role, oldest first. Raises KeysError if there is none, or one is damaged."""
    found = []
    for version in _versions(directory, kind.type):
        path = _path(directory, kind.type, version)
        try:
            found.append(Metadata[T].from_bytes(path.read_bytes()))
        except DeserializationError:
            raise KeysError(f"{path} is damaged: copy it back from the catalogue or from a backup.") from None
    if not found:
        raise KeysError(
            f"{directory} has no keys of the catalogue: put them back, or run `mosis catalogue renew --new-store-key`"
            " with its root key. A store that never had any gets the first ones by `mosis catalogue init`."
        )
    return found


def _path(directory: Path, role: str, version: int) -> Path:
    return directory / f"{version}.{role}.json"


def _versions(directory: Path, role: str) -> list[int]:
    return sorted(int(path.name.partition(".")[0]) for path in directory.glob(f"[0-9]*.{role}.json"))
