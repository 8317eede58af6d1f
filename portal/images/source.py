"""What is decoded of a file: its pixels without metadata, and the facts of the metadata that change how they look."""

from portal.images import jpeg, png
from portal.images.errors import ImageRejected
from portal.images.picture import Picture

OTHERS = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"\0\0\1\0", "an ICO"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "a Photoshop document"),
    (b"gimp xcf", "a GIMP document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"PK\3\4", "a ZIP archive"),
)
"""By how a file begins, what it is."""
BRANDS = {b"avif": "an AVIF", b"avis": "an AVIF", b"crx3": "a raw photograph"}  # of ISO 14496-12; others are HEIC
TEXT_SHOWN = 1000  # bytes in which an SVG or HTML names itself


def read(data: bytes) -> Picture:
    """Raises ImageRejected for a file of another kind, naming it, and for one that is damaged."""
    if data.startswith(png.SIGNATURE):
        return png.read(data)
    if data.startswith(jpeg.SIGNATURE):
        return jpeg.read(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return Picture("WebP", data)
    found = f"is {kind}, " if (kind := kind_of(data)) else "is "
    raise ImageRejected("INVALID_IMAGE", f"The file {found}not a PNG, JPEG or WebP image.")


def kind_of(data: bytes) -> str | None:
    """What a file is that is none of the three, with its article; None if that is unknown."""
    if not data:
        return "empty"
    if data[4:8] == b"ftyp":
        return BRANDS.get(data[8:12], "a HEIC or a video")
    head = data[:TEXT_SHOWN].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in head:
        return "an SVG"
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return next((kind for start, kind in OTHERS if data.startswith(start)), None)
