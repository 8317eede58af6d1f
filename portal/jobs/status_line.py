"""A line of `mosis status`."""

from dataclasses import dataclass
from datetime import UTC, datetime

SKEW_SECONDS = 300  # by which a clock may be set back without a fault


@dataclass(frozen=True)
class Line:
    """One fact; `ok` is false when somebody should act."""

    name: str
    ok: bool
    text: str


def shown(at: int) -> str:
    """A time, in seconds since 1970, as lines have it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
