"""Extra fields of ZIP headers (APPNOTE 4.5): only those that carry nothing but times and owners are allowed.

0x0001 (ZIP64) and 0x7075 (Unicode path) repeat sizes and names, so a reader that uses them sees another archive; any
other field could hold data that the signature does not cover.
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
"""The allowed lengths of each field, bytes."""

LONGEST = sum(_HEADER.size + max(lengths) for lengths in HARMLESS.values())


def fault(extra: bytes) -> str | None:
    """The first fault in the extra fields of one header, as the object of "has", or None.

    Only the first: a header has room for 16,384 fields, and a package for 10,000 headers.
    """
    seen = set()
    position = 0
    while position < len(extra):
        if len(extra) - position < _HEADER.size:
            return f"{len(extra) - position} bytes that do not form an extra field"
        field, length = _HEADER.unpack_from(extra, position)
        position += _HEADER.size + length
        if position > len(extra):
            return f"a truncated extra field 0x{field:04x}"
        if length not in HARMLESS.get(field, ()):
            return f"an extra field 0x{field:04x} of {length} bytes, which is not allowed"
        if field in seen:
            return f"the extra field 0x{field:04x} twice"
        seen.add(field)
    return None
