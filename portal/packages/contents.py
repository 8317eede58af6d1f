"""The data of entries: inflated once, in the order of the file, with CRC-32 and SHA-256 computed on the way.

Memory is bounded by a few chunks, and the work by what the directory declares: an entry that unpacks to more is left
at the first byte too many.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO, NamedTuple

from zlib_ng import zlib_ng as zlib

from portal.packages import extra_fields
from portal.packages.archive import CENTRAL, DESCRIBED, DESCRIPTOR, LOCAL, STORED, Entry
from portal.packages.errors import quote
from portal.packages.signature import ContentDigest

_PACKED_CHUNK = 64 * 1024  # bytes; zlib copies what it has not consumed, so this is smaller than the output
_UNPACKED_CHUNK = 256 * 1024  # bytes; more leaves the processor's cache between the checksums
_CENTRAL_COMMON = slice(8, 30)  # what both headers tell; real tools differ in the version needed, a mere hint
_LOCAL_COMMON = slice(6, 28)
_COMMON_FIELDS = {
    "flags": slice(0, 2),
    "method": slice(2, 4),
    "time": slice(4, 8),
    "CRC-32": slice(8, 12),
    "packed size": slice(12, 16),
    "unpacked size": slice(16, 20),
    "length of the name": slice(20, 22),
}
_DESCRIBED_FIELDS = ("CRC-32", "packed size", "unpacked size")  # 0 where a descriptor after the data tells them


class _Corrupt(Exception):
    """The data of an entry is not what its header says; the message is a predicate."""


class Contents(NamedTuple):
    """Digests of all entries, whole content of those asked for, and the reasons to refuse."""

    digests: list[ContentDigest]
    kept: dict[str, bytes]
    faults: list[str]


def read_contents(file: BinaryIO, entries: Iterable[Entry], keep: Mapping[str, int]) -> Contents:
    """Read every entry of a sound directory. `keep` maps paths to the most bytes of them to hold in memory.

    Raises OSError when the file is shorter than it was.
    """
    contents = Contents([], {}, [])
    for entry in entries:
        try:
            contents.faults.extend(_local_faults(file, entry))
            if not entry.readable:
                continue
            if entry.path in keep and entry.header.unpacked > keep[entry.path]:
                raise _Corrupt(f"is {entry.header.unpacked} bytes long, more than the {keep[entry.path]} allowed")
            digest, content = _digest(file, entry, entry.path in keep)
        except _Corrupt as error:
            contents.faults.append(f"{quote(entry.path)} {error}.")
            continue
        contents.digests.append(digest)
        if entry.path in keep:
            contents.kept[entry.path] = content
    return contents


def read_exactly(file: BinaryIO, length: int) -> bytes:
    """The next `length` bytes. Raises OSError where the file ends before: someone shortened it."""
    _fill(file, data := bytearray(length))
    return bytes(data)


def _fill(file: BinaryIO, buffer: bytearray | memoryview) -> None:
    if file.readinto(buffer) < len(buffer):
        raise OSError(f"{getattr(file, 'name', 'The file')} became shorter while it was read.")


def _local_faults(file: BinaryIO, entry: Entry) -> Iterator[str]:
    """Leaves the file at the data of the entry. Raises _Corrupt if it cannot be found."""
    file.seek(entry.header.offset)
    local = read_exactly(file, LOCAL.size)
    if not local.startswith(b"PK\3\4"):
        raise _Corrupt(f"has no local header at byte {entry.header.offset}")
    stated, expected = local[_LOCAL_COMMON], entry.record[_CENTRAL_COMMON]
    differing = [name for name, field in _COMMON_FIELDS.items() if stated[field] != expected[field]]
    if entry.header.flags & DESCRIBED:
        differing = [name for name in differing if name not in _DESCRIBED_FIELDS or any(stated[_COMMON_FIELDS[name]])]
    *_, name_length, extra_length = LOCAL.unpack(local)
    name_and_extra = read_exactly(file, entry.header.name_length + entry.extra_length)
    if not differing and name_and_extra[:name_length] != entry.record[CENTRAL.size :][:name_length]:
        differing.append("name")
    if differing:
        yield f"{quote(entry.path)} has another {' and '.join(differing)} in its local header than in the directory."
    if name_length != entry.header.name_length:
        return  # and so the extra fields are nowhere
    if extra_length != entry.extra_length:
        raise _Corrupt(f"has {entry.extra_length - extra_length} bytes around it that belong to no entry")
    if fault := extra_fields.fault(name_and_extra[name_length:]):
        yield f"{quote(entry.path)} has, in its local header, {fault}."


def _digest(file: BinaryIO, entry: Entry, keep: bool) -> tuple[ContentDigest, bytes]:
    sha256, crc, size, kept = hashlib.sha256(), 0, 0, bytearray()
    for chunk in _unpacked(file, entry):
        size += len(chunk)
        if size > entry.header.unpacked:
            raise _Corrupt(f"unpacks to more than the {entry.header.unpacked} bytes it states")
        sha256.update(chunk)
        crc = zlib.crc32(chunk, crc)
        if keep:
            kept += chunk
    if size < entry.header.unpacked:
        raise _Corrupt(f"unpacks to {size} bytes instead of the {entry.header.unpacked} it states")
    if crc != entry.header.crc:
        raise _Corrupt(f"has the CRC-32 {crc:08x} instead of the {entry.header.crc:08x} it states")
    if entry.header.flags & DESCRIBED:
        expected = DESCRIPTOR.pack(b"PK\7\x08", crc, entry.header.packed, size)
        if read_exactly(file, DESCRIPTOR.size) != expected:
            raise _Corrupt("has a data descriptor that is not equal to the directory")
    return ContentDigest(entry.path, size, sha256.hexdigest()), bytes(kept)


def _unpacked(file: BinaryIO, entry: Entry) -> Iterator[bytes | memoryview]:
    """The content in chunks, each good until the next; at most one byte more than stated is ever inflated."""
    left = entry.header.packed
    if entry.header.method == STORED:
        # One buffer for all: new ones of this size would be mapped, zeroed and unmapped each time.
        buffer = memoryview(bytearray(min(left, _UNPACKED_CHUNK)))
        while left:
            chunk = buffer[:left]
            _fill(file, chunk)
            left -= len(chunk)
            yield chunk
        return
    room = entry.header.unpacked + 1
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    while not inflater.eof and room:
        packed = inflater.unconsumed_tail
        if not packed and left:
            packed = read_exactly(file, min(left, _PACKED_CHUNK))
            left -= len(packed)
        try:
            chunk = inflater.decompress(packed, min(room, _UNPACKED_CHUNK))
        except zlib.error as error:
            raise _Corrupt(f"is no deflate stream: {error}") from None
        if not packed and not chunk:
            raise _Corrupt("has a deflate stream that is cut off")
        room -= len(chunk)
        yield chunk
    if left or inflater.unused_data:
        raise _Corrupt(f"has {left + len(inflater.unused_data)} bytes after the end of its deflate stream")
