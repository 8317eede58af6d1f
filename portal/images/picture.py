"""One picture of a file, ready to decode."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """`kind` is PNG, JPEG or WebP. `data` is a whole file of it; a WebP keeps its metadata, the others have none."""

    kind: str
    data: bytes
    exif: bytes | None = None
    """As a TIFF."""
    icc: bytes | None = None
    """The ICC profile of the samples."""
    rgb_profile: bytes | None = None
    """An ICC profile of the samples as RGB, also where they are grey."""
    transparent: tuple[int, ...] | None = None
    """The samples of the one transparent colour, as they are in the file."""
    depth: int = 8
    """Bits of a sample."""
