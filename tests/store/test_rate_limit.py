"""The rate limit counts right, alone and over many processes."""

import multiprocessing
from pathlib import Path

import pytest

from portal.store import rate_limit
from portal.store.errors import RateLimited
from portal.store.rate_limit import RateLimit
from tests.support.small_disk import SmallDisk


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its one element is the time."""
    at = [1_000_000.0]
    monkeypatch.setattr(rate_limit.time, "time_ns", lambda: int(at[0] * 10**9))
    return at


def taken(limit: RateLimit, key: str, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            limit.take(key)
        except RateLimited:
            continue
        count += 1
    return count


def test_a_file_that_was_emptied_counts_anew(tmp_path: Path, clock: list[float]) -> None:
    limit = RateLimit(tmp_path / "limit", "tries", 10, 60)
    taken(limit, "a", 10)
    (tmp_path / "limit").write_bytes(b"")
    assert taken(limit, "a", 30) == 10


def test_a_burst_then_an_even_refill(tmp_path: Path, clock: list[float]) -> None:
    limit = RateLimit(tmp_path / "limit", "tries", 10, 60)
    assert taken(limit, "a", 30) == 10
    with pytest.raises(RateLimited, match=r"^Too many tries; try again in 6 s\.$") as refused:
        limit.take("a")
    assert refused.value.retry_after == 6
    clock[0] += 6
    assert taken(limit, "a", 30) == 1
    clock[0] += 60
    assert taken(limit, "a", 30) == 10


def test_whoever_waits_as_told_is_let_in(tmp_path: Path, clock: list[float]) -> None:
    limit = RateLimit(tmp_path / "limit", "tries", 7, 60)
    for _ in range(50):
        try:
            limit.take("a")
        except RateLimited as refused:
            clock[0] += refused.retry_after
            limit.take("a")


def test_keys_do_not_share(tmp_path: Path, clock: list[float]) -> None:
    limit = RateLimit(tmp_path / "limit", "tries", 2, 60)
    assert [taken(limit, key, 5) for key in ("a", "b", "203.0.113.7", "2001:db8::/64")] == [2, 2, 2, 2]


def test_a_clock_that_was_set_back_locks_nobody_out(tmp_path: Path, clock: list[float]) -> None:
    limit = RateLimit(tmp_path / "limit", "tries", 3, 60)
    assert taken(limit, "a", 5) == 3
    clock[0] -= 86400
    assert taken(limit, "a", 5) == 3


def test_the_count_outlives_its_process(tmp_path: Path, clock: list[float]) -> None:
    assert taken(RateLimit(tmp_path / "limit", "tries", 3, 60), "a", 5) == 3
    assert taken(RateLimit(tmp_path / "limit", "tries", 3, 60), "a", 5) == 0


def _worker(path: Path, start: "multiprocessing.synchronize.Event", results: "multiprocessing.Queue[int]") -> None:
    limit = RateLimit(path, "tries", 100, 10**9)
    start.wait()
    results.put(taken(limit, "a", 200))


def test_processes_together_take_no_more(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, results = context.Event(), context.Queue()
    workers = [context.Process(target=_worker, args=(tmp_path / "limit", start, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    start.set()
    assert sum(results.get(timeout=60) for _ in workers) == 100
    for worker in workers:
        worker.join(60)


def test_the_file_has_a_fixed_size(tmp_path: Path) -> None:
    limit = RateLimit(tmp_path / "limit", "tries", 3, 60)
    for number in range(500):
        limit.take(f"2001:db8:{number:x}::/64")
    assert (tmp_path / "limit").stat().st_size == rate_limit.SLOTS * rate_limit.SLOT.size


def test_a_full_disk_refuses_nobody(small_disk: SmallDisk) -> None:
    """An operator signs in to see what is wrong."""
    small_disk.fill()
    limit = RateLimit(small_disk.seen / "sign-ins.limit", "sign-ins", count=1, seconds=60)
    for _ in range(2):
        limit.take("operator")
    limit.close()
