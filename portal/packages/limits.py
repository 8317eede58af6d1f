"""Limits on the size of a package."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes. `ratio` is the most unpacked bytes per packed byte.

    It applies to an entry or a whole package that unpacks to more than `ratio_free_entry` or `ratio_free_package`:
    smaller ones can harm nobody, and silence, blank images or tables of zeros compress better than any bomb detector
    expects.
    """

    package_bytes: int = 50 * MIB
    unpacked_bytes: int = 512 * MIB
    entries: int = 10_000
    ratio: int = 100
    ratio_free_entry: int = MIB
    ratio_free_package: int = 16 * MIB
    manifest_bytes: int = 256 * 1024


DEFAULT_LIMITS = Limits()
UNLIMITED = Limits(*[2**63] * 7)
