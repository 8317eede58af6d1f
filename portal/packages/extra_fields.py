"""Extra fields of ZIP headers (APPNOTE 4.5) that are harmless, because all they can carry is times and owners.

Refused with all others: 0x0001 (ZIP64) and 0x7075 (Unicode path) state sizes and names a second time, and a reader
that believes them sees another archive; the rest is room for data that the signature does not cover.
"""

import struct

_HEADER = struct.Struct("<2H")

HARMLESS: dict[int, tuple[int, ...]] = {
    0x5455: (1, 5, 9, 13),  # extended timestamp: Info-ZIP, libarchive
    0x7875: (11,),  # Unix owner: Info-ZIP, libarchive
    0x5855: (8, 12),  # Unix times and owner: macOS
    0x7855: (0, 4),  # Unix owner, older Info-ZIP
    0x000A: (32,),  # NTFS times: 7-Zip, Windows
    0xCAFE: (0,),  # the mark of an executable JAR
}
"""Lengths in bytes that each field may have."""

LONGEST = sum(_HEADER.size + max(lengths) for lengths in HARMLESS.values())


def fault(extra: bytes) -> str | None:
    """The first fault in the extra fields of one header, as the object of `has`.

    Only the first: a header has room for 16,384 fields, and a package for 10,000 headers.
    """
    seen = set()
    position = 0
    while position < len(extra):
        if len(extra) - position < _HEADER.size:
            return f"{len(extra) - position} bytes that are no extra field"
        field, length = _HEADER.unpack_from(extra, position)
        position += _HEADER.size + length
        if position > len(extra):
            return f"an extra field 0x{field:04x} that is cut off"
        if length not in HARMLESS.get(field, ()):
            return f"an extra field 0x{field:04x} of {length} bytes, which is not one of the harmless ones"
        if field in seen:
            return f"the extra field 0x{field:04x} twice"
        seen.add(field)
    return None
