"""The charts and the table of `/status`: which figures they show, of which time, and as which text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from portal import sizes
from portal.store import usage
from portal.store.clock import now
from portal.store.history import RINGS, Ring, Row
from portal.web import charts, figures, text
from portal.web.charts import Chart, Series

AREAS = ("packages", "assets", *usage.MEASURED)
QUANTILES = {"p50": 0.5, "p99": 0.99}
NONE = "-"

Value = Callable[[Row], float | None]
Shown = Callable[[float], str]


@dataclass(frozen=True)
class View:
    """A ring as the page shows it, in steps of so many rows: its name, the format of its times, and how many steps a
    line of the table has.
    """

    name: str
    ring: Ring
    rows: int
    time: str
    merged: int

    @property
    def step(self) -> int:
        """Seconds between two points of a line."""
        return self.ring.step * self.rows


VIEWS = {
    "day": View("24 hours", RINGS[0], 1, "%H:%M", 6),
    "week": View("7 days", RINGS[1], 1, "%-d %b", 6),
    "quarter": View("90 days", RINGS[2], 4, "%-d %b", 3),
}


@dataclass(frozen=True)
class Steps:
    """A view up to the step that has begun: a row for each step, None where nothing was measured."""

    view: View
    until: int
    rows: Sequence[Row | None]

    @classmethod
    def of(cls, view: View, rows: Sequence[Row]) -> "Steps":
        step = view.step
        until = now() // step * step + step
        placed = {at: figures.merged(list(each)) for at, each in groupby(rows, lambda row: row.at // step * step)}
        return cls(view, until, [placed.get(at) for at in range(until - view.ring.span, until, step)])

    def values(self, value: Value) -> list[float | None]:
        return [value(row) if row else None for row in self.rows]

    def series(self, name: str, value: Value, shown: Shown) -> Series:
        found = self.values(value)
        newest = next((one for one in reversed(found) if one is not None), None)
        return Series(name, found, NONE if newest is None else shown(newest))

    def times(self) -> list[str]:
        """Labels of the axis, which are equally far from each other."""
        begin, parts = self.until - self.view.ring.span, range(charts.PARTS + 1)
        return [_time(begin + self.view.ring.span * part // charts.PARTS, self.view.time) for part in parts]


def every(steps: Steps, budget: int) -> list[Chart]:
    """All charts; that of storage first. `budget` is in bytes."""
    return [
        _storage(steps, budget), _traffic(steps), _bytes(steps), _unsuccessful(steps), _failed(steps), _answers(steps),
        _transfers(steps),
    ]  # fmt: skip


def _storage(steps: Steps, budget: int) -> Chart:
    series = [steps.series(area, _noted("storage", area), size) for area in AREAS]
    sums = steps.values(lambda row: figures.total(row, "storage"))
    return charts.layers("storage", "In use", series, charts.linear(sums, size), budget)


def _traffic(steps: Steps) -> Chart:
    series = [steps.series("answered", lambda row: _times(60, figures.rate(row, "requests")), number)]
    return charts.lines("requests", "Requests per minute", series, _linear(series, number))


def _bytes(steps: Steps) -> Chart:
    series = [steps.series(name, _rate("bytes", name), lambda value: f"{size(value)}/s") for name in BYTES]
    return charts.lines("bytes", "Bytes transferred per second", series, _linear(series, size))


def _unsuccessful(steps: Steps) -> Chart:
    series = [
        steps.series("failed (5xx)", _share("requests", "5xx"), percent),
        steps.series("refused (4xx)", _share("requests", "4xx"), percent),
    ]
    return charts.lines("errors", "Unsuccessful requests", series, _linear(series, percent, least=0.01))


def _failed(steps: Steps) -> Chart:
    series = [steps.series(figure, _share(figure, "failed"), percent) for figure in ("downloads", "uploads")]
    return charts.lines("failed", "Failed downloads and uploads", series, _linear(series, percent, least=0.01))


def _answers(steps: Steps) -> Chart:
    return _durations(steps, "answers", "Time to answer", {"": "answer_seconds"})


def _transfers(steps: Steps) -> Chart:
    measured = {"first byte ": "download_seconds", "upload ": "upload_seconds"}
    return _durations(steps, "transfers", "Time of downloads and uploads", measured)


def _durations(steps: Steps, name: str, title: str, measured: dict[str, str]) -> Chart:
    series = [
        steps.series(f"{prefix}{label}", _quantile(figure, part), text.seconds)
        for prefix, figure in measured.items()
        for label, part in QUANTILES.items()
    ]
    return charts.lines(name, title, series, charts.logarithmic(0.001, text.seconds))


def _linear(series: Sequence[Series], shown: Shown, least: float = 0) -> charts.Scale:
    return charts.linear([value for one in series for value in one.values], shown, least)


def _noted(figure: str, label: str) -> Value:
    return lambda row: row.labelled(figure).get(label)


def _counted(figure: str, label: str) -> Value:
    return lambda row: row.labelled(figure).get(label, 0)


def _rate(figure: str, label: str) -> Value:
    return lambda row: row.labelled(figure).get(label, 0) / row.seconds if row.seconds else None


def _share(figure: str, label: str) -> Value:
    return lambda row: figures.share(row, figure, label)


def _quantile(figure: str, part: float) -> Value:
    return lambda row: figures.quantile(row, figure, part)


def _times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value


@dataclass(frozen=True)
class Line:
    """Figures of a part of the view, from `at`, as text."""

    at: int
    cells: Sequence[str]


def _or_none(value: Value, shown: Shown) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        found = value(row)
        return NONE if found is None else shown(found)

    return cell


def size(value: float) -> str:
    return sizes.size(int(value))


def number(value: float) -> str:
    """A count or a rate, with fewer decimals the larger it is."""
    return f"{value:,.{0 if value >= 10 or value == int(value) else 1 if value >= 1 else 2}f}"


def percent(value: float) -> str:
    """A share of 0 to 1."""
    return f"{value * 100:.{0 if value >= 0.1 or not value else 1 if value >= 0.01 else 2}f} %"


BYTES = ("sent", "received")
COLUMNS = {
    "requests": _or_none(lambda row: figures.total(row, "requests"), number),
    "failed": _or_none(_share("requests", "5xx"), percent),
    "refused": _or_none(_share("requests", "4xx"), percent),
    "p50": _or_none(_quantile("answer_seconds", QUANTILES["p50"]), text.seconds),
    "p99": _or_none(_quantile("answer_seconds", QUANTILES["p99"]), text.seconds),
    **{name: _or_none(_counted("bytes", name), size) for name in BYTES},
    "in use": _or_none(lambda row: figures.total(row, "storage"), size),
}


def table(steps: Steps) -> list[Line]:
    """A line for every part of the view in which something was measured, newest first."""
    width = steps.view.merged
    parts = [[row for row in steps.rows[at : at + width] if row] for at in range(0, len(steps.rows), width)]
    found = [figures.merged(part) for part in reversed(parts) if part]
    return [Line(row.at, [cell(row) for cell in COLUMNS.values()]) for row in found]


def _time(at: int, form: str) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(form)
