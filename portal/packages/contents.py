"""The data of entries, inflated once in file order while computing CRC-32 and SHA-256.

Memory is bounded by a few chunks, and work by the sizes that the directory declares: inflating stops at the first
byte beyond them.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from io import BufferedIOBase
from typing import NamedTuple, cast

from zlib_ng import zlib_ng as zlib

from portal.packages import extra_fields
from portal.packages.archive import misfit
from portal.packages.reasons import Fault
from portal.packages.records import DESCRIBED, DESCRIPTOR, IN_ZIP64, LOCAL, STORED, Entry
from portal.packages.signature import ContentDigest

_PACKED_CHUNK = 64 * 1024  # bytes; zlib copies what it has not consumed, so this is smaller than the output
_UNPACKED_CHUNK = 256 * 1024  # bytes; more leaves the processor's cache between the checksums
_CENTRAL_COMMON = slice(8, 30)  # what both headers state; real tools differ in the version needed, which is only a hint
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
_INFLATE_ERROR = cast("type[Exception]", zlib.error)  # zlib_ng's stub declares an instance
_DESCRIBED_FIELDS = ("CRC-32", "packed size", "unpacked size")  # 0 where a descriptor after the data has them


class _Corrupt(Exception):
    """The data of an entry does not match its header; the message is a predicate."""


class Contents(NamedTuple):
    """Digests of all readable entries, the content of the entries to keep, and the faults."""

    digests: list[ContentDigest]
    kept: dict[str, bytes]
    faults: list[Fault]


def read_contents(file: BufferedIOBase, entries: Iterable[Entry], keep: Mapping[str, int]) -> Contents:
    """Read every entry of a sound directory. `keep` maps paths whose content is returned to its maximum size, bytes.

    Raises OSError when the file is truncated meanwhile.
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
            contents.faults.append(Fault(entry.path, str(error)))
            continue
        contents.digests.append(digest)
        if entry.path in keep:
            contents.kept[entry.path] = content
    return contents


def read_exactly(file: BufferedIOBase, length: int) -> bytes:
    """Read the next `length` bytes. Raises OSError at the end of the file."""
    _fill(file, data := bytearray(length))
    return bytes(data)


def _fill(file: BufferedIOBase, buffer: bytearray | memoryview) -> None:
    if file.readinto(buffer) < len(buffer):
        raise OSError(f"{getattr(file, 'name', 'The file')} was truncated while it was read.")


def _local_faults(file: BufferedIOBase, entry: Entry) -> Iterator[Fault]:
    """Compare the local header and leave the file at the data of the entry. Raises _Corrupt if it cannot be found."""
    file.seek(entry.header.offset)
    local = read_exactly(file, LOCAL.size)
    if not local.startswith(b"PK\3\4"):
        raise _Corrupt(f"has no local header at byte {entry.header.offset}")
    *_, packed, unpacked, name_length, extra_length = LOCAL.unpack(local)
    if IN_ZIP64 in (packed, unpacked):
        yield Fault(entry.path, extra_fields.NEEDLESS_ZIP64)
    differing = _differing(local, entry)
    name_and_extra = read_exactly(file, entry.header.name_length + entry.extra_length)
    if not differing and name_and_extra[:name_length] != entry.name[:name_length]:
        differing.append("name")
    if differing:
        what = " and ".join(differing)
        yield Fault(entry.path, f"differs in {what} between its local header and the central directory")
    if name_length != entry.header.name_length:
        return  # and so the extra fields are nowhere
    if extra_length != entry.extra_length:
        raise _Corrupt(misfit(entry, extra_length))
    sizes = b"" if entry.header.flags & DESCRIBED else extra_fields.repeated_sizes(unpacked, packed)
    if fault := extra_fields.fault(name_and_extra[name_length:], entry.name, sizes):
        yield Fault(entry.path, fault)
    elif extra_fields.has_unicode_path(name_and_extra[name_length:]) != extra_fields.has_unicode_path(entry.extra):
        yield Fault(entry.path, "has an extra field 0x7075 (Unicode path) in only one of its two headers")


def _differing(local: bytes, entry: Entry) -> list[str]:
    """What both headers state differently; sizes that a descriptor or ZIP64 has instead are not compared."""
    stated, expected = local[_LOCAL_COMMON], entry.record[_CENTRAL_COMMON]
    differing = [name for name, field in _COMMON_FIELDS.items() if stated[field] != expected[field]]
    *_, packed, unpacked, _, _ = LOCAL.unpack(local)
    if IN_ZIP64 in (packed, unpacked):
        return [name for name in differing if name not in _DESCRIBED_FIELDS]
    if entry.header.flags & DESCRIBED:
        return [name for name in differing if name not in _DESCRIBED_FIELDS or any(stated[_COMMON_FIELDS[name]])]
    return differing


def _digest(file: BufferedIOBase, entry: Entry, keep: bool) -> tuple[ContentDigest, bytes]:
    sha256, crc, size, kept = hashlib.sha256(), 0, 0, bytearray()
    for chunk in _unpacked(file, entry):
        size += len(chunk)
        if size > entry.header.unpacked:
            raise _Corrupt(f"unpacks to more than the {entry.header.unpacked} bytes declared")
        sha256.update(chunk)
        crc = zlib.crc32(chunk, crc)
        if keep:
            kept += chunk
    if size < entry.header.unpacked:
        raise _Corrupt(f"unpacks to {size} bytes instead of the {entry.header.unpacked} declared")
    if crc != entry.header.crc:
        raise _Corrupt(f"has the CRC-32 {crc:08x} instead of the {entry.header.crc:08x} declared")
    if entry.header.flags & DESCRIBED:
        expected = DESCRIPTOR.pack(b"PK\7\x08", crc, entry.header.packed, size)
        if read_exactly(file, DESCRIPTOR.size) != expected:
            raise _Corrupt("has a data descriptor that differs from the central directory")
    return ContentDigest(entry.path, size, sha256.hexdigest()), bytes(kept)


def _unpacked(file: BufferedIOBase, entry: Entry) -> Iterator[bytes | memoryview]:
    """The content in chunks, each valid until the next; at most one byte more than declared is inflated."""
    left = entry.header.packed
    if entry.header.method == STORED:
        # One buffer for all chunks: a new one of this size would be mapped, zeroed and unmapped each time.
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
            inflated = inflater.decompress(packed, min(room, _UNPACKED_CHUNK))
        except _INFLATE_ERROR as error:
            raise _Corrupt(f"is not a deflate stream: {error}") from None
        if not packed and not inflated:
            raise _Corrupt("has a truncated deflate stream")
        room -= len(inflated)
        yield inflated
    if left or inflater.unused_data:
        raise _Corrupt(f"has {left + len(inflater.unused_data)} bytes after the end of its deflate stream")
