"""How likely a package is to be lost within a year: the arithmetic of docs/durability.md.

Each copy fails at a constant rate and is repaired after a while; a package is lost when the last copy fails while the
others are away. For independent copies with rates r and times to repair t, to first order, that is the product of all
rates times the sum, over each copy that may fail last, of the products of the others' times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import log10, prod

DAYS = 365.25


@dataclass(frozen=True)
class Copy:
    """`per_year` is how often the whole copy fails; `days` how long until that is noticed and repaired."""

    name: str
    per_year: float
    days: float


@dataclass(frozen=True)
class Assumption:
    """A number that the arithmetic uses and this project cannot measure, and where it comes from."""

    what: str
    value: str
    source: str


DISK = Copy("a disk of the NAS", 0.0157, 7)
MIRRORED = Copy("a mirrored pair of disks of the NAS", 2 * DISK.per_year * DISK.per_year * DISK.days / DAYS, 7)
DRIVE = Copy("the external drive", 0.03, 14)
SITE = Copy("the place: fire, theft, water, lightning", 0.001, 14)
BUCKET = Copy("the bucket", 1e-11, 1)

ASSUMPTIONS = (
    Assumption("a disk fails", f"{DISK.per_year:.2%} a year", "Backblaze's drive statistics for 2024"),
    Assumption("it is replaced and restored", f"{DISK.days:g} days", "assumed: ordered, delivered, restored"),
    Assumption("an external drive fails", f"{DRIVE.per_year:.0%} a year", "assumed: twice a disk's rate"),
    Assumption("that is noticed and repaired", f"{DRIVE.days:g} days", "backup nightly, scrub and drill weekly"),
    Assumption("everything in one place is lost", f"{SITE.per_year:.1%} a year", "assumed"),
    Assumption("a bucket loses an object", f"{BUCKET.per_year:g} a year", "the providers' own figure, eleven nines"),
)


def loss(copies: Sequence[Copy]) -> float:
    """The probability that all of these independent copies are lost in one year."""
    years = [copy.days / DAYS for copy in copies]
    windows = sum(prod(others) for others in combinations(years, len(years) - 1))
    return prod(copy.per_year for copy in copies) * windows


def nines(probability: float) -> str:
    """As in `99.9984 %`: three digits after the nines."""
    digits = max(1, int(-log10(probability)))
    return f"{100 * (1 - probability):.{digits}f} %"


@dataclass(frozen=True)
class Setup:
    """What an operator has: copies in the place of the store, and one elsewhere or none."""

    name: str
    here: Sequence[Copy]
    elsewhere: Copy | None = None

    def to_failures(self) -> float:
        """The probability that all copies fail, each before another is back."""
        return loss([*self.here, self.elsewhere] if self.elsewhere else self.here)

    def to_place(self) -> float:
        """The probability that the place is lost, and the copy elsewhere fails before the store is back."""
        return loss([SITE, self.elsewhere] if self.elsewhere else [SITE])


SETUPS = (
    Setup("one disk", (DISK,)),
    Setup("mirrored disks", (MIRRORED,)),
    Setup("one disk and the drive", (DISK, DRIVE)),
    Setup("mirrored disks and the drive", (MIRRORED, DRIVE)),
    Setup("one disk, the drive and a bucket", (DISK, DRIVE), BUCKET),
    Setup("mirrored disks, the drive and a bucket", (MIRRORED, DRIVE), BUCKET),
)
