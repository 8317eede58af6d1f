"""PNG (3rd edition): the default image without ancillary chunks, and what those say of colour, key and orientation.

A damaged ancillary chunk is dropped, as the specification allows; a damaged critical one or tRNS is a refusal.
"""

import struct
import zlib
from collections.abc import Iterator

from portal.images import png_colour, structure
from portal.images.errors import ImageRejected
from portal.images.picture import Picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
GREY, RGB, PALETTE = 0, 2, 3  # colour types
_HEADER = struct.Struct(">IIBB3x")
_PLAIN = (b"\x08\x02\0\0\0", b"\x08\x06\0\0\0")  # how the headers of 8-bit RGB and RGBA end


def read(data: bytes) -> Picture:
    """Raises ImageRejected for a damaged file, and for an animation."""
    chunks = list(_chunks(data))
    kinds = [kind for kind, _ in chunks]
    if kinds[0] != b"IHDR" or len(chunks[0][1]) != _HEADER.size:
        raise _damaged("its header is damaged")
    if b"IDAT" not in kinds:
        raise _damaged("it has no pixels")
    first = kinds.index(b"IDAT")
    before = dict(reversed(chunks[:first]))  # the first of a kind counts
    _require_one_frame(before)
    _, _, depth, colour_type = _HEADER.unpack(before[b"IHDR"])
    if colour_type == PALETTE and b"PLTE" not in before:
        raise _damaged("its palette is missing")
    names = (b"IHDR", b"PLTE", b"tRNS") if colour_type == PALETTE else (b"IHDR",)
    pixels = b"".join(body for kind, body in chunks if kind == b"IDAT")
    parts = [(name, before[name]) for name in names if name in before] + [(b"IDAT", pixels), (b"IEND", b"")]
    icc, rgb_profile = png_colour.profiles(before)
    return Picture(
        "PNG",
        SIGNATURE + b"".join(_chunk(*part) for part in parts),
        exif=dict(reversed(chunks)).get(b"eXIf"),
        icc=icc,
        rgb_profile=rgb_profile,
        transparent=_transparent(before.get(b"tRNS", b""), depth, colour_type),
        depth=depth,
    )


def plain_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG of 8-bit RGB or RGBA with a header, pixels and nothing else; None of other bytes."""
    try:
        chunks = [] if structure.fault(data) else list(_chunks(data))
    except ImageRejected:
        return None
    if data != SIGNATURE + b"".join(_chunk(*chunk) for chunk in chunks):
        return None
    (first, header), *pixels, _ = chunks
    is_plain = first == b"IHDR" and header[8:] in _PLAIN and {kind for kind, _ in pixels} == {b"IDAT"}
    return struct.unpack(">II", header[:8]) if is_plain else None


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the chunks that are whole, to the end of the image."""
    position = len(SIGNATURE)
    while True:
        length, kind = struct.unpack_from(">L4s", data.ljust(position + 8, b"\0"), position)
        end = position + 12 + length
        if end > len(data):
            raise _damaged("it is cut off")
        is_whole = zlib.crc32(data[position + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
        is_critical = not kind[0] & 0x20
        if is_critical and kind not in CRITICAL:
            raise _damaged(f"its chunk {kind.decode('ascii', 'replace')!a} is unknown")
        if is_whole:
            yield kind, data[position + 8 : end - 4]
        elif is_critical or kind == b"tRNS":
            raise _damaged(f"its chunk {kind.decode()} is damaged")
        if kind == b"IEND":
            return
        position = end


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def _require_one_frame(before: dict[bytes, bytes]) -> None:
    """An APNG whose only frame is not the default image has two pictures; browsers show the other one."""
    control = before.get(b"acTL", b"")
    if len(control) == 8:
        frames = int.from_bytes(control[:4], "big") + (b"fcTL" not in before)
        if frames > 1:
            raise ImageRejected("INVALID_IMAGE", f"The image has {frames} frames; it must have one.")


def _transparent(body: bytes, depth: int, colour_type: int) -> tuple[int, ...] | None:
    """The samples of the transparent colour, of whose 16 bits only those of the depth count."""
    count = {GREY: 1, RGB: 3}.get(colour_type)
    if count is None or len(body) != 2 * count:
        return None
    return tuple(value & ((1 << depth) - 1) for value in struct.unpack(f">{count}H", body))


def _damaged(why: str) -> ImageRejected:
    return ImageRejected("INVALID_IMAGE", f"The PNG cannot be decoded: {why}.")
