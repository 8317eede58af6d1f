import struct
from io import BytesIO
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from portal.images.convert import icon, screenshot
from portal.images.errors import ImageRejected
from tests.images.files import chunk, encoded, png

WIDE, TALL = (1280, 720), (720, 1280)
MAX_PIXELS = 4096 * 4096
RED, GREEN, BLUE, WHITE, BLACK = "#f00", "#0f0", "#00f", "#fff", "#000"


def halves(left: bytes, right: bytes) -> bytes:
    """A row of 1280 pixels."""
    return left * 640 + right * 640


def two_colours(mode: str, left, right) -> Image.Image:
    image = Image.new(mode, WIDE, left)
    image.paste(right, (640, 0, 1280, 720))
    return image


def decoded(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data), formats=["PNG"])
    image.load()
    return image


def sides(data: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    image = decoded(data).convert("RGBA")
    return image.getpixel((100, 100)), image.getpixel((1200, 600))


def shown(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    return decoded(screenshot(data, max_pixels=max_pixels))


def icons(data: bytes, max_pixels: int = MAX_PIXELS) -> dict[int, Image.Image]:
    return {size: decoded(each) for size, each in icon(data, max_pixels=max_pixels).items()}


def grey(value: int, alpha: int = 255) -> tuple[int, ...]:
    return value, value, value, alpha


PALETTE = (b"PLTE", bytes([10, 20, 30, 200, 100, 50]))
EXACT = {
    "1-bit grey": (png(1, 0, b"\x00" * 80 + b"\xff" * 80), grey(0), grey(255)),
    "1-bit grey, white transparent": (
        png(1, 0, b"\x00" * 80 + b"\xff" * 80, (b"tRNS", b"\0\1")),
        grey(0),
        grey(255, 0),
    ),
    "2-bit grey": (png(2, 0, b"\x55" * 160 + b"\xaa" * 160), grey(85), grey(170)),
    "2-bit grey, one transparent": (
        png(2, 0, b"\x55" * 160 + b"\xaa" * 160, (b"tRNS", b"\0\2")),
        grey(85),
        grey(170, 0),
    ),
    "4-bit grey, one transparent": (
        png(4, 0, b"\x33" * 320 + b"\xcc" * 320, (b"tRNS", b"\0\3")),
        grey(51, 0),
        grey(204),
    ),
    "8-bit grey": (png(8, 0, halves(b"\x12", b"\x80")), grey(0x12), grey(0x80)),
    "8-bit grey, one transparent": (
        png(8, 0, halves(b"\x12", b"\x80"), (b"tRNS", b"\0\x12")),
        grey(0x12, 0),
        grey(0x80),
    ),
    "16-bit grey": (png(16, 0, halves(b"\x12\x34", b"\x80\x01")), grey(0x12), grey(0x80)),
    "16-bit grey, one transparent": (
        png(16, 0, halves(b"\x12\x34", b"\x80\x01"), (b"tRNS", b"\x80\x01")),
        grey(0x12),
        grey(0x80, 0),
    ),
    "8-bit colour": (png(8, 2, halves(b"\1\2\3", b"\xff\xfe\xfd")), (1, 2, 3, 255), (255, 254, 253, 255)),
    "8-bit colour, one transparent": (
        png(8, 2, halves(b"\1\2\3", b"\xff\xfe\xfd"), (b"tRNS", b"\0\1\0\2\0\3")),
        (1, 2, 3, 0),
        (255, 254, 253, 255),
    ),
    "16-bit colour": (
        png(16, 2, halves(b"\1\x80\2\x80\3\x80", b"\xff\0\xfe\0\xfd\0")),
        (1, 2, 3, 255),
        (255, 254, 253, 255),
    ),
    "16-bit colour, one transparent": (
        png(16, 2, halves(b"\1\x80\2\x80\3\x80", b"\xff\0\xfe\0\xfd\0"), (b"tRNS", b"\1\x80\2\x80\3\x80")),
        (1, 2, 3, 0),
        (255, 254, 253, 255),
    ),
    "1-bit palette": (png(1, 3, b"\x00" * 80 + b"\xff" * 80, PALETTE), (10, 20, 30, 255), (200, 100, 50, 255)),
    "8-bit palette with alpha": (
        png(8, 3, halves(b"\0", b"\1"), PALETTE, (b"tRNS", b"\x40\xc0")),
        (10, 20, 30, 0x40),
        (200, 100, 50, 0xC0),
    ),
    "8-bit palette, one transparent": (
        png(8, 3, halves(b"\0", b"\1"), PALETTE, (b"tRNS", b"\0")),
        (10, 20, 30, 0),
        (200, 100, 50, 255),
    ),
    "8-bit grey and alpha": (png(8, 4, halves(b"\x12\x40", b"\x80\xff")), grey(0x12, 0x40), grey(0x80)),
    "16-bit grey and alpha": (
        png(16, 4, halves(b"\x12\0\x40\0", b"\x80\0\xff\xff")),
        grey(0x12, 0x40),
        grey(0x80),
    ),
    "8-bit colour and alpha": (png(8, 6, halves(b"\1\2\3\4", b"\5\6\7\xff")), (1, 2, 3, 4), (5, 6, 7, 255)),
    "16-bit colour and alpha": (
        png(16, 6, halves(b"\1\0\2\0\3\0\4\0", b"\5\0\6\0\7\0\xff\xff")),
        (1, 2, 3, 4),
        (5, 6, 7, 255),
    ),
    "grey JPEG": (encoded(two_colours("L", 18, 128), "JPEG", quality=100), grey(18), grey(128)),
    "CMYK JPEG": (
        encoded(two_colours("CMYK", (255, 0, 0, 0), (0, 0, 0, 255)), "JPEG", quality=100),
        (0, 255, 255, 255),
        (0, 0, 0, 255),
    ),
    "WebP": (
        encoded(two_colours("RGB", (1, 2, 3), (255, 254, 253)), "WEBP", lossless=True),
        (1, 2, 3, 255),
        (255, 254, 253, 255),
    ),
    "WebP with alpha": (
        encoded(two_colours("RGBA", (1, 2, 3, 4), (5, 6, 7, 255)), "WEBP", lossless=True, exact=True),
        (1, 2, 3, 4),
        (5, 6, 7, 255),
    ),
}


@pytest.mark.parametrize(("data", "left", "right"), EXACT.values(), ids=EXACT.keys())
def test_every_kind_of_sample_comes_out_right(data, left, right):
    png = screenshot(data, max_pixels=MAX_PIXELS)
    assert sides(png) == (left, right)
    assert decoded(png).mode == ("RGBA" if left[3] + right[3] < 510 else "RGB")


def test_a_colour_jpeg_comes_out_right():
    left, right = sides(screenshot(encoded(two_colours("RGB", RED, BLUE), "JPEG"), max_pixels=MAX_PIXELS))
    assert near(left, (255, 0, 0, 255)) and near(right, (0, 0, 255, 255))


def near(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(abs(a - b) <= 2 for a, b in zip(one, other, strict=True))


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def red_and_green_swapped() -> bytes:
    profile = srgb_profile()
    return profile.replace(b"rXYZ", b"tmp1", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"tmp1", b"gXYZ", 1)


def linear_grey() -> bytes:
    """A grey profile of gamma 1, byte by byte (ICC.1:2010 sections 7.2, 7.3, 10.5 and 10.27)."""
    white = struct.pack(">4s4x3i", b"XYZ ", 63190, 65536, 54061)
    curve = struct.pack(">4s4xI", b"curv", 0)
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", 156, len(white), b"kTRC", 156 + len(white), len(curve))
    size = 128 + len(tags) + len(white) + len(curve)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x3i48x", size, 0x02100000, b"mntr", b"GRAY", b"XYZ ", b"acsp", 63190, 65536, 54061
    )
    return header + tags + white + curve


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_colour_profile_is_applied_and_gone(kind):
    options = {"quality": 100} if kind != "PNG" else {}
    data = encoded(two_colours("RGB", RED, GREEN), kind, icc_profile=red_and_green_swapped(), **options)
    image = shown(data)
    left, right = image.getpixel((100, 100)), image.getpixel((1200, 600))
    assert left[1] > 240 and left[0] < 40
    assert right[0] > 240 and right[1] < 40
    assert "icc_profile" not in image.info


def test_a_profile_keeps_transparency():
    image = two_colours("RGBA", (255, 0, 0, 64), (255, 0, 0, 255))
    left, _ = sides(screenshot(encoded(image, icc_profile=red_and_green_swapped()), max_pixels=MAX_PIXELS))
    assert left[1] > 240 and left[3] == 64


def test_a_grey_profile_is_applied():
    left, _ = sides(screenshot(encoded(two_colours("L", 128, 0), icc_profile=linear_grey()), max_pixels=MAX_PIXELS))
    assert near(left, grey(188))  # half the light is 188 in sRGB


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        ("RGB", b"nonsense"),
        ("RGB", srgb_profile()[:200]),
        ("RGB", srgb_profile().replace(b"RGB ", b"R\xe9B ", 1)),
        ("L", red_and_green_swapped()),
        ("RGB", linear_grey()),
    ],
    ids=["nonsense", "truncated", "no ASCII", "colour profile in grey", "grey profile in colour"],
)
def test_a_profile_that_does_not_fit_is_ignored(mode, profile):
    image = two_colours(mode, "#808080", "#000")
    assert sides(screenshot(encoded(image, icc_profile=profile), max_pixels=MAX_PIXELS)) == (grey(128), grey(0))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "corner"),
    [
        (1, (0, 0)),
        (2, (1, 0)),
        (3, (1, 1)),
        (4, (0, 1)),
        (5, (0, 0)),
        (6, (1, 0)),
        (7, (1, 1)),
        (8, (0, 1)),
    ],
)
def test_exif_orientation_is_honoured_and_gone(kind, orientation, corner):
    image = Image.new("L", WIDE, "white")
    image.paste("black", (0, 0, 400, 300))  # at the top left as stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = shown(encoded(image.convert("RGB"), kind, exif=exif)).convert("L")
    assert upright.size == (WIDE if orientation < 5 else TALL)
    width, height = upright.size
    dark = [(x, y) for x in (0, 1) for y in (0, 1) if upright.getpixel((x * (width - 1), y * (height - 1))) < 50]
    assert dark == [corner]
    along = upright.getpixel((350 if not corner[0] else width - 351, 10 if not corner[1] else height - 11))
    assert (along < 50) == (orientation < 5)  # 400 wide and 300 high as stored, the other way round when turned


def test_an_icon_has_three_sizes():
    assert {size: image.size for size, image in icons(encoded(Image.new("RGB", (500, 500), RED))).items()} == {
        32: (32, 32),
        64: (64, 64),
        128: (128, 128),
    }


def test_an_icon_is_scaled_with_lanczos():
    source = Image.radial_gradient("L").convert("RGB")
    for size, image in icons(encoded(source)).items():
        assert image.tobytes() == source.resize((size, size), Image.Resampling.LANCZOS).tobytes()


def test_an_icon_of_the_right_size_is_unchanged():
    source = NOISE.crop((0, 0, 128, 128))
    assert icons(encoded(source))[128].tobytes() == source.tobytes()


def test_a_small_icon_is_enlarged():
    images = icons(encoded(Image.new("RGB", (1, 1), RED)))
    assert all(image.getextrema() == ((255, 255), (0, 0), (0, 0)) for image in images.values())


def test_the_colour_of_transparent_pixels_does_not_bleed():
    source = Image.new("RGBA", (500, 500), (0, 255, 0, 0))
    source.paste((255, 0, 0, 255), (0, 0, 250, 500))
    for size, image in icons(encoded(source)).items():
        assert image.getpixel((0, 0)) == (255, 0, 0, 255)
        assert image.getpixel((size - 1, 0))[3] == 0
        visible = [pixel for pixel in image.get_flattened_data() if pixel[3]]
        assert max(pixel[1] for pixel in visible) == 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_nothing_but_pixels_is_left(kind):
    exif = Image.Exif()
    exif[0x010E] = "SECRET"
    data = encoded(Image.new("RGB", WIDE, RED), kind, exif=exif, xmp=b"SECRET") + b"SECRET<script>"
    if kind == "PNG":
        data = data.replace(data[-26:-14], chunk(b"tEXt", b"Comment\0SECRET") + data[-26:-14])
    result = screenshot(data, max_pixels=MAX_PIXELS)
    assert chunk_kinds(result) == {b"IHDR", b"IDAT", b"IEND"}
    assert b"SECRET" not in result


def chunk_kinds(data: bytes) -> set[bytes]:
    kinds, offset = set(), 8
    while offset < len(data):
        (length,) = struct.unpack_from(">I", data, offset)
        kinds.add(data[offset + 4 : offset + 8])
        offset += length + 12
    return kinds


def frames(kind: str) -> bytes:
    image = Image.new("RGB", WIDE, RED)
    return encoded(image, kind, save_all=True, append_images=[Image.new("RGB", WIDE, BLUE)])


GOOD = png(8, 0, bytes(1280))
NOISE = Image.frombytes("RGB", WIDE, Random(1).randbytes(3 * 1280 * 720))
HUGE = png(8, 0, b"", size=(30_000, 30_000))
BAD = {
    "nothing": (b"", "INVALID_IMAGE", "not a PNG, JPEG or WebP"),
    "text": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "INVALID_IMAGE", "not a PNG, JPEG or WebP"),
    "GIF": (encoded(NOISE, "GIF"), "INVALID_IMAGE", "not a PNG, JPEG or WebP"),
    "BMP": (encoded(NOISE, "BMP"), "INVALID_IMAGE", "not a PNG, JPEG or WebP"),
    "TIFF": (encoded(NOISE, "TIFF"), "INVALID_IMAGE", "not a PNG, JPEG or WebP"),
    "JPEG 2000": (encoded(NOISE, "JPEG2000"), "INVALID_IMAGE", "not a PNG, JPEG or WebP"),
    "PNG of two frames": (frames("PNG"), "INVALID_IMAGE", "2 frames"),
    "WebP of two frames": (frames("WEBP"), "INVALID_IMAGE", "2 frames"),
    "more pixels than allowed": (encoded(Image.new("1", (2000, 2000))), "INVALID_DIMENSIONS", "at most 1,000,000"),
    "more pixels than Pillow allows": (HUGE, "INVALID_DIMENSIONS", "at most 1,000,000"),
}


@pytest.mark.parametrize("process", [icon, screenshot])
@pytest.mark.parametrize(("data", "code", "message"), BAD.values(), ids=BAD.keys())
def test_what_is_refused(process, data, code, message):
    with pytest.raises(ImageRejected, match=message) as refusal:
        process(data, max_pixels=1_000_000)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    "data",
    [GOOD.replace(b"IDAT", b"IDAT\0"), GOOD[:-16] + bytes(4) + GOOD[-12:], png(8, 0, bytes(1279))],
    ids=["a byte too many", "a checksum that is wrong", "too few rows"],
)
def test_a_damaged_png_is_refused(data):
    with pytest.raises(ImageRejected, match="cannot be decoded") as refusal:
        screenshot(data, max_pixels=MAX_PIXELS)
    assert refusal.value.code == "INVALID_IMAGE"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("kept", [0.01, 0.1, 0.5, 0.9, 0.99, -12, -5])
def test_a_truncated_image_is_refused(kind, kept):
    data = encoded(NOISE.crop((0, 0, 100, 100)), kind)
    cut = data[: kept if kept < 0 else int(len(data) * kept)]
    with pytest.raises(ImageRejected) as refusal:
        icon(cut, max_pixels=MAX_PIXELS)
    assert refusal.value.code == "INVALID_IMAGE"


@pytest.mark.parametrize("size", [(100, 101), (1, 2), (1280, 720)], ids=str)
def test_an_icon_must_be_square(size):
    with pytest.raises(ImageRejected, match=rf"The icon is {size[0]}x{size[1]} pixels; it must be square\.") as refusal:
        icon(encoded(Image.new("1", size)), max_pixels=MAX_PIXELS)
    assert refusal.value.code == "INVALID_DIMENSIONS"


@pytest.mark.parametrize("size", [(1279, 720), (1280, 721), (1920, 1080), (720, 720)], ids=str)
def test_a_screenshot_has_one_of_two_sizes(size):
    with pytest.raises(ImageRejected, match="exactly 1280x720 or 720x1280") as refusal:
        screenshot(encoded(Image.new("1", size)), max_pixels=MAX_PIXELS)
    assert refusal.value.code == "INVALID_DIMENSIONS"


SEEDS = [encoded(NOISE.crop((0, 0, 16, 16)), kind, icc_profile=srgb_profile()) for kind in ("PNG", "JPEG", "WEBP")]


@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_image_is_an_icon_or_a_refusal(seed, changes):
    data = bytearray(seed)
    for offset, value in changes:
        data[offset % len(data)] = value
    try:
        images = icons(bytes(data), max_pixels=10_000)
    except ImageRejected as refusal:
        assert refusal.code in ("INVALID_IMAGE", "INVALID_DIMENSIONS")
    else:
        assert set(images) == {32, 64, 128}
