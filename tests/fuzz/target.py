"""What the fuzzer calls: bytes are a package that is refused with reasons, or that `zipfile` and devices read alike."""

import os
import struct
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from mosis_device.fetch import Bounds
from mosis_device.package import unpack
from portal.packages import package, signature
from portal.packages.errors import PackageRejected
from portal.packages.limits import Limits
from tests.packages import hostile
from tests.packages.hostile import Item

LIMITS = Limits(package_bytes=1024 * 1024, unpacked_bytes=4 * 1024 * 1024, entries=100)
_ITEM = struct.Struct("<BBHHBBBB")  # switches, method, flags, mode, lengths of name, of both extra fields, of content


def one_input(data: bytes) -> None:
    """Raises AssertionError, or whatever the reader fails with, for an input that shows a fault of the reader."""
    archive = archive_of(data)
    descriptor = os.memfd_create("package")
    try:
        os.write(descriptor, archive)
        path = Path(f"/proc/self/fd/{descriptor}")
        try:
            accepted = package.read(path, LIMITS)
        except PackageRejected as refusal:
            assert refusal.errors
            assert all(error.isprintable() for error in refusal.errors), refusal.errors
        else:
            assert accepted.statement == statement(path, accepted) == of_a_device(path)
    finally:
        os.close(descriptor)


def of_a_device(path: Path) -> bytes:
    """The statement of what a device unpacks."""
    with TemporaryDirectory() as place:
        return unpack(path, Path(place, "unpacked"), Bounds()).statement


def archive_of(data: bytes) -> bytes:
    """The bytes as what they begin like: an archive, one of the two documents in it, or a description of entries."""
    if data.startswith(b"PK"):
        return data
    if data.startswith(b'{"alg'):
        return hostile.build([hostile.MANIFEST, replace(hostile.SIGNATURE, content=data)])
    if data.startswith(b"{"):
        return hostile.build([replace(hostile.MANIFEST, content=data), hostile.SIGNATURE])
    return hostile.build([hostile.MANIFEST, *items(data), hostile.SIGNATURE])


def items(data: bytes) -> list[Item]:
    """Entries as the bytes describe them: with right checksums and sizes, so that the fuzzer gets past those."""
    found = []
    position = 0
    while len(data) - position >= _ITEM.size and len(found) < 8:
        switches, method, flags, mode, *lengths = _ITEM.unpack_from(data, position)
        position += _ITEM.size
        pieces = []
        for length in lengths:
            pieces.append(data[position : position + length])
            position += length
        name, local_extra, central_extra, content = pieces
        found.append(
            Item(
                name,
                content,
                method=8 if method % 2 else 0,
                flags=flags & 0x0808 if switches & 1 else flags,
                central={"external": mode << 16} if switches & 2 else {},
                local_extra=local_extra,
                central_extra=local_extra if switches & 4 else central_extra,
                data=content if switches & 8 else None,
            )
        )
    return found


def statement(path: Path, accepted: package.Package) -> bytes:
    """The statement as `zipfile` sees the archive."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        digests = []
        for info in archive.infolist():
            content = archive.read(info)
            if info.filename != signature.PATH:
                digests.append(signature.ContentDigest(info.filename, len(content), sha256(content).hexdigest()))
        assert archive.read("manifest.json") == accepted.manifest_bytes
    manifest = accepted.manifest
    return signature.statement(manifest.id, manifest.version_name, manifest.version_code, digests)
