"""Which clock may decide what is too old to keep."""

import pytest

from portal.store import audit, clock, clock_trust
from portal.store.clock_trust import DAY, HOUR, Sight, Verdict, Witness, judge
from portal.store.store import Store
from tests.support.clock import move
from tests.support.portal import add_developer

START = Sight("boot-1", 1000, 1_800_000_000)
YEAR = 365 * DAY
JUMPS = (HOUR, DAY, 10 * YEAR, -HOUR, -DAY, -10 * YEAR)


def later(sight: Sight, seconds: float, jump: float = 0, boot: str | None = None) -> Sight:
    """What is seen after so many seconds, on a clock that was moved by `jump`; `boot`: since a boot in between."""
    uptime = sight.uptime + seconds if boot is None else 30
    return Sight(boot or sight.boot, uptime, int(sight.time + seconds + jump))


def seen(*sights: Sight, synchronized: bool = False) -> Verdict:
    """The verdict on the last of them."""
    verdict = Verdict(Witness())
    for sight in sights:
        verdict = judge(verdict.witness, sight, synchronized=synchronized)
    return verdict


def test_a_clock_that_keeps_its_pace_is_trusted_however_rarely_it_is_looked_at() -> None:
    for seconds in (1, HOUR, 40 * DAY, 2 * YEAR):
        assert seen(START, later(START, seconds)).doubt == ""


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_was_moved_is_not_trusted_until_it_is_moved_back(jump: int) -> None:
    wrong = [later(START, HOUR * n, jump) for n in (1, 2, 3)]
    for number in (1, 2, 3):
        verdict = seen(START, *wrong[:number])
        assert ("ahead of" if jump > 0 else "behind") in verdict.doubt and not verdict.lasting
    assert seen(START, *wrong, later(START, 4 * HOUR)).doubt == ""


@pytest.mark.parametrize("jump", JUMPS)
def test_the_kernel_vouches_for_a_clock_that_is_synchronized(jump: int) -> None:
    assert seen(START, later(START, HOUR, jump), synchronized=True).doubt == ""


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_kept_its_pace_for_a_day_is_trusted_unless_it_is_days_ahead(jump: int) -> None:
    moved = later(START, HOUR, jump)
    before, after = (seen(START, moved, later(moved, seconds)) for seconds in (DAY - 60, DAY))
    assert before.doubt and not before.lasting
    assert bool(after.doubt) == after.lasting == (jump > clock_trust.AHEAD_SECONDS_MAX)


@pytest.mark.parametrize("off", [HOUR, 40 * DAY])
def test_a_clock_that_is_right_again_tells_which_times_were_behind(off: int) -> None:
    right = later(START, 0, off, boot="boot-2")
    assert seen(START, later(START, HOUR)).leap is None
    leap = seen(START, right, synchronized=True).leap
    assert leap == clock_trust.Leap(START.time, START.time + off - 30, off - 30)
    assert seen(START, later(START, HOUR, -DAY), synchronized=True).leap is None


def test_a_clock_that_jumps_again_begins_its_day_anew() -> None:
    first = later(START, HOUR, DAY)
    second = later(first, DAY - 60, HOUR)
    assert seen(START, first, second, later(second, DAY - 60)).doubt
    assert seen(START, first, second, later(second, DAY)).doubt == ""


@pytest.mark.parametrize(
    ("off", "trusted"), [(0, True), (5 * HOUR, True), (DAY, False), (10 * YEAR, False), (-DAY, False)]
)
def test_across_a_boot_the_clock_may_advance_by_some_hours(off: int, trusted: bool) -> None:
    assert (seen(START, later(START, 0, off, boot="boot-2")).doubt == "") == trusted


def test_a_day_of_doubt_does_not_reach_across_a_boot() -> None:
    moved = later(START, HOUR, DAY)
    booted = later(moved, 2 * DAY, boot="boot-2")
    assert not seen(START, moved, booted).lasting


def test_a_new_store_has_nothing_that_contradicts_the_clock(store: Store) -> None:
    assert clock_trust.look(store.db.directory, store.db.read()).doubt == ""


@pytest.mark.parametrize("jump", JUMPS)
def test_before_the_first_run_the_last_change_is_the_witness(
    store: Store, jump: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_developer(store, "acme")
    assert clock_trust.look(store.db.directory, store.db.read()).doubt == ""
    move(monkeypatch, jump)
    doubt = clock_trust.look(store.db.directory, store.db.read()).doubt
    assert bool(doubt) == (jump != HOUR)  # the store may have stood still for an hour
    assert clock_trust.look(store.db.directory, store.db.read(), confirmed=True).doubt == ""


@pytest.mark.parametrize("text", ["", "{", "[]", '{"trusted": {}}', '{"trusted": {"boot": 1}, "doubted": null}'])
def test_a_witness_that_cannot_be_read_is_none(store: Store, text: str) -> None:
    (store.db.directory / "clock.json").write_text(text)
    assert clock_trust.look(store.db.directory, store.db.read()).doubt == ""


def test_what_was_seen_is_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, db = store.db.directory, store.db.read()
    clock_trust.remember(directory, clock_trust.look(directory, db).witness)
    assert clock_trust.is_trusted(directory)
    move(monkeypatch, 10 * YEAR)
    assert not clock_trust.is_trusted(directory)
    clock_trust.remember(directory, clock_trust.look(directory, db).witness)
    assert not clock_trust.is_trusted(directory)
    move(monkeypatch, 0)
    assert clock_trust.is_trusted(directory)
    assert clock_trust.look(directory, db).doubt == ""


def test_a_process_with_a_clock_of_its_own_is_not_synchronized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "UNSYNCHRONIZED", 0)  # as where NTP runs
    assert clock.synchronized()
    move(monkeypatch, HOUR)
    assert not clock.synchronized()


def last_row(store: Store) -> audit.Entry:
    return [*audit.entries(store.db.read())][-1]


@pytest.mark.parametrize("jump", [-HOUR, -10 * YEAR])
def test_no_row_is_older_than_the_one_before_it(store: Store, jump: int, monkeypatch: pytest.MonkeyPatch) -> None:
    add_developer(store, "acme")
    before = last_row(store).at
    move(monkeypatch, jump)
    add_developer(store, "beta", key=None)
    assert last_row(store).at == before


def test_a_log_from_the_future_does_not_move_a_clock_that_is_trusted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = store.db.directory
    clock_trust.remember(directory, clock_trust.look(directory, store.db.read()).witness)
    move(monkeypatch, 10 * YEAR)
    add_developer(store, "acme")
    move(monkeypatch, 0)
    add_developer(store, "beta", key=None)
    assert abs(last_row(store).at - clock.now()) < HOUR
    assert audit.first_fault(store.db.read()) is None


def test_a_sandbox_that_hides_the_boot_hides_no_clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """ProcSubset=pid of systemd, which the portal has: each write there, and /metrics, was answered 507."""
    directory, db = store.db.directory, store.db.read()
    monkeypatch.setattr(clock, "synchronized", lambda: False)
    clock_trust.remember(directory, clock_trust.look(directory, db).witness)
    for hidden in ("BOOT_ID", "UPTIME"):
        monkeypatch.setattr(clock_trust, hidden, directory / "hidden")
    assert clock_trust.is_trusted(directory)
    assert clock_trust.look(directory, db).doubt == ""
    add_developer(store, "written")
    move(monkeypatch, YEAR)
    assert not clock_trust.is_trusted(directory)
    assert clock_trust.look(directory, db).doubt
