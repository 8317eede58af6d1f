"""What the fuzzer calls: any bytes are an image that becomes three clean PNGs, or one that is refused in a sentence.

It converts in its own process, unlike the portal: what makes a decoder crash or hang is to be found, not contained.
"""

import struct
import warnings
import zlib
from io import BytesIO

from PIL import Image

from portal.images import convert, png
from portal.images.dimensions import ICON_SIZES
from portal.images.errors import ImageRejected

MAX_PIXELS = 64 * 64
EMPTY = bytes(4)


def one_input(data: bytes) -> None:
    """Raises AssertionError, or whatever the conversion fails with, for an input that shows a fault of it."""
    warnings.simplefilter("ignore")
    try:
        icons = convert.icon(repaired(data), max_pixels=MAX_PIXELS)
    except ImageRejected as refusal:
        assert refusal.code in ("INVALID_IMAGE", "INVALID_DIMENSIONS")
        sentence = str(refusal)
        assert sentence.isprintable() and sentence.endswith(".") and len(sentence) < 300, sentence
    else:
        assert list(icons) == list(ICON_SIZES)
        for edge, icon in icons.items():
            assert set(kinds(icon)) == {b"IHDR", b"IDAT", b"IEND"}
            with Image.open(BytesIO(icon), formats=["PNG"]) as shown:
                shown.load()
                assert shown.size == (edge, edge) and shown.mode in ("RGB", "RGBA") and not shown.info


def kinds(icon: bytes) -> list[bytes]:
    """Of the chunks of a PNG that has nothing behind its end."""
    found, position = [], len(png.SIGNATURE)
    while position < len(icon):
        length, kind = struct.unpack_from(">L4s", icon, position)
        found.append(kind)
        position += 12 + length
    return found


def repaired(data: bytes) -> bytes:
    """A PNG with right checksums, so that the fuzzer gets past those; one of zero stays wrong. Others as they are."""
    if not data.startswith(png.SIGNATURE):
        return data
    parts, position = [data[:8]], 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">L", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        part = data[position : end - 4]
        right = struct.pack(">L", zlib.crc32(part[4:]))
        parts += [part, EMPTY if data[end - 4 : end] == EMPTY else right]
        position = end
    return b"".join(parts) + data[position:]
