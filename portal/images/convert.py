"""Decoding and encoding: every image is encoded again, which removes metadata and anything hidden in the file.

What is here runs on untrusted bytes: the portal calls it by `portal.images.decoder`.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from io import BytesIO

from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

from portal.images import structure
from portal.images.errors import ImageRejected

FORMATS = ("PNG", "JPEG", "WEBP")
ICON_SIZES = (32, 64, 128)
SCREENSHOT_SIZES = ((1280, 720), (720, 1280))
GREY = ("1", "L", "LA")
COLOUR_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""The ICC colour space of each mode."""

TRANSPARENT_SCALES = {"L;2": 85, "L;4": 17, "I;16B": 1 / 256, "RGB;16B": 1 / 256}
"""By raw mode, the factor from a PNG's transparent colour to Pillow's samples: Pillow scales only the samples."""


def prepare() -> None:
    """Load what is loaded at first use: a process with limits opens no file."""
    Image.preinit()
    for name in ("TiffImagePlugin", "WebPImagePlugin"):  # EXIF is a TIFF
        import_module(f"PIL.{name}")


def icon(data: bytes, *, max_pixels: int) -> dict[int, bytes]:
    """Scale a square image to PNGs (Lanczos), by edge length: 32, 64 and 128 pixels; a smaller image is enlarged.

    Raises ImageRejected, before decoding for an image of more than `max_pixels`.
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


def screenshot(data: bytes, *, max_pixels: int) -> bytes:
    """Convert a screenshot of exactly 1280x720 or 720x1280 pixels to PNG.

    Raises ImageRejected, before decoding for an image of more than `max_pixels`.
    """
    with _opened(data, max_pixels) as image:
        if image.size not in SCREENSHOT_SIZES:  # both orientations, so EXIF makes no difference here
            raise ImageRejected(
                "INVALID_DIMENSIONS",
                "The screenshot is {}x{} pixels; it must be exactly 1280x720 or 720x1280.".format(*image.size),
            )
        return _png(_pixels(image))


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """The image, not decoded yet; any exception inside the block becomes ImageRejected."""
    if fault := structure.fault(data):
        raise ImageRejected("INVALID_IMAGE", fault)
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise _too_large(max_pixels)
            if (frames := getattr(image, "n_frames", 1)) > 1:
                raise ImageRejected("INVALID_IMAGE", f"The image has {frames} frames; it must have one.")
            if image.format == "PNG":  # the only one that Pillow decodes without reading its end
                with Image.open(BytesIO(data)) as copy:
                    copy.verify()
            yield image
    except ImageRejected:
        raise
    except UnidentifiedImageError:
        raise ImageRejected("INVALID_IMAGE", "The file is not a PNG, JPEG or WebP image.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # Pillow's own limit, if that is lower
        raise _too_large(max_pixels) from None
    except MemoryError:
        raise ImageRejected("INVALID_IMAGE", "The image takes too much memory to decode: export it again.") from None
    except Exception as error:  # decoders raise anything at hostile input
        raise ImageRejected("INVALID_IMAGE", f"The image cannot be decoded: {error}.") from error


def _too_large(max_pixels: int) -> ImageRejected:
    return ImageRejected("INVALID_DIMENSIONS", f"The image has too many pixels; at most {max_pixels:,} are accepted.")


def _pixels(file: ImageFile.ImageFile) -> Image.Image:
    """The upright image as 8-bit sRGB, in mode RGBA if any pixel is transparent, else RGB."""
    profile = file.info.get("icc_profile")
    image = _eight_bits(file)
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


def _eight_bits(image: ImageFile.ImageFile) -> Image.Image:
    """The decoded image; the transparent colour of a PNG is scaled to 8 bits like its samples."""
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
    """The image in sRGB; like browsers, ignores a profile that is invalid or of another colour space."""
    with suppress(OSError, ValueError, ImageCms.PyCMSError):
        source = ImageCms.ImageCmsProfile(BytesIO(profile or b""))
        if source.profile.xcolor_space.strip() == COLOUR_SPACES[image.mode]:
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:  # as it is where the image is changed in place
                return converted
    return _as(image, "RGB")


def _png(image: Image.Image) -> bytes:
    image.info = {}
    target = BytesIO()
    image.save(target, "PNG", optimize=True)
    return target.getvalue()
