"""Icons and screenshots: an untrusted image in, clean sRGB PNGs out.

Every image is decoded and encoded anew, so that metadata and whatever was hidden in or behind the file are gone.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from portal import image_structure

FORMATS = ("PNG", "JPEG", "WEBP")
ICON_SIZES = (32, 64, 128)
SCREENSHOT_SIZES = ((1280, 720), (720, 1280))
GREY = ("1", "L", "LA")
COLOUR_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""The ICC colour space that fits an image of each mode."""

TRANSPARENT_SCALES = {"L;2": 85, "L;4": 17, "I;16B": 1 / 256, "RGB;16B": 1 / 256}
"""From a PNG's transparent colour to Pillow's samples, by raw mode: Pillow scales the samples only."""


class ImageRejected(ValueError):
    """The image is refused: `code` is INVALID_IMAGE or INVALID_DIMENSIONS, the message a sentence for its author."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def icon(data: bytes | Path, *, max_pixels: int) -> dict[int, bytes]:
    """PNGs of a square image by edge length, 32, 64 and 128 pixels (Lanczos); a smaller image is enlarged.

    Raises ImageRejected; `max_pixels` bounds what is decoded at all.
    """
    with _opened(data, max_pixels) as image:
        width, height = image.size
        if width != height:
            raise ImageRejected("INVALID_DIMENSIONS", f"The icon is {width}x{height} pixels; it must be square.")
        pixels = _pixels(image)
    mode = pixels.mode
    if mode == "RGBA":  # premultiplied, or the colour of transparent pixels bleeds into the edges
        pixels = pixels.convert("RGBa")
    return {size: _png(_as(pixels.resize((size, size), Image.Resampling.LANCZOS), mode)) for size in ICON_SIZES}


def screenshot(data: bytes | Path, *, max_pixels: int) -> bytes:
    """The PNG of a screenshot of exactly 1280x720 or 720x1280 pixels.

    Raises ImageRejected; `max_pixels` bounds what is decoded at all.
    """
    with _opened(data, max_pixels) as image:
        if image.size not in SCREENSHOT_SIZES:  # both ways round, so EXIF orientation makes no difference here
            raise ImageRejected(
                "INVALID_DIMENSIONS",
                "The screenshot is {}x{} pixels; it must be exactly 1280x720 or 720x1280.".format(*image.size),
            )
        return _png(_pixels(image))


@contextmanager
def _opened(data: bytes | Path, max_pixels: int) -> Iterator[Image.Image]:
    """The image, not decoded yet; any exception inside the block becomes ImageRejected."""
    if isinstance(data, Path):
        data = data.read_bytes()
    if fault := image_structure.fault(data):
        raise ImageRejected("INVALID_IMAGE", fault)
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise _too_large(max_pixels)
            if (frames := getattr(image, "n_frames", 1)) > 1:
                raise ImageRejected("INVALID_IMAGE", f"The image has {frames} frames; it must have one.")
            if image.format == "PNG":  # alone of the three it is decoded without its end
                with Image.open(BytesIO(data)) as copy:
                    copy.verify()
            yield image
    except ImageRejected:
        raise
    except UnidentifiedImageError:
        raise ImageRejected("INVALID_IMAGE", "The file is not a PNG, JPEG or WebP image.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # Pillow's own limit, if that is lower
        raise _too_large(max_pixels) from None
    except Exception as error:  # decoders raise anything at hostile input
        raise ImageRejected("INVALID_IMAGE", f"The image cannot be decoded: {error}.") from error


def _too_large(max_pixels: int) -> ImageRejected:
    return ImageRejected("INVALID_DIMENSIONS", f"The image has too many pixels; at most {max_pixels:,} are accepted.")


def _pixels(image: Image.Image) -> Image.Image:
    """The upright image as sRGB of 8 bits, mode RGBA if anything of it is transparent, else RGB."""
    profile = image.info.get("icc_profile")
    image = _eight_bits(image)
    ImageOps.exif_transpose(image, in_place=True)
    if image.has_transparency_data:
        image = _as(image, "LA" if image.mode in GREY else "RGBA")
        alpha = image.getchannel("A")
    else:
        alpha = None
    if image.mode != "CMYK":
        image = _as(image, "L" if image.mode in GREY else "RGB")
    image = _srgb(image, profile)
    if alpha and alpha.getextrema() != (255, 255):
        image.putalpha(alpha)
    return image


def _as(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)  # convert would copy


def _eight_bits(image: Image.Image) -> Image.Image:
    """The decoded image; where a PNG's samples are not of 8 bits, its transparent colour is scaled as they are."""
    scale = TRANSPARENT_SCALES.get(str(image.tile[0].args)) if image.tile else None
    if scale and (transparent := image.info.get("transparency")) is not None:
        grey = isinstance(transparent, int)
        image.info["transparency"] = int(transparent * scale) if grey else tuple(int(v * scale) for v in transparent)
    image.load()
    if image.mode != "I;16":
        return image
    high = Image.frombytes("L", image.size, image.tobytes()[1::2])  # Pillow's own conversion clips at 255
    high.info = image.info
    return high


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image in sRGB; a profile that is broken or of another colour space is ignored, as browsers do."""
    with suppress(OSError, ValueError, ImageCms.PyCMSError):
        source = ImageCms.ImageCmsProfile(BytesIO(profile or b""))
        if source.profile.xcolor_space.strip() == COLOUR_SPACES[image.mode]:
            return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return _as(image, "RGB")


def _png(image: Image.Image) -> bytes:
    image.info = {}
    target = BytesIO()
    image.save(target, "PNG", optimize=True)
    return target.getvalue()
