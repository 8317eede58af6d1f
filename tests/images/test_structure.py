"""An image whose parts repeat without end is refused before it is decoded; ordinary images are not."""

import struct
import zlib
from collections import Counter
from random import Random

import pytest
from PIL import Image, ImageCms

from portal.images import structure
from portal.images.convert import icon
from portal.images.errors import ImageRejected
from tests.images import files
from tests.images.files import chunk

EDGE = 64
NOISE = Image.frombytes("RGB", (EDGE, EDGE), Random(1).randbytes(3 * EDGE * EDGE))
REPEATED = 30_000


def encoded(kind: str, image: Image.Image = NOISE, **options: object) -> bytes:
    return files.encoded(image, kind, **options)


def exif() -> Image.Exif:
    made = Image.Exif()
    made[0x0112], made[0x010E] = 1, "a description"
    return made


def png_parts(data: bytes) -> list[bytes]:
    parts, position = [data[:8]], 8
    while position < len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        parts.append(data[position:end])
        position = end
    return parts


def jpeg_parts(data: bytes) -> list[bytes]:
    """Segments, each scan with its data."""
    parts, position = [data[:2]], 2
    while data[position + 1] != 0xD9:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] == 0xDA:
            while data[end] != 0xFF or data[end + 1] == 0 or 0xD0 <= data[end + 1] <= 0xD7:
                end += 1
        parts.append(data[position:end])
        position = end
    return [*parts, data[position:]]


def webp_parts(data: bytes) -> list[bytes]:
    parts, position = [data[:12]], 12
    while position < len(data):
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        end = position + 8 + length + length % 2
        parts.append(data[position:end])
        position = end
    return parts


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
METADATA = {"exif": exif(), "icc_profile": PROFILE, "xmp": b"<x:xmpmeta/>"}
TEXTS = [
    chunk(b"tEXt", b"Comment\0text"),
    chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"text")),
    chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(b"text")),
    chunk(b"prVt", b""),
]


def png_with_texts() -> list[bytes]:
    parts = png_parts(encoded("PNG", **METADATA))
    return [*parts[:2], *TEXTS, *parts[2:]]


FILES = {
    "PNG": png_with_texts(),
    "baseline JPEG": jpeg_parts(encoded("JPEG", comment=b"comment", **METADATA)),
    "progressive JPEG": jpeg_parts(encoded("JPEG", progressive=True, **METADATA)),
    "JPEG with a padded marker": [*(parts := jpeg_parts(encoded("JPEG")))[:1], b"\xff", *parts[1:]],
    "WebP": webp_parts(encoded("WEBP", **METADATA)),
    "WebP of two frames": webp_parts(encoded("WEBP", save_all=True, append_images=[NOISE.rotate(90)])),
}
PARTS = {
    f"{kind}: part {number}": (parts, number)
    for kind, parts in FILES.items()
    for number, part in enumerate(parts)
    if number and part != b"\xff\xd9" and part[4:8] != b"IEND"
}


@pytest.mark.parametrize(("parts", "number"), PARTS.values(), ids=PARTS.keys())
def test_no_part_of_a_file_may_repeat_without_end(parts: list[bytes], number: int) -> None:
    data = b"".join([*parts[:number], parts[number] * REPEATED, *parts[number + 1 :]])
    with pytest.raises(ImageRejected, match="has more than") as refusal:
        icon(data, max_pixels=EDGE * EDGE)
    assert refusal.value.code == "INVALID_IMAGE"


def split_idat(data: bytes, length: int) -> bytes:
    """The PNG as libpng writes it: many IDAT chunks."""
    parts = png_parts(data)
    pixels = b"".join(part[8:-4] for part in parts if part[4:8] == b"IDAT")
    pieces = [chunk(b"IDAT", pixels[at : at + length]) for at in range(0, len(pixels), length)]
    return b"".join([*parts[:2], *pieces, parts[-1]])


LARGE = Image.frombytes("RGB", (1800, 1800), Random(1).randbytes(3 * 1800 * 1800))
THUMBNAIL = (b"\xff\xda\0\2" * 300)[:1200]  # what looks like scans inside a segment
HONEST = {
    "a 10 MB PNG of chunks of 8 KiB": split_idat(encoded("PNG", LARGE, compress_level=1), 8192),
    "a PNG of 80 texts": b"".join([*(parts := png_parts(encoded("PNG")))[:2], *TEXTS * 20, *parts[2:]]),
    "a 7 MB photograph": encoded("JPEG", LARGE, quality=100, subsampling=0, **METADATA),
    "a 7 MB progressive photograph": encoded("JPEG", LARGE, quality=100, progressive=True, **METADATA),
    "restart markers in every row": encoded("JPEG", LARGE, restart_marker_blocks=1),
    "a thumbnail in a segment": b"".join(
        [*(parts := jpeg_parts(encoded("JPEG")))[:1], b"\xff\xe1" + struct.pack(">H", 1202) + THUMBNAIL, *parts[1:]]
    ),
    "a trailer behind the image": encoded("JPEG") + b"\xff\xda\0\2" * 1000,
    "lossless WebP with metadata": encoded("WEBP", lossless=True, **METADATA),
}  # fmt: skip


@pytest.mark.parametrize("data", HONEST.values(), ids=HONEST.keys())
def test_ordinary_images_are_accepted(data: bytes) -> None:
    assert set(icon(data, max_pixels=1800 * 1800)) == {32, 64, 128}


def test_scans_are_counted_as_they_are() -> None:
    for options, scans in (({}, 1), ({"progressive": True}, 10)):
        counted: Counter[str] = Counter()
        for part, number in structure._parts(encoded("JPEG", **options)):
            counted[part] += number
        assert counted["scans"] == scans


def test_the_bound_of_scans_is_exact() -> None:
    parts = jpeg_parts(encoded("JPEG", progressive=True))
    for scans, refused in ((structure.MOST["scans"], False), (structure.MOST["scans"] + 1, True)):
        more = parts[-2] * (scans - 10)
        assert bool(structure.fault(b"".join([*parts[:-1], more, parts[-1]]))) is refused
