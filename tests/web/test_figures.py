"""Rates, quantiles and the forecast, from rows of a history."""

import pytest

from portal.store.history import DAY, Row
from portal.web import figures
from tests.support.histories import nested

GB = 10**9


def row(at: int = 0, seconds: int = 300, noted: dict[str, int] | None = None, **counted: int) -> Row:
    return Row(
        at, seconds, nested({name.replace("_", "/"): value for name, value in counted.items()}), nested(noted or {})
    )


def histogram(**buckets: int) -> Row:
    return Row(0, 300, {"s": {edge.removeprefix("le").replace("_", "."): n for edge, n in buckets.items()}}, {})


def grown(days: float, per_day: float, *, begin: int = GB, free: int = 10**15, each: int = 4) -> list[Row]:
    """Rows of 6 hours."""
    times = [number * DAY // each for number in range(int(days * each) + 1)]
    return [row(at, noted={"storage/packages": begin + round(per_day * at / DAY), "disk/free": free}) for at in times]


def test_a_rate_is_of_the_time_that_was_measured() -> None:
    assert figures.rate(row(seconds=60, requests_2xx=90, requests_5xx=30), "requests") == 2
    assert figures.rate(row(seconds=0), "requests") is None


def test_a_share_of_nothing_is_unknown() -> None:
    assert figures.share(row(requests_2xx=9, requests_5xx=1), "requests", "5xx") == 0.1
    assert figures.share(row(requests_2xx=9), "requests", "5xx") == 0
    assert figures.share(row(), "requests", "5xx") is None


@pytest.mark.parametrize(
    ("part", "expected"), [(0.25, 0.5), (0.5, 1.0), (0.75, 1.5), (0.99, 2.0), (1.0, 2.0)]
)  # as histogram_quantile of Prometheus gives for the same buckets
def test_a_quantile_is_interpolated_in_its_bucket(part: float, expected: float) -> None:
    assert figures.quantile(histogram(le1_0=50, le2_0=100 if part < 0.99 else 98, leinf=100), "s", part) == expected


def test_a_bucket_begins_where_the_one_below_it_ends() -> None:
    assert figures.quantile(histogram(le1_0=0, le2_0=0, le4_0=10, leinf=10), "s", 0.5) == 3.0


def test_an_empty_histogram_has_no_quantile() -> None:
    assert figures.quantile(histogram(), "s", 0.5) is None
    assert figures.quantile(histogram(le1_0=0, leinf=0), "s", 0.5) is None


@pytest.mark.parametrize(
    ("rows", "budget", "expected"),
    [
        ([], GB, ""),
        (grown(0.5, 100), 2 * GB, "A forecast needs the figures of a day."),
        (grown(14, 0), 2 * GB, "No growth in the last 14 days."),
        (grown(14, -1e6), 2 * GB, "No growth in the last 14 days."),
        (
            grown(14, 1e7),
            2 * GB,
            "At the growth of the last 14 days (10.0 MB a day), the budget is spent in about 86 days.",
        ),
        (
            grown(90, 1e7),
            2 * GB,
            "At the growth of the last 14 days (10.0 MB a day), the budget is spent in about 10 days.",
        ),
        (
            grown(3, 2e8),
            2 * GB,
            "At the growth of the last 3 days (200 MB a day), the budget is spent in about 2 days.",
        ),
        (grown(1, 6e8), 2 * GB, "At the growth of the last day (600 MB a day), the budget is spent in about a day."),
        (
            grown(14, 2e5),
            9 * GB,
            "At the growth of the last 14 days (200 kB a day), the budget is spent in more than ten years.",
        ),
        (
            grown(14, 1e7, free=10**8),
            2 * GB,
            "At the growth of the last 14 days (10.0 MB a day), the disk is full in about 10 days.",
        ),
        (grown(14, 1e8), 2 * GB, "The budget is exceeded by 400 MB."),
    ],
)
def test_the_forecast_is_a_sentence(rows: list[Row], budget: int, expected: str) -> None:
    assert figures.forecast(rows, budget) == expected


def test_a_gap_and_a_cleanup_change_a_forecast_little() -> None:
    """Least squares, not the first and the last value."""
    rows = grown(14, 1e7)
    cleaned = [*rows[:-1], row(rows[-1].at, noted={"storage/packages": GB, "disk/free": 10**15})]
    assert "about" in figures.forecast(cleaned[:10] + cleaned[30:], 2 * GB)
