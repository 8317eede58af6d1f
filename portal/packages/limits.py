"""Limits on the size of a package."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes. `ratio` is the most unpacked bytes per packed byte of each entry, and so of the package."""

    package_bytes: int = 50 * MIB
    unpacked_bytes: int = 512 * MIB
    entries: int = 10_000
    ratio: int = 100
    manifest_bytes: int = 256 * 1024


DEFAULT_LIMITS = Limits()
