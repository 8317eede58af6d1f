"""Image files byte by byte."""

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO

from PIL import Image

WIDE = (1280, 720)
Chunk = tuple[bytes, bytes]


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    target = BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def chunk(kind: bytes, data: bytes, *, damaged: bool = False) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ damaged)


def png(
    depth: int,
    colour: int,
    row: bytes,
    *chunks: Chunk | bytes,
    size: tuple[int, int] = WIDE,
    after: Sequence[Chunk | bytes] = (),
) -> bytes:
    """A PNG (RFC 2083) of equal rows, with chunks before and after the pixels: kind and content, or as they are."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    pixels = zlib.compress((b"\0" + row) * size[1], 1)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", pixels), *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(part if isinstance(part, bytes) else chunk(*part) for part in parts)
