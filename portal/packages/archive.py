"""The ZIP profile of packages, checked on the raw records (PKWARE APPNOTE 6.3.10) before any data is inflated.

Entries cover the file without gaps or overlaps from its first byte to the central directory, and the end record closes
the file. So the file has nothing that the directory does not list, and every ZIP reader, whether it follows the
directory or the local headers, sees the same entries. ZIP64 is refused where it is needed to read the archive: only
those over 4 GiB need it, and readers can disagree on its second set of sizes.
"""

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from portal.packages import extra_fields, paths
from portal.packages.errors import PackageRejected
from portal.packages.extra_fields import NEEDLESS_ZIP64
from portal.packages.limits import Limits
from portal.packages.reasons import Fault, sentences
from portal.sizes import excess

END = struct.Struct("<4s4H2LH")
CENTRAL = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")
DESCRIPTOR = struct.Struct("<4s3L")

STORED, DEFLATED = 0, 8

ENCRYPTED, DESCRIBED, UTF8 = 0x0001, 0x0008, 0x0800
_DEFLATE_LEVEL = 0x0006
_FEATURES = {0x0020: "patched data", 0x0040: "strong encryption", 0x2000: "masked headers"}
_ZIP_2_0, _ZIP_4_5 = 20, 45  # the version that deflate needs, and that ZIP64 does
_UNIX = 3
IN_ZIP64 = 0xFFFFFFFF  # a size or offset that a ZIP64 field has instead

_LONGEST_RECORD = CENTRAL.size + 1024 + 256  # bytes; name and extra fields of any entry that could pass
_DOS_VOLUME_OR_DEVICE, _DOS_DIRECTORY = 0x48, 0x10

_USE = "use 0644, or 0755 for programs and directories"
_NOT_MARKED = (
    "is a non-ASCII name without the UTF-8 flag, which Info-ZIP's zip does not set: use `mosis pack`, 7-Zip or Python"
)
_MADE_ON_DOS = (
    "is a non-ASCII name in an archive marked as made on DOS, as Java, Go and git mark it: unzip changes the name; use"
    " `mosis pack`, 7-Zip or Python"
)


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
    def name(self) -> bytes:
        """Its name as it is in the directory."""
        return self.record[CENTRAL.size : CENTRAL.size + self.header.name_length]

    @property
    def extra(self) -> bytes:
        """Its extra fields in the directory."""
        return self.record[CENTRAL.size + self.header.name_length :][: self.header.extra_length]

    @property
    def where(self) -> tuple[int, int, int]:
        """Its sizes and its offset."""
        return self.header.packed, self.header.unpacked, self.header.offset

    @property
    def is_directory(self) -> bool:
        """Whether it is one, which its name decides."""
        return self.path.endswith("/")

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
    """The entries in the order of their data, and the faults found so far."""

    entries: list[Entry]
    faults: list[Fault]
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

    entries = _by_offset(records, start)
    if zip64 := [Fault(entry.path, NEEDLESS_ZIP64) for entry in entries if IN_ZIP64 in entry.where]:
        raise PackageRejected(sentences(zip64))  # everything else that is wrong follows from it

    faults = [fault for entry in entries for fault in _record_faults(entry, limits)]
    too_large = list(_size_faults(entries, size, limits))
    collisions = [Fault(None, text) for text in paths.collisions(entry.path for entry in entries)]
    misplaced = list(_layout_faults(file, entries, start))
    steep = any(_steep(entry.header, limits) for entry in entries)
    sound = not (too_large or misplaced or steep)
    return Directory(entries, faults + too_large + collisions + misplaced, sound)


def _end_record(file: BinaryIO, size: int) -> tuple[int, int, int]:
    tail_length = min(size, END.size + 0xFFFF)
    file.seek(size - tail_length)
    tail = file.read(tail_length)
    at_end = tail[-END.size :].startswith(b"PK\5\6")
    found = tail_length - END.size if at_end else tail.rfind(b"PK\5\6")
    if found < 0 or tail_length - found < END.size:
        raise PackageRejected(["The file is not a ZIP archive: it has no end of central directory record."])
    _, disk, first_disk, here, count, length, start, comment = END.unpack_from(tail, found)
    if surplus := tail[found + END.size :]:
        raise PackageRejected([_surplus_reason(surplus, comment)])
    if count == 0xFFFF or IN_ZIP64 in (length, start) or tail[max(found - 20, 0) :].startswith(b"PK\6\7"):
        raise PackageRejected([f"The archive {NEEDLESS_ZIP64}."])
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


def _surplus_reason(surplus: bytes, comment: int) -> str:
    """Why bytes follow the end record that states a `comment` of so many bytes."""
    if not surplus.strip(b"\0"):
        return (
            f"The archive is padded: {len(surplus)} zero bytes follow its end record, as bsdtar writes them to a pipe."
            " Name the archive with `bsdtar -f`."
        )
    if not surplus.strip(b"\r\n"):
        return "A line break follows the archive, as transfers of text add one: send it as a binary file."
    if len(surplus) == comment:
        return (
            f"The archive has a comment: {comment} bytes follow its end record, as `git archive` writes its commit."
            " Remove it with `zip -z`, or use `mosis pack`."
        )
    return f"The archive has appended data: {len(surplus)} bytes follow its end record."


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


def _record_faults(entry: Entry, limits: Limits) -> Iterator[Fault]:
    header, name = entry.header, entry.name
    extra_fault = extra_fields.fault(entry.extra, name)
    for fault in (*_name_faults(name, header, entry.extra, extra_fault), *_header_faults(header, name, limits)):
        yield Fault(entry.path, fault)
    if extra_fault:
        yield Fault(entry.path, extra_fault)


def _name_faults(name: bytes, header: CentralHeader, extra: bytes, extra_fault: str | None) -> Iterator[str]:
    try:
        path = name.decode()
    except UnicodeDecodeError:
        yield "is not a UTF-8 name"
        return
    if not path.isascii() and not header.flags & UTF8:
        yield _NOT_MARKED
    elif not (path.isascii() or header.made_by >> 8 == _UNIX or extra_fault or extra_fields.has_unicode_path(extra)):
        yield _MADE_ON_DOS
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
    if header.method == STORED and header.flags & DESCRIBED:
        yield "is stored with a data descriptor, so a streaming reader cannot find its end; deflate it"
    if header.needed == _ZIP_4_5:
        yield NEEDLESS_ZIP64
    elif header.needed > _ZIP_2_0:
        yield f"requires version {header.needed / 10} of the ZIP format; at most 2.0 is allowed"
    if _steep(header, limits):
        yield (
            f"expands from {header.packed} to {header.unpacked} bytes, more than {limits.ratio} to 1: store it without"
            " compression, as `mosis pack` does"
        )
    if header.disk:
        yield "is on another disk of a multi-part archive"
    if header.comment_length:
        yield "has a comment"
    yield from _kind_faults(header, is_directory)


def _kind_faults(header: CentralHeader, is_directory: bool) -> Iterator[str]:
    mode = header.external >> 16
    kind = stat.S_IFMT(mode)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or header.external & _DOS_VOLUME_OR_DEVICE:
        yield "is a link or a device; only files and directories are allowed"
    elif is_directory and kind == stat.S_IFREG:
        yield "is named like a directory but marked as a file"
    elif not is_directory and (kind == stat.S_IFDIR or header.external & _DOS_DIRECTORY):
        yield "is marked as a directory but not named like one"
    elif mode:
        yield from _mode_faults(stat.S_IMODE(mode), is_directory)
    if is_directory and header.unpacked:
        yield "is a directory with content"


def _mode_faults(mode: int, is_directory: bool) -> Iterator[str]:
    """What is wrong if a device applies the mode, which no signature covers."""
    if mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX):
        yield f"has the mode {mode:04o} with a set-user-ID, set-group-ID or sticky bit: {_USE}"
    if mode & stat.S_IWOTH:
        yield f"has the mode {mode:04o}, with which every user of a device may change it: {_USE}"
    needed = stat.S_IRUSR | stat.S_IXUSR if is_directory else stat.S_IRUSR
    if mode & needed != needed:
        yield f"has the mode {mode:04o}, with which its owner cannot read it: {_USE}"


def _steep(header: CentralHeader, limits: Limits) -> bool:
    return header.unpacked > max(header.packed * limits.ratio, limits.ratio_free_entry)


def _size_faults(entries: list[Entry], size: int, limits: Limits) -> Iterator[Fault]:
    unpacked = sum(entry.header.unpacked for entry in entries)
    if unpacked > limits.unpacked_bytes:
        yield Fault(None, f"The files unpack to {excess(unpacked, limits.unpacked_bytes)}.")
    elif unpacked > max(size * limits.ratio, limits.ratio_free_package):
        yield Fault(
            None,
            f"The package expands from {size} to {unpacked} bytes, more than {limits.ratio} to 1: store the files"
            " without compression, as `mosis pack` does.",
        )


def _by_offset(records: list[tuple[CentralHeader, bytes]], end: int) -> list[Entry]:
    ordered = sorted(records, key=lambda pair: pair[0].offset)
    ends = [header.offset for header, _ in ordered] + [end]
    return [
        Entry(record[CENTRAL.size :][: header.name_length].decode("utf-8", "backslashreplace"), record, header, end)
        for (header, record), end in zip(ordered, ends[1:], strict=True)
    ]


def misfit(entry: Entry, local_extra: int) -> str | None:
    """Why the data of an entry whose local header states so many bytes of extra fields does not end at the next one."""
    surplus = entry.extra_length - local_extra
    if surplus == 0:
        return None
    if entry.header.flags & DESCRIBED:
        known = {
            -DESCRIPTOR.size: "announces a data descriptor that is not there: pack the files anew",
            -4: "has a data descriptor without its signature PK\\7\\8",
            8: NEEDLESS_ZIP64,
        }
        if surplus in known:
            return known[surplus]
    if surplus < 0:
        return f"overlaps the next record by {-surplus} bytes"
    return f"has {surplus} bytes around it that belong to no entry"


def _layout_faults(file: BinaryIO, entries: list[Entry], start: int) -> Iterator[Fault]:
    first = entries[0].header.offset if entries else start
    if first:
        yield Fault(None, f"The first {first} bytes of the file belong to no entry.")
    for entry in entries:
        if entry.extra_length < 0:
            file.seek(entry.header.offset)
            local = file.read(LOCAL.size)
            stated = LOCAL.unpack(local)[-1] if len(local) == LOCAL.size else 0
            yield Fault(entry.path, misfit(entry, stated) or f"overlaps the next record by {-entry.extra_length} bytes")
        elif entry.extra_length > extra_fields.longest(len(entry.name)):
            yield Fault(entry.path, f"is followed by up to {entry.extra_length} bytes that belong to no entry")
