"""From the rows of a history to figures that mean something: rates, shares, quantiles, and when storage is full."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from portal.sizes import size
from portal.store.history import DAY, Row, added

FORECAST_DAYS = 14
FORECAST_DAYS_MAX = 3650
GROWTH_MIN = 0.001  # part of what is in use, below which it does not grow


def total(row: Row, figure: str) -> int:
    return sum(row.labelled(figure).values())


def rate(row: Row, figure: str) -> float | None:
    """How often per second; None if nothing was measured."""
    return total(row, figure) / row.seconds if row.seconds else None


def share(row: Row, figure: str, label: str) -> float | None:
    """The part that has this label, 0 to 1; None if there was nothing."""
    whole = total(row, figure)
    return row.labelled(figure).get(label, 0) / whole if whole else None


def quantile(row: Row, figure: str, part: float) -> float | None:
    """The value below which this part of a histogram is, interpolated in its bucket; None if it is empty.

    What is in the last bucket, which has no end, counts as its beginning.
    """
    buckets = sorted((_edge(edge), count) for edge, count in row.labelled(figure).items())
    if not buckets or not buckets[-1][1]:
        return None
    rank, low, below = part * buckets[-1][1], 0.0, 0.0
    for edge, count in buckets:
        if count >= rank and count > below:
            return low if edge == float("inf") else low + (edge - low) * (rank - below) / (count - below)
        low, below = edge, count
    return low


_edge = lru_cache(float)


def merged(rows: Sequence[Row]) -> Row:
    """Several rows as one; at least one."""
    if len(rows) == 1:
        return rows[0]
    return Row(rows[0].at, sum(row.seconds for row in rows), added(row.counted for row in rows), rows[-1].noted)


@dataclass(frozen=True)
class Growth:
    """Bytes per day over so many days."""

    per_day: float
    days: float


def growth(rows: Sequence[Row]) -> Growth | None:
    """The growth of what is in use, by least squares over the last FORECAST_DAYS; None if that is less than a day."""
    recent = [row for row in rows if rows[-1].at - row.at <= FORECAST_DAYS * DAY]
    points = [(row.at / DAY, total(row, "storage")) for row in recent if row.noted]
    days = points[-1][0] - points[0][0] if points else 0.0
    if days < 1:
        return None
    day, size = (sum(values) / len(points) for values in zip(*points, strict=True))
    slope = sum((x - day) * (y - size) for x, y in points) / sum((x - day) ** 2 for x, _ in points)
    return Growth(slope, days)


def forecast(rows: Sequence[Row], budget: int) -> str:
    """When the budget is spent, or the disk is full if that is sooner; a sentence, or none without a sample."""
    if not rows:
        return ""
    used, free = total(rows[-1], "storage"), rows[-1].labelled("disk").get("free", float("inf"))
    if used >= budget:
        return f"The budget is exceeded by {size(used - budget)}."
    found = growth(rows)
    if found is None:
        return "A forecast needs the figures of a day."
    over = f"the last {round(found.days)} days" if round(found.days) > 1 else "the last day"
    if found.per_day * found.days <= GROWTH_MIN * used:
        return f"No growth in {over}."
    left, what = min((budget - used, "the budget is spent"), (free, "the disk is full"))
    days = left / found.per_day
    when = f"in about {days:.0f} days" if days >= 1.5 else "in about a day"
    if days > FORECAST_DAYS_MAX:
        when = "in more than ten years"
    return f"At the growth of {over} ({size(int(found.per_day))} a day), {what} {when}."
