"""Icons and screenshots that are none, or that are made to cost more than they are worth."""

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from tests.http.bad_inputs import (
    APP,
    FILE_TOO_LARGE,
    INVALID_DIMENSIONS,
    INVALID_FILE,
    INVALID_IMAGE,
    Answer,
    Row,
    form,
    part,
    upload,
)
from tests.images import files
from tests.images.files import chunk


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """An RGBA PNG of any size it says, with the chunks given (RFC 2083)."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def encoded(kind: str, size: tuple[int, int] = (64, 64), **options: object) -> bytes:
    return files.encoded(Image.new("RGB", size, "#369"), kind, **options)


ZEROS = chunk(b"IDAT", zlib.compress(bytes(4 * 1024 * 1024), 9))
OTHER = Image.new("RGB", (64, 64), "#963")
ICONS: dict[str, tuple[bytes, Answer, str]] = {
    "an empty icon": (b"", INVALID_IMAGE, "not a PNG"),
    "text": (b"an icon\n" * 100, INVALID_IMAGE, "not a PNG"),
    "an SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', INVALID_IMAGE, "not a PNG"),
    "an SVG with an external entity": (
        b'<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>', INVALID_IMAGE, "not a PNG"),
    "a GIF": (encoded("GIF"), INVALID_IMAGE, "not a PNG"),
    "a TIFF": (encoded("TIFF"), INVALID_IMAGE, "not a PNG"),
    "a PDF": (encoded("PDF"), INVALID_IMAGE, "not a PNG"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n", INVALID_IMAGE, "not a PNG"),
    "an icon that is not square": (encoded("PNG", (64, 63)), INVALID_DIMENSIONS, "must be square"),
    "a PNG of 50,000 by 50,000 pixels": (png(50_000, 50_000, ZEROS), INVALID_DIMENSIONS, "too many pixels"),
    "a PNG of 2^31 by 2^31 pixels": (png(2**31 - 1, 2**31 - 1, ZEROS), INVALID_DIMENSIONS, "too many pixels"),
    "a PNG of no pixels": (png(0, 0), INVALID_IMAGE, ""),
    "a PNG with a text of 1 GB": (
        png(64, 64, *[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10_000_000), 9))] * 100),
        INVALID_IMAGE, "cannot be decoded"),
    "a PNG without pixels": (png(64, 64), INVALID_IMAGE, "cannot be decoded"),
    "a PNG that breaks off": (encoded("PNG")[:-20], INVALID_IMAGE, "cannot be decoded"),
    "a PNG with a wrong checksum": (
        encoded("PNG")[:-20] + bytes([encoded("PNG")[-20] ^ 1]) + encoded("PNG")[-19:],
        INVALID_IMAGE, "cannot be decoded"),
    "a JPEG that breaks off": (encoded("JPEG", (640, 640))[:-200], INVALID_IMAGE, "cannot be decoded"),
    "a WebP that breaks off": (encoded("WEBP", (640, 640))[:60], INVALID_IMAGE, ""),
    "a PNG of two frames": (encoded("PNG", save_all=True, append_images=[OTHER]), INVALID_IMAGE, "2 frames"),
    "a WebP of 1,000 frames": (
        encoded("WEBP", save_all=True, append_images=[OTHER, Image.new("RGB", (64, 64))] * 499 + [OTHER]),
        INVALID_IMAGE, "1000 frames"),
}  # fmt: skip

SCREENSHOTS: dict[str, tuple[bytes, Answer, str]] = {
    "a screenshot of 1280 by 721": (encoded("PNG", (1280, 721)), INVALID_DIMENSIONS, "1280x720 or 720x1280"),
    "a screenshot that is an icon": (encoded("PNG"), INVALID_DIMENSIONS, "1280x720 or 720x1280"),
    "a screenshot without pixels": (png(1280, 720), INVALID_IMAGE, "cannot be decoded"),
    "a screenshot that is a package": (b"PK\5\6" + bytes(18), INVALID_IMAGE, "not a PNG"),
}


def rows() -> Iterator[Row]:
    for what, (data, answer, says) in ICONS.items():
        yield Row(f"as an icon: {what}", upload(form(part("icon", data)), to=f"{APP}/icon"), answer, says)
    for what, (data, answer, says) in SCREENSHOTS.items():
        yield Row(what, upload(form(part("screenshot", data)), to=f"{APP}/screenshots"), answer, says)
    too_large = form(part("icon", bytes(10_000_001)))
    yield Row("an icon one byte too large", upload(too_large, to=f"{APP}/icon"), FILE_TOO_LARGE)
    package = form(part("package", encoded("PNG")))
    yield Row("an icon called package", upload(package, to=f"{APP}/icon"), INVALID_FILE, 'it takes one file, "icon"')
