"""The records of a ZIP archive (PKWARE APPNOTE 6.3.10), and an entry as its record in the central directory has it."""

import struct
from dataclasses import dataclass
from typing import NamedTuple

END = struct.Struct("<4s4H2LH")
CENTRAL = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")
DESCRIPTOR = struct.Struct("<4s3L")

STORED, DEFLATED = 0, 8

ENCRYPTED, DESCRIBED, UTF8 = 0x0001, 0x0008, 0x0800

IN_ZIP64 = 0xFFFFFFFF  # a size or offset that a ZIP64 field has instead


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
