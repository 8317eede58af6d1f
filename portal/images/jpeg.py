"""JPEG (ITU-T T.81, annex B): the first picture without its metadata, however that is damaged.

Cameras append a second picture and announce it in the metadata (MPO); viewers show the first.
"""

from collections.abc import Iterator

from portal.images.picture import Picture
from portal.images.structure import END_OF_IMAGE, MARKER, START_OF_SCAN, WITHOUT_LENGTH

SIGNATURE = b"\xff\xd8\xff"
EXIF, ICC = b"Exif\0\0", b"ICC_PROFILE\0"
APPLICATION = range(0xE0, 0xF0)
COMMENT = 0xFE
KEPT = (0xE0, 0xEE)  # JFIF and Adobe: libjpeg learns from them how colours are stored


def read(data: bytes) -> Picture:
    """Damage of anything that is kept is the decoder's to find."""
    kept, icc, exif = [], {}, None
    position = 0
    for marker, start, end in _head(data):
        body = data[start:end]
        if marker not in (*APPLICATION, COMMENT) or marker in KEPT:
            kept.append(data[position:end])
        elif marker == 0xE1 and body.startswith(EXIF) and exif is None:
            exif = body[len(EXIF) :]
        elif marker == 0xE2 and body.startswith(ICC) and len(body) > len(ICC) + 2:
            icc[body[len(ICC)]] = body[len(ICC) + 1 :]  # behind the number: how many there are
        position = end
    return Picture("JPEG", b"".join(kept) + data[position:], exif=exif, icc=_joined(icc))


def _head(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The marker of each segment before the first scan, and where its content begins and ends."""
    position = 2
    yield 0xD8, 2, 2
    while match := MARKER.search(data, position):
        marker, position = data[match.end() - 1], match.end()
        if marker in (START_OF_SCAN, END_OF_IMAGE):
            return
        if marker not in WITHOUT_LENGTH:
            start, position = position + 2, position + int.from_bytes(data[position : position + 2], "big")
            if position < start or position > len(data):
                return
            yield marker, start, position


def _joined(parts: dict[int, bytes]) -> bytes | None:
    """The profile, if each part says the same number and none is missing."""
    if sorted(parts) != list(range(1, len(parts) + 1)) or {part[0] for part in parts.values()} != {len(parts)}:
        return None
    return b"".join(parts[number][1:] for number in sorted(parts))
