"""`mosis schedule`: when commands run, through pauses, failures and jumps of the clock, and as a real process."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from portal.jobs import scheduler
from portal.jobs.scheduler import Entry
from portal.store import job_runs
from portal.store.clock import now
from portal.store.store import Store
from tests.support.patience import PATIENCE
from tests.support.portal import MOSIS, environ

NIGHTLY = Entry("30 2 * * *", "backup database")
HOURLY = Entry("17 * * * *", "cleanup")
MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The local time of a place whose clocks change."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text: str, *, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin"), fold=fold).timestamp()


def runs(entry: Entry, since: float, clock: list[float], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the command runs if the scheduler looks at the clock at these times; a run takes none."""
    ran, times = [], iter(clock)
    seen = 0.0

    class Clock:
        @staticmethod
        def time() -> float:
            nonlocal seen
            seen = next(times, -1.0)
            if seen < 0:
                raise asyncio.CancelledError
            return seen

    async def run(_: Entry) -> None:
        ran.append(seen)

    async def sleep(_: float) -> None:
        pass

    monkeypatch.setattr(scheduler, "time", Clock)
    monkeypatch.setattr(scheduler, "_run", run)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(scheduler._keep(entry, since))
    return ran


@pytest.mark.usefixtures("berlin")
def test_a_command_runs_at_its_time_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    start = at("2026-05-01 02:28")
    clock = [start + n * MINUTE for n in range(6)]
    assert runs(NIGHTLY, start, clock, monkeypatch) == [at("2026-05-01 02:30")]


@pytest.mark.usefixtures("berlin")
def test_what_was_missed_is_made_up_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    start = at("2026-05-01 12:00")
    later = start + 10 * DAY
    assert runs(NIGHTLY, start, [start, later, later + MINUTE], monkeypatch) == [later]


@pytest.mark.usefixtures("berlin")
def test_a_clock_that_was_wrong_for_a_while_silences_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    start = at("2026-05-01 12:00")
    ten_years_on = start + 3653 * DAY
    clock = [start, ten_years_on, start + MINUTE, start + HOUR]
    assert runs(HOURLY, start, clock, monkeypatch) == [ten_years_on, start + HOUR]


@pytest.mark.usefixtures("berlin")
def test_the_nights_when_clocks_change_have_one_run_each(monkeypatch: pytest.MonkeyPatch) -> None:
    for start in (at("2026-03-29 00:00"), at("2026-10-25 00:00")):
        clock = [start + n * MINUTE for n in range(8 * 60)]
        assert len(runs(NIGHTLY, start, clock, monkeypatch)) == 1
        monkeypatch.undo()
        monkeypatch.setenv("TZ", "Europe/Berlin")


def test_it_runs_what_is_due_and_survives_what_fails(store: Store) -> None:
    with store.db.write() as tx:
        tx.execute(
            "INSERT INTO job_runs (job, success_at) VALUES ('cleanup', ?), ('backup-packages', 1)", (now() - HOUR,)
        )
    lines = ["* * * * * cleanup", "0 0 1 1 * backup packages"]
    process = subprocess.Popen([MOSIS, "schedule", *lines], env=environ(store), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        outcomes = {}
        while len(outcomes) < 2:
            line = process.stdout.readline()
            assert line, "the scheduler ended"
            if " after " in line:
                _, name, outcome = line.split(maxsplit=2)
                outcomes[name] = outcome.partition(" after ")[0]
        assert outcomes == {"cleanup": "succeeded", "backup-packages": "failed with exit status 1"}
        recorded = job_runs.every(store.db.read())
        assert (recorded["cleanup"].success_at or 0) >= now() - 300
        assert "No external drive is configured" in (recorded["backup-packages"].failure or "")
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        process.stdout.close()


def test_stopping_ends_the_command_that_runs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSIS_CONFIG", environ(store)["MOSIS_CONFIG"])

    async def stop_what_runs(before: set[str]) -> None:
        task = asyncio.create_task(scheduler._run(Entry("* * * * *", "status --wait 600")))
        command = await asyncio.to_thread(new_child, before)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ProcessLookupError):
            os.kill(command, 0)

    asyncio.run(stop_what_runs(children()))


def test_stopping_ends_a_command_that_hangs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would keep its lock for ever, and each later run would fail as one that is running already."""
    monkeypatch.setenv("MOSIS_CONFIG", environ(store)["MOSIS_CONFIG"])
    monkeypatch.setattr(scheduler, "GRACE_SECONDS", 0.1)

    async def stop_what_hangs(before: set[str]) -> None:
        task = asyncio.create_task(scheduler._run(Entry("* * * * *", "status --wait 600")))
        command = await asyncio.to_thread(new_child, before)
        os.kill(command, signal.SIGSTOP)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(task), PATIENCE)
        with pytest.raises(ProcessLookupError):
            os.kill(command, 0)

    asyncio.run(stop_what_hangs(children()))


def test_a_command_that_cannot_start_ends_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    asyncio.run(scheduler._run(HOURLY))
    assert "cleanup did not start: No such file or directory" in capsys.readouterr().out


def children() -> set[str]:
    return {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


def new_child(before: set[str]) -> int:
    """The process id of a child that was not there before, once there is one."""
    while not (found := children() - before):
        time.sleep(0.01)
    return int(found.pop())
