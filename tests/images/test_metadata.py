"""Metadata: what of it changes an image is what viewers obey, and damage of the rest changes nothing."""

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from portal.images import jpeg
from portal.images.convert import icon, screenshot
from portal.images.errors import ImageRejected
from portal.images.structure import MARKER
from tests.images.files import Chunk, chunk, encoded, png

RED, BLUE = (255, 0, 0), (0, 0, 255)
ROW = bytes(RED) + bytes(BLUE)
SQUARE = (2, 2)
TURNED = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\3\0\0\0\0\0\0"  # EXIF with orientation 3
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="3"/></rdf:RDF></x:xmpmeta>'
INTERNATIONAL = b"XML:com.adobe.xmp\0\0\0\0\0" + XMP
FRAME = struct.pack(">IIIIIHHBB", 0, 2, 2, 0, 0, 1, 1, 0, 0)


def small(*chunks: Chunk | bytes, after: tuple[Chunk | bytes, ...] = ()) -> bytes:
    """Red beside blue."""
    return png(8, 2, ROW, *chunks, size=SQUARE, after=after)


def corners(data: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """At the top left and the top right of the icon."""
    image = Image.open(BytesIO(icon(data, max_pixels=100_000)[32])).convert("RGB")
    return image.getpixel((0, 0)), image.getpixel((31, 0))


DAMAGED = {
    "text": (b"tEXt", b"a\0b"),
    "international text": (b"iTXt", b"a\0\1\0\0\0" + b"no zlib"),
    "compressed text": (b"zTXt", b"a\0\0" + b"no zlib"),
    "a profile": (b"iCCP", b"a\0\0" + zlib.compress(b"no profile")),
    "EXIF": (b"eXIf", TURNED),
    "resolution": (b"pHYs", b"\0"),
    "a time": (b"tIME", b""),
    "a colour space": (b"cICP", bytes((12, 13, 0, 1))),
    "an animation": (b"acTL", struct.pack(">II", 2, 0)),
    "an unknown one": (b"prVt", b""),
}


@pytest.mark.parametrize("part", DAMAGED.values(), ids=DAMAGED.keys())
def test_an_ancillary_chunk_with_a_wrong_checksum_is_dropped(part: Chunk) -> None:
    bad = chunk(*part, damaged=True)
    assert corners(small(bad)) == corners(small(after=(bad,))) == (RED, BLUE)


WRONG = {
    "a profile of another method": (b"iCCP", b"a\0\1" + zlib.compress(b"no profile")),
    "a profile without a name": (b"iCCP", zlib.compress(b"no profile")),
    "a profile that is cut off": (b"iCCP", b"a\0\0" + zlib.compress(b"no profile")[:-1]),
    "EXIF that is none": (b"eXIf", b"MM\0*\xff\xff\xff\xff"),
    "EXIF that is empty": (b"eXIf", b""),
    "no text": (b"zTXt", b""),
    "no gamma": (b"gAMA", b"\0\0\0\0"),
    "no chromaticities": (b"cHRM", bytes(32)),
    "short chromaticities": (b"cHRM", b"\0"),
    "a short colour space": (b"cICP", b"\1"),
    "a short animation": (b"acTL", b"\0"),
}


@pytest.mark.parametrize("part", WRONG.values(), ids=WRONG.keys())
def test_an_ancillary_chunk_with_nonsense_is_dropped(part: Chunk) -> None:
    assert corners(small(part)) == (RED, BLUE)


@pytest.mark.parametrize("kind", ["IHDR", "PLTE", "IDAT", "IEND", "tRNS"])
def test_a_chunk_of_pixels_with_a_wrong_checksum_is_refused_by_name(kind: str) -> None:
    data = png(8, 3, bytes((0, 1)), (b"PLTE", ROW), (b"tRNS", b"\xff"), size=SQUARE)
    start = data.index(kind.encode())
    end = start + 4 + int.from_bytes(data[start - 4 : start], "big")
    damaged = data[:end] + bytes([data[end] ^ 1]) + data[end + 1 :]
    assert corners(data) == (RED, BLUE)
    with pytest.raises(ImageRejected, match=f"The PNG cannot be decoded: its chunk {kind} is damaged"):
        icon(damaged, max_pixels=10_000)


def test_a_critical_chunk_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ImageRejected, match="its chunk 'CgBI' is unknown"):
        icon(small((b"CgBI", b"")), max_pixels=10_000)


@pytest.mark.parametrize(
    ("data", "orientation_obeyed"),
    [
        (small((b"eXIf", TURNED)), True),
        (small(after=((b"eXIf", TURNED),)), True),
        (small((b"iTXt", INTERNATIONAL)), False),
        (
            small((b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n26\n" + TURNED.hex().encode()))),
            False,
        ),
    ],
    ids=["EXIF", "EXIF behind the pixels", "XMP", "EXIF in a text"],
)
def test_a_png_is_turned_by_exif_alone(data: bytes, orientation_obeyed: bool) -> None:
    assert corners(data) == ((BLUE, RED) if orientation_obeyed else (RED, BLUE))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_xmp_turns_no_image(kind: str) -> None:
    image = Image.new("RGB", (32, 32), "white")
    image.paste("black", (0, 0, 32, 16))
    shown = Image.open(BytesIO(icon(encoded(image, kind, xmp=XMP), max_pixels=100_000)[32]))
    assert shown.getpixel((0, 0))[0] < 10
    assert shown.getpixel((0, 31))[0] > 245


def test_an_apng_of_one_frame_is_an_image_and_others_are_not() -> None:
    one, two = (b"acTL", struct.pack(">II", 1, 0)), (b"acTL", struct.pack(">II", 2, 0))
    assert corners(small(one, (b"fcTL", FRAME))) == (RED, BLUE)
    for animated in (small(two, (b"fcTL", FRAME)), small(one, after=((b"fcTL", FRAME),))):
        with pytest.raises(ImageRejected, match="The image has 2 frames; it must have one"):
            icon(animated, max_pixels=10_000)


def test_of_a_jpeg_with_a_second_picture_the_first_is_taken() -> None:
    first, second = (Image.new("RGB", (1280, 720), colour) for colour in (RED, BLUE))
    shown = Image.open(
        BytesIO(screenshot(encoded(first, "MPO", save_all=True, append_images=[second]), max_pixels=1280 * 720))
    )
    red, green, blue = shown.convert("RGB").getpixel((640, 360))
    assert red > 250 and green < 5 and blue < 5


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


JPEG = encoded(Image.new("RGB", (16, 16), RED), "JPEG")
GREY_PROFILE = b"\0" * 128


@pytest.mark.parametrize(
    "body",
    [
        segment(0xE1, b"Exif\0\0nonsense"),
        segment(0xE1, b"Exif\0\0"),
        segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"),
        segment(0xE2, b"ICC_PROFILE\0"),
        segment(0xE2, b"ICC_PROFILE\0\1\2" + GREY_PROFILE),
        segment(0xE2, b"ICC_PROFILE\0\1\1" + GREY_PROFILE),
        segment(0xE2, b"MPF\0nonsense"),
        segment(0xED, b"Photoshop 3.0\0008BIM\3\xed\0\0\xff\xff\xff\xff"),
        segment(0xFE, b""),
    ],
    ids=[
        "EXIF",
        "empty EXIF",
        "cut EXIF",
        "empty profile",
        "part of a profile",
        "profile",
        "MPF",
        "Photoshop",
        "comment",
    ],
)
def test_damaged_metadata_of_a_jpeg_is_dropped(body: bytes) -> None:
    assert icon(JPEG[:2] + body + JPEG[2:], max_pixels=256) == icon(JPEG, max_pixels=256)


def test_a_profile_in_several_segments_is_joined_by_their_numbers() -> None:
    profile = bytes(range(256))
    parts = [b"ICC_PROFILE\0" + bytes((number, 2)) + half for number, half in ((2, profile[128:]), (1, profile[:128]))]
    assert jpeg.read(JPEG[:2] + b"".join(segment(0xE2, part) for part in parts) + JPEG[2:]).icc == profile


def test_a_jpeg_without_its_end_is_cut_off() -> None:
    with pytest.raises(ImageRejected, match="The JPEG cannot be decoded: it is cut off"):
        icon(JPEG[:-2], max_pixels=256)


def test_what_is_kept_of_a_jpeg_is_the_image_itself() -> None:
    clean = jpeg.read(
        encoded(Image.new("CMYK", (16, 16)), "JPEG", comment=b"secret", exif=b"Exif\0\0" + TURNED, xmp=XMP)
    )
    kinds = [clean.data[match.end() - 1] for match in MARKER.finditer(clean.data)]
    assert 0xEE in kinds and not {0xE1, 0xE2, 0xED, 0xFE} & set(kinds)
    assert b"secret" not in clean.data


FOUND = {
    "is empty": b"",
    "is an SVG": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "is a web page": b"\n<!DOCTYPE html><title>404</title>",
    "is a GIF": b"GIF89a",
    "is a BMP": b"BM\0\0\0\0",
    "is a TIFF": b"II*\0",
    "is an ICO": b"\0\0\1\0\1\0",
    "is a PDF": b"%PDF-1.7",
    "is PostScript": b"%!PS-Adobe",
    "is an AVIF": b"\0\0\0\x1cftypavif",
    "is a HEIC or a video": b"\0\0\0\x18ftypheic",
    "is a JPEG XL": b"\xff\x0a",
    "is a JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "is a ZIP archive": b"PK\3\4",
}


@pytest.mark.parametrize(("found", "data"), FOUND.items(), ids=FOUND.keys())
def test_a_refusal_names_what_was_found(found: str, data: bytes) -> None:
    with pytest.raises(ImageRejected, match=f"^The file {found}, not a PNG, JPEG or WebP image.$"):
        icon(data, max_pixels=10_000)


def test_a_file_that_is_not_known_is_only_said_to_be_none_of_the_three() -> None:
    with pytest.raises(ImageRejected, match=r"^The file is not a PNG, JPEG or WebP image\.$"):
        icon(b"an icon", max_pixels=10_000)
