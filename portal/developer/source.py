"""What is pushed: a directory or a package, as a signed package that this machine has checked by the store's rules."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.developer.upload import Source
from portal.faults import Fault
from portal.packages import build, manifest, package
from portal.packages.errors import PackageRejected
from portal.packages.manifest import Manifest
from portal.packages.package import Package
from portal.packages.remedies import remedies


@dataclass(frozen=True)
class Prepared:
    """A signed package in a file, what reading it has found, and the key if it was signed here."""

    path: Path
    package: Package
    key: Ed25519PrivateKey | None
    size: int  # bytes
    sha256: str  # hex


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Each reason why a package is rejected begins with the path, as in the output of a compiler; remedies follow."""
    try:
        yield
    except PackageRejected as rejected:
        rejected.remedies = [] if path.is_dir() else remedies(rejected.errors)
        rejected.errors = [f"{path}: {reason}" for reason in rejected.errors]
        raise


def manifest_of(source: Path) -> Manifest:
    """The manifest of a directory or a package. Raises PackageRejected, Fault, OSError."""
    with naming(source):
        if not source.is_dir():
            return package.inspect(source).manifest
        try:
            return manifest.parse((source / manifest.PATH).read_bytes())
        except FileNotFoundError:
            raise Fault(f"{source} has no {manifest.PATH}: run `mosis init {source}`.") from None


def is_signed(source: Path) -> bool:
    """Whether it is a package with a signature, which a push then leaves as it is. Raises OSError."""
    if source.is_dir():
        return False
    try:
        package.read(source)
    except PackageRejected:
        return False
    return True


def prepare(
    source: Path, key: Ed25519PrivateKey | None, scratch: Path, progress: Callable[[int, int], None]
) -> Prepared:
    """Pack a directory, sign with `key`; without a key the package is taken as it is. Raises as `manifest_of` does."""
    made = scratch / "package.mosis"
    with naming(source):
        if source.is_dir():
            build.pack(source, made, progress=progress)
            source = made
        read = build.sign(source, key, made) if key else package.read(source)
    path = made if key else source
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Prepared(path, read, key, os.fstat(file.fileno()).st_size, digest)


def opened(prepared: Prepared) -> Source:
    return Source(prepared.path.open("rb"), prepared.size, prepared.sha256)
