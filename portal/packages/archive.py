"""The ZIP profile of packages, checked on the raw records (PKWARE APPNOTE 6.3.10) before any data is inflated.

Entries cover the file without gaps or overlaps from its first byte to the central directory, and the end record closes
the file. So the file has nothing that the directory does not list, and every ZIP reader, whether it follows the
directory or the local headers, sees the same entries. ZIP64 is refused where it is needed to read the archive: only
those over 4 GiB need it, and readers can disagree on its second set of sizes.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from portal.packages import extra_fields, headers, paths
from portal.packages.errors import PackageRejected
from portal.packages.extra_fields import NEEDLESS_ZIP64
from portal.packages.limits import Limits
from portal.packages.reasons import Fault, sentences
from portal.packages.records import CENTRAL, DESCRIBED, DESCRIPTOR, END, IN_ZIP64, LOCAL, CentralHeader, Entry
from portal.sizes import excess

_LONGEST_RECORD = CENTRAL.size + 1024 + 256  # bytes; name and extra fields of any entry that could pass


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

    faults = [fault for entry in entries for fault in headers.faults(entry, limits)]
    too_large = list(_size_faults(entries, size, limits))
    collisions = [Fault(None, text) for text in paths.collisions(entry.path for entry in entries)]
    misplaced = list(_layout_faults(file, entries, start))
    steep = any(headers.steep(entry.header, limits) for entry in entries)
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


def misfit(entry: Entry, local_extra: int) -> str:
    """Why the data of an entry whose local header states so many bytes of extra fields does not end at the next one."""
    surplus = entry.extra_length - local_extra
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
            yield Fault(entry.path, misfit(entry, stated))
        elif entry.extra_length > extra_fields.longest(len(entry.name)):
            yield Fault(entry.path, f"is followed by up to {entry.extra_length} bytes that belong to no entry")
