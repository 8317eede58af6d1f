"""The history stays small, and survives restarts, several workers and clocks that are wrong for a while."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from portal.store import history
from portal.store.history import PERIOD, RINGS, History, Measured, Row
from portal.store.store import Store
from tests.support import histories
from tests.support.histories import DAY, busy, write

NOW = 1_700_000_400  # the end of a step of ten minutes
DAYS, WEEK, QUARTER = RINGS


@pytest.fixture
def kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    at(monkeypatch, NOW)
    with closing(History.open(store.layout)) as opened:
        yield opened


def at(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    monkeypatch.setattr(history, "now", lambda: seconds)


def measured(requests: int, used: int = 1) -> Measured:
    return Measured({"requests": {"2xx": requests}}, {"storage": {"packages": used}})


def sample(kept: History, monkeypatch: pytest.MonkeyPatch, when: int, requests: int, server: str = "first") -> bool:
    at(monkeypatch, when)
    return kept.sample(server, lambda: measured(requests, when))


def requests(rows: list[Row]) -> list[int]:
    return [row.labelled("requests").get("2xx", 0) for row in rows]


def test_a_history_without_samples_is_empty(store: Store) -> None:
    with closing(History.read(store.layout)) as found:
        assert [found.rows(ring) for ring in RINGS] == [[], [], []]
        assert found.sampled_at() is None
    assert not store.layout.history.exists()


def test_the_first_sample_notes_how_things_are_and_counts_nothing(
    kept: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counters of a server have no beginning when the history was lost."""
    sample(kept, monkeypatch, NOW, 5000)
    for ring in RINGS:
        (row,) = kept.rows(ring)
        assert (row.seconds, requests([row]), row.noted) == (0, [0], {"storage": {"packages": NOW}})
    assert kept.sampled_at() == NOW


def test_every_sample_adds_what_was_counted_since_the_last_one_to_each_ring(
    kept: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, counter in enumerate((5000, 5100, 5150, 5150)):
        sample(kept, monkeypatch, NOW + number * PERIOD, counter)
    assert [(row.at - NOW, row.seconds) for row in kept.rows(DAYS)] == [(0, 600), (600, 300)]
    assert requests(kept.rows(DAYS)) == [150, 0]
    for ring in (WEEK, QUARTER):
        (row,) = kept.rows(ring)
        assert (row.seconds, requests([row]), row.noted) == (900, [150], {"storage": {"packages": NOW + 900}})


def test_of_the_workers_of_a_server_one_takes_a_sample(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, NOW)
    barrier, taken = threading.Barrier(4), list[bool]()

    def work() -> None:
        with closing(History.open(store.layout)) as own:
            barrier.wait()
            taken.append(own.sample("first", lambda: measured(1)))

    with closing(History.open(store.layout)):  # which makes the file
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(taken) == [False, False, False, True]


def test_a_server_that_starts_anew_counts_from_its_first_sample_on(
    kept: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them run together during an upgrade: their requests add up, their time does not."""
    sample(kept, monkeypatch, NOW, 5000, "old")
    sample(kept, monkeypatch, NOW + 100, 0, "new")
    sample(kept, monkeypatch, NOW + 300, 5030, "old")
    sample(kept, monkeypatch, NOW + 300, 10, "new")
    sample(kept, monkeypatch, NOW + 600, 25, "new")
    assert [(row.seconds, row.counted["requests"]["2xx"]) for row in kept.rows(DAYS)] == [(500, 55)]


def test_time_without_a_server_is_a_gap(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    for when, counter in ((0, 0), (300, 10), (9000, 20), (9300, 40)):
        sample(kept, monkeypatch, NOW + when, counter)
    assert [(row.at - NOW, row.seconds) for row in kept.rows(DAYS)] == [(0, 300), (8400, 300), (9000, 300)]


@pytest.mark.parametrize(
    "wrong", [-50 * 365 * DAY, -3600, 3600, 5 * 365 * DAY], ids=["1973", "-1 h", "+1 h", "+5 years"]
)
def test_a_clock_that_is_wrong_for_an_hour_costs_at_most_the_rows_of_that_hour(
    kept: History, store: Store, monkeypatch: pytest.MonkeyPatch, wrong: int
) -> None:
    write(store.layout, busy(range(NOW - 90 * DAY, NOW, QUARTER.step)))
    before = len(kept.rows(QUARTER))
    for number in range(12):
        sample(kept, monkeypatch, NOW + wrong + number * PERIOD, 1000 + number)
    at(monkeypatch, NOW + 3600)
    sample(kept, monkeypatch, NOW + 3600, 2000)
    assert len(kept.rows(QUARTER)) >= before - 2
    assert all(row.at <= NOW + 3600 for row in kept.rows(QUARTER))
    assert sum(requests(kept.rows(QUARTER)[-2:])) > 0


def test_the_rings_keep_their_size(store: Store) -> None:
    histories.full(store.layout)
    counts = dict(sqlite3.connect(store.layout.history).execute("SELECT step, count(*) FROM samples GROUP BY step"))
    assert counts == {ring.step: ring.size for ring in RINGS}
    assert sum(ring.size for ring in RINGS) == 675
    assert store.layout.history.stat().st_size < 1_000_000


@pytest.mark.parametrize("content", [b"", b"not a database" * 1000])
def test_a_damaged_history_is_begun_anew(store: Store, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    store.layout.history.write_bytes(content)
    with closing(History.read(store.layout)) as found:
        assert found.rows(DAYS) == []
    with closing(History.open(store.layout)) as kept:
        assert sample(kept, monkeypatch, NOW, 1)
        assert len(kept.rows(DAYS)) == 1


def test_a_measurement_that_fails_adds_nothing(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Measured:
        raise OSError("input/output error")

    with pytest.raises(OSError, match="input/output"):
        kept.sample("first", fail)
    assert kept.rows(DAYS) == []
    assert sample(kept, monkeypatch, NOW, 1)
