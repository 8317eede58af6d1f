"""A history as a portal writes it over days, in a moment."""

import math
from collections.abc import Iterable
from contextlib import closing

import pytest

from portal.store import history
from portal.store.history import Figures, History, Measured
from portal.store.layout import Layout

DAY, HOUR = 86400, 3600


def write(layout: Layout, monkeypatch: pytest.MonkeyPatch, samples: Iterable[tuple[int, Measured]]) -> None:
    """Take these samples of one server, each at its time in seconds since 1970."""
    with closing(History.open(layout)) as found, monkeypatch.context() as patched:
        for at, measured in samples:
            patched.setattr(history, "now", lambda at=at: at)
            assert found.sample("server", lambda measured=measured: measured)


def busy(times: Iterable[int], *, growth: float = 2e8) -> Iterable[tuple[int, Measured]]:
    """A store that grows by so many bytes a day, with more to do by day than by night."""
    counted: dict[str, int] = {}
    for number, at in enumerate(times):
        hour = (at % DAY) / HOUR
        requests = 300 + 260 * math.sin((hour - 9) / 24 * 2 * math.pi) + 40 * math.sin(number)
        for name, value in _happened(requests, number).items():
            counted[name] = counted.get(name, 0) + round(value)
        yield at, Measured(dict(counted), _noted(at / DAY * growth % 1e11 + 2e10))


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
    storage = {f"storage/{area}": round(used * part) for area, part in parts.items()}
    return {**storage, "versions/published": 40, "versions/draft": 3, "disk/free": 4 * 10**11}
