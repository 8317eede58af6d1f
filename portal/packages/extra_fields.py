"""Extra fields of ZIP headers (APPNOTE 4.5) that are harmless, because all they can carry is times and owners.

Refused with all others: 0x0001 (ZIP64) and 0x7075 (Unicode path) state sizes and names a second time, and a reader
that believes them sees another archive; the rest is room for data that the signature does not cover.
"""

import struct
from collections.abc import Iterator

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


def faults(extra: bytes) -> Iterator[str]:
    """What is wrong with the extra fields of one header, as objects of `has`."""
    seen = set()
    position = 0
    while position < len(extra):
        if len(extra) - position < _HEADER.size:
            yield f"{len(extra) - position} bytes that are no extra field"
            return
        field, length = _HEADER.unpack_from(extra, position)
        position += _HEADER.size + length
        if position > len(extra):
            yield f"an extra field 0x{field:04x} that is cut off"
            return
        if length not in HARMLESS.get(field, ()):
            yield f"an extra field 0x{field:04x} of {length} bytes, which is not one of the harmless ones"
        elif field in seen:
            yield f"the extra field 0x{field:04x} twice"
        seen.add(field)
