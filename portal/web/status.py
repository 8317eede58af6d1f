"""The state of the store for its operator: what needs attention, and 90 days of figures."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from bottle import HTTPResponse

from portal import thresholds
from portal.http.routing import ADMIN, Call, Operation, Routes
from portal.jobs import status as job
from portal.jobs.status_line import Line
from portal.sizes import size
from portal.store.clock import now
from portal.store.history import DAY, PERIOD, RINGS, History, Row
from portal.store.layout import Layout
from portal.store.states import STATUSES
from portal.web import charts, figures, rendering, status_charts
from portal.web.app_page import HTML
from portal.web.status_charts import AREAS, COLUMNS, VIEWS, Steps, View

LATE_SECONDS = 3 * PERIOD  # since the last sample

routes = Routes()


@dataclass(frozen=True)
class Area:
    """Bytes in an area, and its place on the bar of the budget."""

    name: str
    size: int
    begin: float
    width: float


@dataclass(frozen=True)
class Counted:
    """How many versions have a status, and how many more than 14 days ago, or since the first figures."""

    status: str
    number: int
    more: int


@routes.add(Operation("GET", "/status", "The state of the store", ADMIN, query=("view",), media_type=HTML))
def show(call: Call) -> HTTPResponse:
    view, budget = VIEWS.get(call.request.query.view) or VIEWS["day"], call.settings.storage_budget_bytes
    rows, recent, sampled_at = _history(call.store.layout, view)
    steps, newest = Steps.of(view, rows), recent[-1] if recent else Row(0, 0, {}, {})
    used = figures.total(newest, "storage")
    lines = [*_storage(used, budget), *job.glance(call.store)]
    return rendering.html(
        "status.html", actor=call.actor, reviewer=True, views=VIEWS, view=view, times=steps.times(),
        faults=[line for line in lines if not line.ok], jobs=job.jobs(call.store),
        versions=_versions(recent), days=figures.FORECAST_DAYS,
        sampled_at=sampled_at, late=sampled_at is not None and now() - sampled_at > LATE_SECONDS,
        used=used, budget=budget, nearly=thresholds.STORAGE_NEARLY_FULL * charts.WIDTH, areas=_areas(newest, budget),
        forecast=figures.forecast(recent, budget),
        charts=status_charts.every(steps, budget), columns=list(COLUMNS), table=status_charts.table(steps),
    )  # fmt: skip


def _history(layout: Layout, view: View) -> tuple[list[Row], list[Row], int | None]:
    """The rows of the view, those of the forecast, and when the last sample was taken."""
    try:
        with closing(History.read(layout)) as history:
            return history.rows(view.ring), history.rows(RINGS[-1], figures.FORECAST_DAYS * DAY), history.sampled_at()
    except sqlite3.DatabaseError:  # damaged: the next sample begins it anew
        return [], [], None


def _storage(used: int, budget: int) -> Iterator[Line]:
    """Only if there is a fault."""
    if used > thresholds.STORAGE_NEARLY_FULL * budget:
        yield Line("storage", False, f"{size(used)} of {size(budget)} in use")


def _areas(newest: Row, budget: int) -> list[Area]:
    sizes = [newest.labelled("storage").get(name, 0) for name in AREAS]
    places = charts.bar(sizes, budget)
    return [Area(name, size, *place) for name, size, place in zip(AREAS, sizes, places, strict=True)]


def _versions(rows: Sequence[Row]) -> list[Counted]:
    if not rows:
        return []
    first, last = (row.labelled("versions") for row in (rows[0], rows[-1]))
    counts = ((status, last.get(status, 0), first.get(status, 0)) for status in STATUSES)
    return [Counted(status, number, number - before) for status, number, before in counts]
