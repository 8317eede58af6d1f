"""Charts as paths of SVG, drawn on the server; labels are HTML beside them, so that they are as large as other text.

A chart is stretched to the width that it has: positions are whole thousandths of it, and lines keep their width.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

WIDTH, HEIGHT = 1000, 300  # of the view box; y grows downwards
PARTS = 4  # of an axis, between labels that are equally far from each other
ROUND = (1, 2, 4, 6, 8, 10)  # times a power of ten: the end of a scale
DECADES = 4  # of a logarithmic scale

Values = Sequence[float | None]
Point = tuple[int, int]


@dataclass(frozen=True)
class Series:
    """One line or layer: a value per step, None where there is none; `shown` is the newest one, as text."""

    name: str
    values: Values
    shown: str = ""


@dataclass(frozen=True)
class Path:
    """A path of SVG, with the number of its colour."""

    d: str
    colour: int
    filled: bool = False


@dataclass(frozen=True)
class Chart:
    """Labels of the scale are from top to bottom; the height of the limit is None where it is outside the scale."""

    name: str
    title: str
    description: str
    series: Sequence[Series]
    paths: Sequence[Path]
    scale: Sequence[str]
    limit: float | None = None

    @property
    def is_empty(self) -> bool:
        return not any(path.d for path in self.paths)


@dataclass(frozen=True)
class Scale:
    """Where a value is: 0 at the bottom, 1 at the top."""

    labels: Sequence[str]
    place: Callable[[float], float]


def linear(values: Iterable[float | None], label: Callable[[float], str], least: float = 0) -> Scale:
    """From 0 to a round number above all values; that is at least `least`."""
    top = _round_up(max((value for value in values if value is not None), default=0)) or least or 1
    top = max(top, least)
    return Scale([label(top * part / PARTS) for part in range(PARTS, -1, -1)], lambda value: value / top)


def logarithmic(lowest: float, label: Callable[[float], str]) -> Scale:
    """Over DECADES from the lowest power of ten on; what is outside is at the edge."""
    labels = [label(lowest * 10.0**decade) for decade in range(DECADES, -1, -1)]
    return Scale(labels, lambda value: min(max(math.log10(max(value, lowest) / lowest) / DECADES, 0), 1))


def lines(name: str, title: str, series: Sequence[Series], scale: Scale) -> Chart:
    """Every series as a line."""
    paths = [Path(_line(one.values, scale), colour) for colour, one in enumerate(series)]
    return Chart(name, title, _described(series), series, paths, scale.labels)


def layers(name: str, title: str, series: Sequence[Series], scale: Scale, limit: float | None = None) -> Chart:
    """The series on each other, the first one at the bottom: each path covers those that are below it, and goes first
    if it is higher.
    """
    sums: Values = [0.0] * len(series[0].values)
    paths = []
    for colour, one in enumerate(series):
        sums = [
            None if low is None or value is None else low + value for low, value in zip(sums, one.values, strict=True)
        ]
        paths.append(Path(_area(sums, scale), colour, filled=True))
    place = None if limit is None or scale.place(limit) > 1 else HEIGHT * (1 - scale.place(limit))
    return Chart(name, title, _described(series), series, paths[::-1], scale.labels, place)


def bar(parts: Sequence[float], whole: float) -> list[tuple[float, float]]:
    """Begin and width of each part on a bar that is WIDTH long; what exceeds the whole makes all of them narrower."""
    factor, begin, found = WIDTH / max(whole, sum(parts), 1), 0.0, []
    for part in parts:
        found.append((round(begin, 1), round(part * factor, 1)))
        begin += part * factor
    return found


def _described(series: Sequence[Series]) -> str:
    return "; ".join(f"{one.name}: {one.shown or 'no figures'}" for one in series)


def _round_up(value: float) -> float:
    if value <= 0:
        return 0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in ROUND if factor * power >= value * (1 - 1e-9))


def _line(values: Values, scale: Scale) -> str:
    return "".join(_through(_points(values, run, scale)) for run in _runs(values))


def _area(values: Values, scale: Scale) -> str:
    """Below the values, down to the bottom; a step alone is as wide as a step."""
    drawn = []
    for run in _runs(values):
        points = _points(values, run, scale)
        if len(points) == 1:
            (x, y), half = points[0], WIDTH // len(values) // 2
            points = [(x - half, y), (x + half, y)]
        drawn.append(f"{_through(points)}V{HEIGHT}H{points[0][0]}Z")
    return "".join(drawn)


def _runs(values: Values) -> list[list[int]]:
    """The steps that have values, in runs without a gap."""
    return [list(run) for has, run in groupby(range(len(values)), lambda step: values[step] is not None) if has]


def _points(values: Values, run: Iterable[int], scale: Scale) -> list[Point]:
    width = WIDTH / len(values)
    return [
        (round((step + 0.5) * width), round(HEIGHT * (1 - scale.place(value))))
        for step in run
        if (value := values[step]) is not None
    ]


def _through(points: Sequence[Point]) -> str:
    """A line; a point alone becomes one without length, which round ends make a dot."""
    (x, y), *rest = points
    return f"M{x} {y}" + ("".join(f"L{x} {y}" for x, y in _corners(points)) if rest else "h0")


def _corners(points: Sequence[Point]) -> Iterable[Point]:
    """All points but the first, without those in the middle of a level part."""
    for before, point, after in zip(points, points[1:], [*points[2:], None], strict=False):
        if after is None or not before[1] == point[1] == after[1]:
            yield point
