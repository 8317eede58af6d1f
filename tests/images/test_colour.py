"""Colour and transparency of a PNG are what Chromium 156 shows."""

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image, ImageCms

from portal.images import profile
from portal.images.convert import icon
from portal.images.errors import ImageRejected
from portal.images.png_colour import D65, SRGB_PRIMARIES
from tests.images.files import Chunk, png

PIXELS = ((128, 128, 128), (16, 16, 16), (200, 100, 50), (30, 160, 90))
AS_IT_IS = PIXELS
SRGB = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3 = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
P3_SHOWN = ((128, 128, 128), (16, 16, 16), (215, 93, 31), (0, 163, 82))
LINEAR_SHOWN = ((188, 188, 188), (71, 71, 71), (229, 168, 122), (96, 208, 160))


def cicp(*numbers: int) -> Chunk:
    return b"cICP", bytes(numbers)


def gama(number: int) -> Chunk:
    return b"gAMA", struct.pack(">I", number)


def chrm(numbers: tuple[int, ...]) -> Chunk:
    return b"cHRM", struct.pack(">8I", *numbers)


def iccp(primaries: tuple[float, ...], curve: profile.Curve) -> Chunk:
    return b"iCCP", b"a\0\0" + zlib.compress(profile.made(primaries, curve) or b"")


P3_PROFILE = iccp((*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), profile.SRGB)
LINEAR_PROFILE = iccp(SRGB_PRIMARIES, profile.LINEAR)
STANDARD = (b"sRGB", b"\0")

SHOWN: dict[str, tuple[tuple[Chunk, ...], tuple[tuple[int, ...], ...]]] = {
    "nothing": ((), AS_IT_IS),
    "cICP of sRGB": ((cicp(1, 13, 0, 1),), AS_IT_IS),
    "cICP of BT.709": ((cicp(1, 1, 0, 1),), ((121, 121, 121), (4, 4, 4), (197, 91, 39), (18, 155, 81))),
    "cICP of a gamma of 2.2": ((cicp(1, 4, 0, 1),), ((129, 129, 129), (7, 7, 7), (201, 100, 46), (24, 161, 90))),
    "cICP of a gamma of 2.8": ((cicp(1, 5, 0, 1),), ((106, 106, 106), (1, 1, 1), (189, 76, 26), (8, 142, 66))),
    "cICP of SMPTE 240M": ((cicp(1, 7, 0, 1),), ((141, 141, 141), (34, 34, 34), (206, 115, 68), (48, 170, 106))),
    "linear cICP": ((cicp(1, 8, 0, 1),), LINEAR_SHOWN),
    "cICP of Display P3": ((cicp(12, 13, 0, 1),), P3_SHOWN),
    "cICP of BT.2020": ((cicp(9, 13, 0, 1),), ((128, 128, 128), (16, 16, 16), (241, 76, 29), (0, 169, 79))),
    "cICP of BT.601": ((cicp(6, 13, 0, 1),), ((128, 128, 128), (16, 16, 16), (196, 102, 49), (49, 158, 90))),
    "cICP of DCI": ((cicp(11, 13, 0, 1),), ((128, 128, 128), (16, 16, 16), (211, 93, 32), (0, 163, 82))),
    "cICP of XYZ": ((cicp(10, 13, 0, 1),), ((128, 128, 128), (16, 16, 16), (255, 0, 61), (0, 215, 59))),
    "cICP of an unspecified curve": ((cicp(1, 2, 0, 1),), AS_IT_IS),
    "cICP of narrow range": ((cicp(12, 13, 0, 0),), AS_IT_IS),
    "linear gAMA": ((gama(100_000),), LINEAR_SHOWN),
    "another gAMA": ((gama(55_000),), ((146, 146, 146), (19, 19, 19), (210, 118, 64), (39, 175, 108))),
    "gAMA of sRGB, nearly": ((gama(47_000),), AS_IT_IS),
    "gAMA of sRGB, not any more": ((gama(48_000),), ((134, 134, 134), (10, 10, 10), (203, 105, 51), (29, 165, 95))),
    "cHRM and gAMA of sRGB": ((chrm(SRGB), gama(45_455)), AS_IT_IS),
    "cHRM of P3 alone": ((chrm(P3),), AS_IT_IS),
    "cHRM of P3 and gAMA": ((chrm(P3), gama(45_455)), ((129, 129, 129), (7, 7, 7), (216, 93, 24), (0, 164, 81))),
    "cHRM that cannot be": ((chrm((31270, 32900, 64000, 33000, 64000, 33000, 15000, 6000)), gama(100_000)), AS_IT_IS),
    "cICP before iCCP": ((cicp(12, 13, 0, 1), LINEAR_PROFILE), P3_SHOWN),
    "iCCP before sRGB": ((P3_PROFILE, STANDARD), P3_SHOWN),
    "sRGB before gAMA": ((STANDARD, gama(100_000), chrm(P3)), AS_IT_IS),
    "the profile": ((LINEAR_PROFILE,), LINEAR_SHOWN),
}  # fmt: skip


def shown(data: bytes) -> list[tuple[int, ...]]:
    """The centres of the four quarters of an image of 2x2 pixels, enlarged."""
    image = Image.open(BytesIO(icon(data, max_pixels=16)[128])).convert("RGBA")
    return [image.getpixel((x, y)) for y in (10, 118) for x in (10, 118)]


@pytest.mark.parametrize(("chunks", "wanted"), SHOWN.values(), ids=SHOWN.keys())
@pytest.mark.parametrize("depth", [8, 16])
def test_colours_are_those_of_a_browser(
    chunks: tuple[Chunk, ...], wanted: tuple[tuple[int, ...], ...], depth: int
) -> None:
    for pixel, colour in zip(PIXELS, wanted, strict=True):
        row = b"".join(bytes([sample]) * (depth // 8) for sample in pixel)
        (found, *_) = shown(png(depth, 2, row, *chunks, size=(1, 1)))
        assert all(abs(a - b) <= 1 for a, b in zip(found, (*colour, 255), strict=True)), found


def test_grey_samples_and_those_of_a_palette_have_a_gamma_too() -> None:
    for data in (
        png(8, 0, b"\x80", gama(100_000), size=(1, 1)),
        png(16, 0, b"\x80\x80", gama(100_000), size=(1, 1)),
        png(8, 3, b"\0", gama(100_000), (b"PLTE", b"\x80\x80\x80"), size=(1, 1)),
    ):
        assert shown(data)[0] == (188, 188, 188, 255)


def test_pixels_keep_their_opacity_where_colours_change() -> None:
    red, _, _, alpha = shown(png(8, 6, b"\x80\x80\x80\x40", gama(100_000), size=(1, 1)))[0]
    assert abs(red - 188) <= 2 and alpha == 64


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_refused_with_the_remedy(transfer: int) -> None:
    with pytest.raises(ImageRejected, match=r"HDR .*: export it in sRGB"):
        icon(png(8, 2, bytes(3), cicp(9, transfer, 0, 1), size=(1, 1)), max_pixels=16)


def test_a_profile_that_is_made_is_one_that_littlecms_reads() -> None:
    made = ImageCms.ImageCmsProfile(BytesIO(profile.made(SRGB_PRIMARIES, profile.SRGB) or b"")).profile
    reference = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).profile
    assert made.xcolor_space == reference.xcolor_space == "RGB "
    for one, other in zip(
        (made.red_colorant, made.green_colorant, made.blue_colorant),
        (reference.red_colorant, reference.green_colorant, reference.blue_colorant),
        strict=True,
    ):
        assert one[0] == pytest.approx(other[0], abs=0.0005)


KEYS = {
    "grey, the same high byte": (0, 16, b"\x12\x34", b"\x12\xff", b"\x12\xff"),
    "grey, the same low byte": (0, 16, b"\x34\xff", b"\x12\xff", b"\x12\xff"),
    "colour, the same high bytes": (2, 16, b"\x80\xff\x80\0\x80\0", b"\x80\0" * 3, b"\x80\0" * 3),
    "colour, one low byte": (2, 16, b"\x80\0\x80\0\x80\1", b"\x80\0" * 3, b"\x80\0" * 3),
    "8 bits, of a key of 16": (0, 8, b"\x12", b"\x13", b"\xff\x13"),
    "2 bits, of a key of 16": (0, 2, b"\x00", b"\x40", b"\xff\xfd"),
}


@pytest.mark.parametrize(("colour", "depth", "opaque", "clear", "key"), KEYS.values(), ids=KEYS.keys())
def test_the_transparent_colour_is_compared_in_all_its_bits(
    colour: int, depth: int, opaque: bytes, clear: bytes, key: bytes
) -> None:
    for row, alpha in ((opaque, 255), (clear, 0)):
        assert {pixel[3] for pixel in shown(png(depth, colour, row, (b"tRNS", key), size=(1, 1)))} == {alpha}


def test_the_transparent_colour_of_interlaced_samples_is_found() -> None:
    """Adam7 of an image of one pixel is that pixel."""
    data = png(16, 2, b"\x80\0" * 3, (b"tRNS", b"\x80\0" * 3), size=(1, 1))
    header = data[12:29]
    interlaced = header[:-1] + b"\1"
    data = data.replace(header + data[29:33], interlaced + struct.pack(">I", zlib.crc32(interlaced)))
    assert {pixel[3] for pixel in shown(data)} == {0}


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0\0"], ids=len)
def test_a_transparent_colour_that_is_none_is_ignored(body: bytes) -> None:
    assert shown(png(8, 2, bytes(3), (b"tRNS", body), size=(1, 1)))[0] == (0, 0, 0, 255)
