"""Bounds on how often the parts of an image file repeat, checked before a decoder sees the file.

A decoder works once per scan, segment or chunk, whatever its size: a 70 kB progressive JPEG of 93 scans costs 3 s of
processor time, one of 10 MB hours. So the parts are counted first, in one pass that decodes nothing.
"""

import re
import struct
from collections import Counter
from collections.abc import Iterator

MOST = {
    "scans": 100,  # libjpeg-turbo and mozjpeg write about 10
    "segments": 1_000,
    "IDAT chunks": 20_000,  # libpng writes one per 8 KiB
    "compressed chunks": 100,
    "frames": 1_000,  # an animation is refused anyway, in clearer words
    "chunks": 1_000,
}
"""The most parts of each kind in one file."""

MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # neither a stuffed byte nor a restart inside a scan
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
WITHOUT_LENGTH = (0x01, 0xD8, END_OF_IMAGE)
_KINDS = {
    b"IDAT": "IDAT chunks",
    **dict.fromkeys((b"zTXt", b"iTXt", b"iCCP"), "compressed chunks"),
    **dict.fromkeys((b"fcTL", b"ANMF"), "frames"),
}


def fault(data: bytes) -> str | None:
    """Why the PNG, JPEG or WebP file `data` costs too much to decode, as a sentence; None for any other file."""
    counts: Counter[str] = Counter()
    for part, number in _parts(data):
        counts[part] += number
        if counts[part] > MOST[part]:
            return f"The image has more than {MOST[part]:,} {part}, which no ordinary image needs: export it again."
    return None


def _parts(data: bytes) -> Iterator[tuple[str, int]]:
    """The kind of each part in the order of the file, and for how many it counts."""
    if data.startswith(b"\xff\xd8"):
        yield from _jpeg(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        yield from _png(data)
    elif data.startswith(b"RIFF"):
        yield from _webp(data)


def _jpeg(data: bytes) -> Iterator[tuple[str, int]]:
    """Marker segments (ITU-T T.81, annex B). Decoders skip bytes between segments one by one: each counts as one."""
    position, scans = 0, 0
    after_scan = False
    while match := MARKER.search(data, position):
        if not after_scan:
            yield "segments", 1 + match.start() - position
        marker, position = data[match.end() - 1], match.end()
        after_scan = marker == START_OF_SCAN
        if after_scan:
            scans += 1
            yield "scans", 1
        elif marker == END_OF_IMAGE and scans:
            return
        if marker not in WITHOUT_LENGTH:
            position += max(2, int.from_bytes(data[position : position + 2], "big"))


def _png(data: bytes) -> Iterator[tuple[str, int]]:
    position = 8
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, position)
        yield _KINDS.get(kind, "chunks"), 1
        if kind == b"IEND":
            return
        position += 12 + length


def _webp(data: bytes) -> Iterator[tuple[str, int]]:
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sL", data, position)
        yield _KINDS.get(kind, "chunks"), 1
        position += 8 + length + length % 2
