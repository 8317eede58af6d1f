"""Charts as paths of SVG, drawn on the server; labels are HTML beside them, so that they are as large as other text.

A chart is stretched to the width that it has: positions are in thousandths of it, and lines keep their width.
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
    """The series on each other, the first one at the bottom."""
    floor: Values = [0.0 if value is not None else None for value in (series[0].values if series else [])]
    paths = []
    for colour, one in enumerate(series):
        ceiling = [_sum(low, value) for low, value in zip(floor, one.values, strict=True)]
        paths.append(Path(_area(floor, ceiling, scale), colour, filled=True))
        floor = ceiling
    place = None if limit is None or scale.place(limit) > 1 else _y(scale, limit)
    return Chart(name, title, _described(series), series, paths, scale.labels, place)


def bar(parts: Sequence[float], whole: float) -> list[tuple[float, float]]:
    """Begin and width of each part on a bar that is WIDTH long; what exceeds the whole makes all of them narrower."""
    factor, begin, found = WIDTH / max(whole, sum(parts), 1), 0.0, []
    for part in parts:
        found.append((round(begin, 1), round(part * factor, 1)))
        begin += part * factor
    return found


def _described(series: Sequence[Series]) -> str:
    return "; ".join(f"{one.name}: {one.shown or 'no figures'}" for one in series)


def _sum(low: float | None, value: float | None) -> float | None:
    return None if low is None or value is None else low + value


def _round_up(value: float) -> float:
    if value <= 0:
        return 0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in ROUND if factor * power >= value * (1 - 1e-9))


def _line(values: Values, scale: Scale) -> str:
    return "".join(_through(_points(values, run, scale)) for run in _runs(values))


def _area(floor: Values, ceiling: Values, scale: Scale) -> str:
    """Around each run: above it forwards, below it backwards; a step alone is as wide as a step."""
    drawn = []
    for run in _runs(ceiling):
        above, below = _points(ceiling, run, scale), _points(floor, run, scale)
        if len(run) == 1:
            half = WIDTH / len(ceiling) / 2
            above, below = _widened(above[0], half), _widened(below[0], half)
        drawn.append(f"{_through([*above, *reversed(below)])}Z")
    return "".join(drawn)


def _widened(point: tuple[float, float], half: float) -> list[tuple[float, float]]:
    return [(point[0] - half, point[1]), (point[0] + half, point[1])]


def _runs(values: Values) -> list[list[int]]:
    """The steps that have values, in runs without a gap."""
    return [list(run) for has, run in groupby(range(len(values)), lambda step: values[step] is not None) if has]


def _points(values: Values, run: Iterable[int], scale: Scale) -> list[tuple[float, float]]:
    width = WIDTH / len(values)
    return [((step + 0.5) * width, _y(scale, value)) for step in run if (value := values[step]) is not None]


def _y(scale: Scale, value: float) -> float:
    return HEIGHT * (1 - scale.place(value))


def _through(points: Sequence[tuple[float, float]]) -> str:
    """A line; a point alone becomes one without length, which round ends make a dot."""
    first, *rest = [f"{x:.1f} {y:.1f}" for x, y in points]
    return f"M{first}" + ("".join(f"L{point}" for point in rest) or "h0")
