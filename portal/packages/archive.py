"""The ZIP profile of packages, checked on the raw records (PKWARE APPNOTE 6.3.10) before any data is inflated.

Entries cover the file without gaps or overlaps from its first byte to the central directory, and the end record closes
the file. So the file has nothing that the directory does not list, and every ZIP reader, whether it follows the
directory or the local headers, sees the same entries. ZIP64 is refused: only archives over 4 GiB need it, and readers
can disagree on its second set of sizes.
"""

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from portal.packages import extra_fields, paths
from portal.packages.errors import PackageRejected, quote
from portal.packages.limits import Limits
from portal.sizes import excess

END = struct.Struct("<4s4H2LH")
CENTRAL = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")
DESCRIPTOR = struct.Struct("<4s3L")

STORED, DEFLATED = 0, 8

ENCRYPTED, DESCRIBED, UTF8 = 0x0001, 0x0008, 0x0800
_DEFLATE_LEVEL = 0x0006
_FEATURES = {0x0020: "patched data", 0x0040: "strong encryption", 0x2000: "masked headers"}
_ZIP_2_0 = 20

_LONGEST_RECORD = CENTRAL.size + 1024 + 256  # bytes; name and extra fields of any entry that could pass
_DOS_VOLUME_OR_DEVICE, _DOS_DIRECTORY = 0x48, 0x10


class CentralHeader(NamedTuple):
    """Fields of a central directory record (APPNOTE 4.3.12)."""

    magic: bytes
    made_by: int
    needed: int
    flags: int
    method: int
    time: int
    date: int
    crc: int
    packed: int
    unpacked: int
    name_length: int
    extra_length: int
    comment_length: int
    disk: int
    internal: int
    external: int
    offset: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the central directory; sizes and offsets in bytes."""

    path: str
    record: bytes  # its record in the central directory
    header: CentralHeader
    end: int  # offset of the next entry, or of the central directory

    @property
    def readable(self) -> bool:
        """Whether the data can be read as the header describes it."""
        stored = self.header.method == STORED and self.header.packed == self.header.unpacked
        return (stored or self.header.method == DEFLATED) and not self.header.flags & ENCRYPTED

    @property
    def extra_length(self) -> int:
        """Bytes of extra fields that the local header must have so that no gap or overlap follows the entry."""
        descriptor = DESCRIPTOR.size if self.header.flags & DESCRIBED else 0
        used = LOCAL.size + self.header.name_length + self.header.packed + descriptor
        return self.end - self.header.offset - used


class Directory(NamedTuple):
    """The entries in the order of their data, and the faults found so far, as sentences."""

    entries: list[Entry]
    faults: list[str]
    sound: bool  # entries neither overlap nor exceed the limits: their data can be read safely


def read_directory(file: BinaryIO, size: int, limits: Limits) -> Directory:
    """Read the central directory of the archive of `size` bytes in `file`.

    Faults are collected in the result. Raises PackageRejected when the directory cannot be parsed.
    """
    if size > limits.package_bytes:
        raise PackageRejected([f"The package has {excess(size, limits.package_bytes)}."])
    count, start, length = _end_record(file, size)
    if count > limits.entries:
        raise PackageRejected([f"The archive has {count} entries, more than the {limits.entries} allowed."])
    if length > count * _LONGEST_RECORD:
        raise PackageRejected([f"The central directory is {length} bytes long, too long for {count} entries."])
    file.seek(start)
    records = list(_records(file.read(length), count))

    faults = [fault for header, record in records for fault in _record_faults(header, record, limits)]
    unpacked = sum(header.unpacked for header, _ in records)
    bounded = unpacked <= limits.unpacked_bytes
    if not bounded:
        faults.append(f"The files unpack to {excess(unpacked, limits.unpacked_bytes)}.")
    entries = _by_offset(records, start)
    faults += paths.collisions(entry.path for entry in entries)
    misplaced = list(_layout_faults(entries, start))
    within_ratio = all(header.unpacked <= header.packed * limits.ratio for header, _ in records)
    return Directory(entries, faults + misplaced, sound=bounded and within_ratio and not misplaced)


def _end_record(file: BinaryIO, size: int) -> tuple[int, int, int]:
    tail_length = min(size, END.size + 0xFFFF)
    file.seek(size - tail_length)
    tail = file.read(tail_length)
    at_end = tail[-END.size :].startswith(b"PK\5\6")
    found = tail_length - END.size if at_end else tail.rfind(b"PK\5\6")
    if found < 0 or tail_length - found < END.size:
        raise PackageRejected(["The file is not a ZIP archive: it has no end of central directory record."])
    surplus = tail_length - found - END.size
    if surplus:
        raise PackageRejected([f"The archive has a comment or appended data: {surplus} bytes follow its end record."])
    _, disk, first_disk, here, count, length, start, comment = END.unpack_from(tail, found)
    if count == 0xFFFF or 0xFFFFFFFF in (length, start) or tail[max(found - 20, 0) :].startswith(b"PK\6\7"):
        raise PackageRejected(["The archive uses ZIP64, which no package of the allowed size needs."])
    reasons = []
    if disk or first_disk or here != count:
        reasons.append("The archive is one part of a multi-part archive.")
    if comment:
        reasons.append(f"The end record declares a comment of {comment} bytes that is missing.")
    if start + length + END.size != size:
        reasons.append(
            f"The end record at byte {size - END.size} does not follow the central directory, which it places at bytes "
            f"{start} to {start + length}."
        )
    if reasons:
        raise PackageRejected(reasons)
    return count, start, length


def _records(directory: bytes, count: int) -> Iterator[tuple[CentralHeader, bytes]]:
    position = 0
    for number in range(1, count + 1):
        if directory[position : position + 4] != b"PK\1\2" or len(directory) - position < CENTRAL.size:
            raise PackageRejected([f"The central directory is truncated before record {number} of {count}."])
        header = CentralHeader._make(CENTRAL.unpack_from(directory, position))
        length = CENTRAL.size + header.name_length + header.extra_length + header.comment_length
        record = directory[position : position + length]
        if len(record) < length:
            raise PackageRejected([f"Record {number} of the central directory extends beyond its end."])
        yield header, record
        position += length
    if position != len(directory):
        surplus = len(directory) - position
        raise PackageRejected([f"The central directory has {surplus} bytes after its {count} entries."])


def _name(header: CentralHeader, record: bytes) -> bytes:
    return record[CENTRAL.size : CENTRAL.size + header.name_length]


def _record_faults(header: CentralHeader, record: bytes, limits: Limits) -> Iterator[str]:
    name = _name(header, record)
    for fault in (*_name_faults(name, header.flags), *_header_faults(header, name, limits)):
        yield f"{quote(name)} {fault}."
    extra = record[CENTRAL.size + len(name) :][: header.extra_length]
    if extra_fault := extra_fields.fault(extra):
        yield f"{quote(name)}: the central directory has {extra_fault}."


def _name_faults(name: bytes, flags: int) -> Iterator[str]:
    try:
        path = name.decode()
    except UnicodeDecodeError:
        yield "is not a UTF-8 name"
        return
    if not path.isascii() and not flags & UTF8:
        yield "is a non-ASCII name without the UTF-8 flag"
    yield from paths.faults(path)


def _header_faults(header: CentralHeader, name: bytes, limits: Limits) -> Iterator[str]:
    is_directory = name.endswith(b"/")
    if header.flags & ENCRYPTED:
        yield "is encrypted"
    for bit, feature in _FEATURES.items():
        if header.flags & bit:
            yield f"uses {feature}"
    if unknown := header.flags & ~(ENCRYPTED | DESCRIBED | UTF8 | _DEFLATE_LEVEL | sum(_FEATURES)):
        yield f"has the flags 0x{unknown:04x}, which are not supported"
    if header.method not in (STORED, DEFLATED):
        yield f"is compressed with method {header.method}; only 0 (stored) and 8 (deflate) are allowed"
    elif header.method == STORED and header.packed != header.unpacked:
        yield f"is stored, but its packed and unpacked sizes differ: {header.packed} and {header.unpacked} bytes"
    if header.method == STORED and header.flags & DESCRIBED and header.packed:
        yield "is stored with a data descriptor, so a streaming reader cannot find its end; deflate it"
    if header.needed > _ZIP_2_0:
        yield f"requires version {header.needed / 10} of the ZIP format; at most 2.0 is allowed"
    if header.unpacked > header.packed * limits.ratio:
        yield f"expands from {header.packed} to {header.unpacked} bytes, more than {limits.ratio} to 1"
    if header.disk:
        yield "is on another disk of a multi-part archive"
    if header.comment_length:
        yield "has a comment"
    kind = stat.S_IFMT(header.external >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or header.external & _DOS_VOLUME_OR_DEVICE:
        yield "is a link or a device; only files and directories are allowed"
    elif is_directory and kind == stat.S_IFREG:
        yield "is named like a directory but marked as a file"
    elif not is_directory and (kind == stat.S_IFDIR or header.external & _DOS_DIRECTORY):
        yield "is marked as a directory but not named like one"
    if is_directory and header.unpacked:
        yield "is a directory with content"


def _by_offset(records: list[tuple[CentralHeader, bytes]], end: int) -> list[Entry]:
    ordered = sorted(records, key=lambda pair: pair[0].offset)
    ends = [header.offset for header, _ in ordered] + [end]
    return [
        Entry(_name(header, record).decode("utf-8", "backslashreplace"), record, header, end)
        for (header, record), end in zip(ordered, ends[1:], strict=True)
    ]


def _layout_faults(entries: list[Entry], start: int) -> Iterator[str]:
    first = entries[0].header.offset if entries else start
    if first:
        yield f"The first {first} bytes of the file belong to no entry."
    for entry in entries:
        if entry.extra_length < 0:
            yield f"{quote(entry.path)} overlaps the next record by {-entry.extra_length} bytes."
        elif entry.extra_length > extra_fields.LONGEST:
            yield f"Up to {entry.extra_length} bytes after {quote(entry.path)} belong to no entry."
