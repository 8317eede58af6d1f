"""A whole package: its structure, its manifest and its signature."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from portal.packages import manifest as manifests
from portal.packages import signature as signatures
from portal.packages.archive import Entry, read_directory
from portal.packages.contents import Contents, read_contents
from portal.packages.errors import PackageRejected, SignatureInvalid
from portal.packages.limits import DEFAULT_LIMITS, Limits
from portal.packages.manifest import Manifest

Document = TypeVar("Document")

_BUFFER = 64 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Content:
    """A package whatever its signature, which may be missing: what there is to sign."""

    manifest: Manifest
    manifest_bytes: bytes  # as they are in the archive
    statement: bytes  # what the signature is over
    entries: list[Entry]  # in the order of their data


@dataclass(frozen=True, slots=True)
class Package:
    """A package whose structure and manifest hold; `verify` tells whether its signature does. Sizes in bytes."""

    manifest: Manifest
    manifest_bytes: bytes  # as they are in the archive
    key_id: str  # hex
    signature: str  # base64
    statement: bytes  # what the signature is over
    unpacked_bytes: int
    entries: int


def read(path: Path, limits: Limits = DEFAULT_LIMITS) -> Package:
    """Check structure, checksums, manifest and form of the signature of a package, in one pass over the file.

    Raises PackageRejected with every reason, OSError when the file cannot be read.
    """
    keep = {manifests.PATH: limits.manifest_bytes, signatures.PATH: signatures.MAX_BYTES}
    entries, contents, faults = _read(path, limits, keep)
    manifest = _document(manifests.PATH, manifests.parse, entries, contents, faults)
    signature = _document(signatures.PATH, signatures.parse, entries, contents, faults)
    if faults or manifest is None or signature is None:
        raise PackageRejected(faults)
    return Package(
        manifest,
        contents.kept[manifests.PATH],
        signature.key_id,
        signature.signature,
        _statement(manifest, contents),
        sum(entry.header.unpacked for entry in entries),
        len(entries),
    )


def inspect(path: Path, limits: Limits = DEFAULT_LIMITS) -> Content:
    """As `read`, but for the signature: what is there of it is not looked at."""
    entries, contents, faults = _read(path, limits, {manifests.PATH: limits.manifest_bytes})
    manifest = _document(manifests.PATH, manifests.parse, entries, contents, faults)
    if faults or manifest is None:
        raise PackageRejected(faults)
    return Content(manifest, contents.kept[manifests.PATH], _statement(manifest, contents), entries)


def verify(package: Package, public_key: bytes) -> None:
    """Raises SignatureInvalid unless the package is signed by `public_key` (32 raw bytes)."""
    if signatures.key_id(public_key) != package.key_id:
        raise SignatureInvalid([f"The package is signed with the key {package.key_id}, which is another one."])
    signatures.verify(public_key, package.signature, package.statement)


def _read(path: Path, limits: Limits, keep: Mapping[str, int]) -> tuple[list[Entry], Contents, list[str]]:
    with path.open("rb", buffering=_BUFFER) as file:
        directory = read_directory(file, os.fstat(file.fileno()).st_size, limits)
        if not directory.sound:
            raise PackageRejected(directory.faults)
        contents = read_contents(file, directory.entries, keep)
    return directory.entries, contents, directory.faults + contents.faults


def _document(
    path: str, parse: Callable[[bytes], Document], entries: list[Entry], contents: Contents, faults: list[str]
) -> Document | None:
    if path in contents.kept:
        try:
            return parse(contents.kept[path])
        except PackageRejected as error:
            faults += error.errors
    elif all(entry.path != path for entry in entries):
        faults.append(f"{path} is missing.")
    return None


def _statement(manifest: Manifest, contents: Contents) -> bytes:
    signed = (digest for digest in contents.digests if digest.path != signatures.PATH)
    return signatures.statement(manifest.id, manifest.version_name, manifest.version_code, signed)
