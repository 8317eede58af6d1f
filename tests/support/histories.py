"""A history as a portal writes it over days, in a moment."""

import math
import time
from collections.abc import Iterable, Mapping
from contextlib import closing

import pytest

from portal.store import disposable, history
from portal.store.history import Figures, History, Measured, added
from portal.store.layout import Layout

DAY, HOUR = 86400, 3600


def write(layout: Layout, samples: Iterable[tuple[int, Measured]], server: str = "server") -> None:
    """Take these samples of one server, each at its time in seconds since 1970."""
    with closing(History.open(layout)) as found, pytest.MonkeyPatch.context() as patched:
        for at, measured in samples:
            patched.setattr(history, "now", lambda at=at: at)
            assert found.sample(server, lambda measured=measured: measured)


def quarter(layout: Layout) -> None:
    """Ninety days up to now, with a gap of five, in place of what the portal that runs there has measured.

    They are written in its name: for two minutes it takes no sample of its own, which would be the newest.
    """
    now, server = int(time.time()), _server(layout)
    disposable.discard(layout.history)
    times = [*range(now - 90 * DAY, now - DAY, DAY // 2), *range(now - DAY, now, HOUR // 2), now]
    write(layout, busy(at for at in times if not now - 40 * DAY < at < now - 35 * DAY), server)


def _server(layout: Layout) -> str:
    """The one that has taken the newest sample."""
    with closing(History.open(layout)) as found:
        row = found._db.execute("SELECT server FROM counters ORDER BY at DESC LIMIT 1").fetchone()
    return row[0] if row else "server"


def full(layout: Layout) -> None:
    """As many samples up to now as fill every ring."""
    now = int(time.time())
    times = [*range(now - 91 * DAY, now - 8 * DAY, 6 * HOUR), *range(now - 8 * DAY, now - 2 * DAY, HOUR)]
    write(layout, busy([*times, *range(now - 2 * DAY, now, history.PERIOD)]))


def busy(times: Iterable[int], *, growth: float = 2e8) -> Iterable[tuple[int, Measured]]:
    """A store that grows by so many bytes a day, with more to do by day than by night."""
    counted: Figures = {}
    begin = None
    for number, at in enumerate(times):
        begin = at if begin is None else begin
        hour = (at % DAY) / HOUR
        requests = 300 + 260 * math.sin((hour - 9) / 24 * 2 * math.pi) + 40 * math.sin(number)
        counted = added((counted, nested(_happened(requests, number))))
        yield at, Measured(counted, _noted(5e10 + (at - begin) / DAY * growth))


def nested(figures: Mapping[str, float]) -> Figures:
    """Figures by `figure/label`."""
    split = ((name.partition("/"), value) for name, value in figures.items())
    return added({figure: {label: round(value)}} for (figure, _, label), value in split)


def _happened(requests: float, number: int) -> dict[str, float]:
    slow = 0.02 + 0.015 * math.sin(number / 9)
    return {
        "requests/2xx": requests, "requests/4xx": requests * 0.02, "requests/5xx": 3.0 if number % 50 == 0 else 0.0,
        "bytes/sent": requests * 4e6, "bytes/received": requests * 2e5,
        "downloads/ok": requests / 5, "downloads/failed": 0.0,
        "uploads/ok": 3.0, "uploads/failed": 1.0 if number % 40 == 0 else 0.0,
        "answer_seconds/0.001": requests * 0.3, "answer_seconds/0.005": requests * 0.8,
        "answer_seconds/0.1": requests * (1 - slow), "answer_seconds/1.0": requests, "answer_seconds/+Inf": requests,
        "download_seconds/0.01": requests / 8, "download_seconds/0.5": requests / 5,
        "download_seconds/+Inf": requests / 5,
        "upload_seconds/1.0": 1.0, "upload_seconds/5.0": 3.0, "upload_seconds/+Inf": 3.0,
    }  # fmt: skip


def _noted(used: float) -> Figures:
    parts = {"packages": 0.72, "assets": 0.05, "data": 0.04, "catalogue": 0.01, "temp": 0.03, "backups": 0.15}
    storage = {area: round(used * part) for area, part in parts.items()}
    return {"storage": storage, "versions": {"published": 40, "draft": 3}, "disk": {"free": 4 * 10**11}}
