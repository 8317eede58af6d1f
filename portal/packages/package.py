"""Reading and verifying a package: its structure, its manifest and its signature."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from typing import TypeVar

from portal.packages import manifest as manifests
from portal.packages import mismatch
from portal.packages import signature as signatures
from portal.packages.archive import read_directory
from portal.packages.contents import Contents, read_contents
from portal.packages.errors import PackageRejected, SignatureInvalid, quote
from portal.packages.limits import DEFAULT_LIMITS, UNLIMITED, Limits
from portal.packages.manifest import Manifest
from portal.packages.reasons import sentences
from portal.packages.records import Entry

Document = TypeVar("Document")

_BUFFER = 64 * 1024  # bytes

MISSING = {
    manifests.PATH: f"{manifests.PATH} is missing.",
    signatures.PATH: f"{signatures.PATH} is missing: sign the package with `mosis sign`.",
}


@dataclass(frozen=True, slots=True)
class Content:
    """A package with or without a signature: the content to sign."""

    manifest: Manifest
    manifest_bytes: bytes  # as stored in the archive
    statement: bytes  # the bytes to sign
    entries: list[Entry]  # in the order of their data


@dataclass(frozen=True, slots=True)
class Package:
    """A package with valid structure and manifest; `verify` checks its signature. Sizes in bytes."""

    manifest: Manifest
    manifest_bytes: bytes  # as stored in the archive
    key_id: str  # hex
    signature: str  # base64
    statement: bytes  # the bytes to sign
    unpacked_bytes: int
    entries: int


def read(path: Path, limits: Limits = DEFAULT_LIMITS) -> Package:
    """Check the structure, checksums, manifest and signature file of a package in one pass over the file.

    The signature itself is checked by `verify`.

    Raises PackageRejected with every reason, OSError when the file cannot be read.
    """
    keep = {manifests.PATH: limits.manifest_bytes, signatures.PATH: signatures.MAX_BYTES}
    entries, contents, faults = _read(path, limits, keep)
    manifest = _manifest(entries, contents, faults)
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
    """Check a package as `read` does, ignoring the signature file. Raises the same exceptions."""
    entries, contents, faults = _read(path, limits, {manifests.PATH: limits.manifest_bytes})
    manifest = _manifest(entries, contents, faults)
    if faults or manifest is None:
        raise PackageRejected(faults)
    return Content(manifest, contents.kept[manifests.PATH], _statement(manifest, contents), entries)


def accepted_statement(path: Path) -> bytes:
    """The statement of a package that a store has accepted, whatever its limits and rules were then.

    Raises PackageRejected when the package is damaged, OSError when the file cannot be read.
    """
    entries, contents, faults = _read(path, UNLIMITED, {manifests.PATH: UNLIMITED.manifest_bytes})
    if len(contents.digests) < len(entries) or manifests.PATH not in contents.kept:
        raise PackageRejected(faults or [_missing(manifests.PATH, entries)])
    signed = (digest for digest in contents.digests if digest.path != signatures.PATH)
    try:
        manifest = json.loads(contents.kept[manifests.PATH])
        return signatures.statement(manifest["id"], manifest["version_name"], manifest["version_code"], signed)
    except (ValueError, TypeError, KeyError):
        raise PackageRejected([f"{manifests.PATH} is damaged."]) from None


def verify(package: Package, public_key: bytes) -> None:
    """Verify the signature with `public_key` (32 raw bytes). Raises SignatureInvalid."""
    if signatures.key_id(public_key) != package.key_id:
        raise SignatureInvalid(
            [f"The package is signed with key {package.key_id}, not with key {signatures.key_id(public_key)}."]
        )
    try:
        signatures.verify(public_key, package.signature, package.statement)
    except SignatureInvalid:
        raise SignatureInvalid([mismatch.reason(public_key, package.signature, package.statement)]) from None


def _read(path: Path, limits: Limits, keep: Mapping[str, int]) -> tuple[list[Entry], Contents, list[str]]:
    with BufferedReader(FileIO(path), _BUFFER) as file:
        directory = read_directory(file, os.fstat(file.fileno()).st_size, limits)
        if not directory.sound:
            raise PackageRejected(sentences(directory.faults))
        contents = read_contents(file, directory.entries, keep)
    return directory.entries, contents, sentences(directory.faults + contents.faults)


def _manifest(entries: list[Entry], contents: Contents, faults: list[str]) -> Manifest | None:
    manifest = _document(manifests.PATH, manifests.parse, entries, contents, faults)
    started = manifest.entry if manifest else None
    if started and all(started != entry.path or entry.is_directory for entry in entries):
        faults.append(f'{manifests.PATH}: "entry" is {quote(started)}, but the package has no such file.')
    return manifest


def _document(
    path: str, parse: Callable[[bytes], Document], entries: list[Entry], contents: Contents, faults: list[str]
) -> Document | None:
    if path in contents.kept:
        try:
            return parse(contents.kept[path])
        except PackageRejected as error:
            faults += error.errors
    elif all(entry.path != path for entry in entries):
        faults.append(_missing(path, entries))
    return None


def _missing(path: str, entries: list[Entry]) -> str:
    deeper = next((entry.path for entry in entries if entry.path.endswith(f"/{path}")), None)
    if deeper is None:
        return MISSING[path]
    folder = deeper.removesuffix(path)
    if folder == "./":
        return f"{path} is missing at the root, it is at {quote(deeper)}: pack `*`, not `.`."
    return (
        f"{path} is missing at the root, it is at {quote(deeper)}: pack the content of {quote(folder)}, not the folder."
    )


def _statement(manifest: Manifest, contents: Contents) -> bytes:
    signed = (digest for digest in contents.digests if digest.path != signatures.PATH)
    return signatures.statement(manifest.id, manifest.version_name, manifest.version_code, signed)
