"""Decoding and encoding: every image is encoded again, which removes metadata and anything hidden in the file.

What is here runs on untrusted bytes: the portal calls it by `portal.images.decoder`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import reduce
from importlib import import_module
from io import BytesIO

from PIL import Image, ImageChops, ImageCms, ImageFile
from PIL.Image import Transpose
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from portal.images import source, structure
from portal.images.dimensions import ICON_SIZES, SCREENSHOT_SIZES
from portal.images.errors import ImageRejected
from portal.images.picture import Picture

GREY = ("1", "L", "LA", "I;16")
COLOUR_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""The ICC colour space of each mode."""

PLUGINS: dict[str, Callable[[BytesIO], ImageFile.ImageFile]] = {
    "PNG": PngImageFile,
    "JPEG": JpegImageFile,
    "WebP": WebPImageFile,
}
ORIENTATION = 0x0112  # tag of EXIF
UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""By the orientation of EXIF, how an image is turned."""


def prepare() -> None:
    """Load what is loaded at first use: a process with limits opens no file."""
    Image.preinit()
    import_module("PIL.TiffImagePlugin")  # EXIF is a TIFF


def icon(data: bytes, *, max_pixels: int) -> dict[int, bytes]:
    """Scale a square image to PNGs (Lanczos), by edge length: 32, 64 and 128 pixels; a smaller image is enlarged.

    Raises ImageRejected, before decoding for an image of more than `max_pixels`.
    """
    with _opened(data, max_pixels) as (picture, image):
        width, height = image.size
        if width != height:
            raise ImageRejected("INVALID_DIMENSIONS", f"The icon is {width}x{height} pixels; it must be square.")
        pixels = _pixels(picture, image)
    mode = pixels.mode
    if mode == "RGBA":  # premultiplied, or the colour of transparent pixels bleeds into the edges
        pixels = pixels.convert("RGBa")
    return {size: _png(_as(pixels.resize((size, size), Image.Resampling.LANCZOS), mode)) for size in ICON_SIZES}


def screenshot(data: bytes, *, max_pixels: int) -> bytes:
    """Convert a screenshot of exactly 1280x720 or 720x1280 pixels to PNG.

    Raises ImageRejected, before decoding for an image of more than `max_pixels`.
    """
    with _opened(data, max_pixels) as (picture, image):
        if image.size not in SCREENSHOT_SIZES:  # both orientations, so EXIF makes no difference here
            raise ImageRejected(
                "INVALID_DIMENSIONS",
                "The screenshot is {}x{} pixels; it must be exactly 1280x720 or 720x1280.".format(*image.size),
            )
        return _png(_pixels(picture, image))


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[tuple[Picture, ImageFile.ImageFile]]:
    """The image, not decoded yet; any exception inside the block becomes ImageRejected."""
    if fault := structure.fault(data):
        raise ImageRejected("INVALID_IMAGE", fault)
    picture = source.read(data)
    try:
        with _file(picture) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise ImageRejected(
                    "INVALID_DIMENSIONS", f"The image has too many pixels; at most {max_pixels:,} are accepted."
                )
            if (frames := getattr(image, "n_frames", 1)) > 1:  # of a WebP; the others have one picture by now
                raise ImageRejected("INVALID_IMAGE", f"The image has {frames} frames; it must have one.")
            yield picture, image
    except ImageRejected:
        raise
    except MemoryError:
        raise ImageRejected("INVALID_IMAGE", "The image takes too much memory to decode: export it again.") from None
    except Exception as error:  # decoders raise anything at hostile input
        if isinstance(error, OSError) and error.errno:  # of this process, not of the image
            raise
        reason = "it is cut off" if "truncated" in str(error) else error
        raise ImageRejected("INVALID_IMAGE", f"The {picture.kind} cannot be decoded: {reason}.") from error


def _file(picture: Picture) -> ImageFile.ImageFile:
    return PLUGINS[picture.kind](BytesIO(picture.data))


def _pixels(picture: Picture, file: ImageFile.ImageFile) -> Image.Image:
    """The upright image as 8-bit sRGB, in mode RGBA if any pixel is transparent, else RGB."""
    exif, icc = picture.exif or file.info.get("exif"), picture.icc or file.info.get("icc_profile")
    image = _eight_bits(file)
    alpha = None
    if picture.transparent is not None:
        alpha = _keyed(picture, picture.transparent, file, image)
    elif image.has_transparency_data:
        image = _as(image, "LA" if image.mode in GREY else "RGBA")
        alpha = image.getchannel("A")
    if image.mode != "CMYK":
        image = _as(image, "L" if image.mode in GREY else "RGB")
    image = _srgb(_as(image, "RGB"), picture.rgb_profile) if picture.rgb_profile else _srgb(image, icc)
    if alpha and alpha.getextrema() != (255, 255):
        image.putalpha(alpha)
    turn = UPRIGHT.get(_orientation(exif))
    return image if turn is None else image.transpose(turn)


def _orientation(exif: bytes | None) -> int:
    """As EXIF says it, and nothing else: XMP outlives tools that turn the pixels. 1 if EXIF is damaged."""
    with suppress(Exception):  # Pillow's reader raises anything at hostile input
        found = Image.Exif()
        found.load(exif or b"")
        return int(found.get(ORIENTATION, 1))
    return 1


def _as(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)  # convert would copy


def _eight_bits(file: ImageFile.ImageFile) -> Image.Image:
    """The decoded image, of whose 16-bit samples the high bytes are left."""
    file.load()
    if file.mode != "I;16":
        return file
    return Image.frombytes("L", file.size, file.tobytes()[1::2])  # Pillow's own conversion clips at 255


def _keyed(
    picture: Picture, transparent: tuple[int, ...], file: ImageFile.ImageFile, image: Image.Image
) -> Image.Image:
    """How opaque the pixels are where one colour is transparent, which is compared in all its bits."""
    bands, values = _as(image, "L" if image.mode in GREY else "RGB").split(), transparent
    if picture.depth == 16:
        bands, values = (*bands, *_low_bytes(picture, file)), (*(v >> 8 for v in values), *(v & 255 for v in values))
    scale = 255 // ((1 << min(picture.depth, 8)) - 1)
    differences = (
        band.point([255 * (sample != value * scale) for sample in range(256)])
        for band, value in zip(bands, values, strict=True)
    )
    return reduce(ImageChops.lighter, differences)


def _low_bytes(picture: Picture, file: ImageFile.ImageFile) -> tuple[Image.Image, ...]:
    """Of 16-bit samples, by band. Of colours Pillow keeps the high bytes alone, so these are decoded as such."""
    if file.mode == "I;16":
        return (Image.frombytes("L", file.size, file.tobytes()[0::2]),)
    with _file(picture) as again:
        again.tile = [tile._replace(args="RGB;16L") for tile in again.tile]  # as if the low byte were the high one
        return again.convert("RGB").split()


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image in sRGB; like browsers, ignores a profile that is invalid or of another colour space."""
    with suppress(OSError, ValueError, ImageCms.PyCMSError):
        given = ImageCms.ImageCmsProfile(BytesIO(profile or b""))
        if given.profile.xcolor_space.strip() == COLOUR_SPACES[image.mode]:
            converted = ImageCms.profileToProfile(image, given, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:  # as it is where the image is changed in place
                return converted
    return _as(image, "RGB")


def _png(image: Image.Image) -> bytes:
    image = image.copy()  # or Pillow would look for the file of one that was read, which the decoder may not
    image.info = {}
    target = BytesIO()
    image.save(target, "PNG", optimize=True)
    return target.getvalue()
