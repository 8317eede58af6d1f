"""Extra fields of ZIP headers (APPNOTE 4.5): times and owners, and what repeats the header to the letter.

0x0001 (ZIP64) and 0x7075 (Unicode path) state sizes and names again. Some writers always add them, and a reader that
uses them sees the same archive as one that does not, as long as they agree with the header. Any other field could have
data that the signature does not cover.
"""

import struct
import zlib

_HEADER = struct.Struct("<2H")
_SIZES = struct.Struct("<2Q")  # unpacked, packed
_NAME = struct.Struct("<BL")  # version, CRC-32 of the name in the header; the name follows

ZIP64, UNICODE_PATH = 0x0001, 0x7075
NEEDLESS_ZIP64 = (
    "uses ZIP64, which no package of the allowed size needs: set zip64Mode to never in Ant and Commons Compress, omit"
    " force_zip64 in Python, or use `mosis pack`"
)

HARMLESS: dict[int, tuple[int, ...]] = {
    0x5455: (1, 5, 9, 13),  # extended timestamp: Info-ZIP, libarchive
    0x7875: (11,),  # Unix owner: Info-ZIP, libarchive
    0x5855: (8, 12),  # Unix times and owner: macOS
    0x7855: (0, 4),  # Unix owner, older Info-ZIP
    0x000A: (32,),  # NTFS times: 7-Zip, Windows
    0xCAFE: (0,),  # the mark of an executable JAR
}
"""The allowed lengths of each field, bytes."""

_FIXED = sum(_HEADER.size + max(lengths) for lengths in HARMLESS.values())


def longest(name_length: int) -> int:
    """The most bytes of extra fields that the header of an entry with such a name may have."""
    return _FIXED + _HEADER.size + _SIZES.size + _HEADER.size + _NAME.size + name_length


def repeated_sizes(unpacked: int, packed: int) -> bytes:
    """What a ZIP64 field in a local header may state, where the header states the sizes too."""
    return _SIZES.pack(unpacked, packed)


def has_unicode_path(extra: bytes) -> bool:
    """Whether extra fields repeat the name in UTF-8, which readers prefer to that of the header."""
    position = 0
    while position + _HEADER.size <= len(extra):
        field, length = _HEADER.unpack_from(extra, position)
        if field == UNICODE_PATH:
            return True
        position += _HEADER.size + length
    return False


def fault(extra: bytes, name: bytes = b"", sizes: bytes = b"") -> str | None:
    """The first fault in the extra fields of the header of `name`, as a predicate, or None.

    `sizes` is what a ZIP64 field may repeat; without it, none may be there. Only the first fault: a header has room for
    16,384 fields, and a package for 10,000 headers.
    """
    seen = set()
    position = 0
    while position < len(extra):
        if len(extra) - position < _HEADER.size:
            return f"has {len(extra) - position} bytes that do not form an extra field"
        field, length = _HEADER.unpack_from(extra, position)
        position += _HEADER.size + length
        if position > len(extra):
            return f"has a truncated extra field 0x{field:04x}"
        if found := _content_fault(field, extra[position - length : position], name, sizes):
            return found
        if field in seen:
            return f"has the extra field 0x{field:04x} twice"
        seen.add(field)
    return None


def _content_fault(field: int, content: bytes, name: bytes, sizes: bytes) -> str | None:
    if field == ZIP64:
        return None if sizes and content == sizes else NEEDLESS_ZIP64
    if field == UNICODE_PATH:
        same = content == _NAME.pack(1, zlib.crc32(name)) + name
        return None if same else "has an extra field 0x7075 (Unicode path) that states another name"
    if len(content) not in HARMLESS.get(field, ()):
        return f"has an extra field 0x{field:04x} of {len(content)} bytes, which is not allowed"
    return None
