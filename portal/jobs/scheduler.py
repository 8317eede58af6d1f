"""The schedules of a host without cron: runs `mosis` commands at crontab(5) times until it is stopped.

A command runs once at a time. Times that passed while the machine slept, the scheduler was stopped or the command was
still running are made up for once. A command that fails runs again at its next time.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cronsim import CronSim

from portal.jobs import table
from portal.settings import Settings
from portal.store import job_runs
from portal.store.clock import rfc3339
from portal.store.errors import DatabaseUnusable
from portal.store.store import open_store

RETRY_SECONDS = 1  # while the portal creates or migrates the database
GRACE_SECONDS = 20  # that a command has to end; supervisor kills the scheduler 30 s after it asked it to
NAMES = {job.command: job.name for job in table.JOBS}


@dataclass(frozen=True)
class Entry:
    """`mosis COMMAND` at a crontab(5) time, in local time."""

    time: str
    command: str

    @classmethod
    def parse(cls, line: str) -> "Entry":
        """A line as in a crontab: five fields, then the command."""
        *fields, command = line.split(maxsplit=5)
        return cls(" ".join(fields), command)

    @property
    def name(self) -> str:
        """The name of the job, or the command where it is no job of the table."""
        return NAMES.get(self.command, self.command)

    def due(self, since: float, now: float) -> bool:
        """Whether its time came after `since` and up to `now`, both in seconds since 1970."""
        # Without a zone, as cron counts: 02:30 comes once in the night that skips it and in the one that repeats it.
        local = [datetime.fromtimestamp(at) for at in (since, now)]  # noqa: DTZ006, cron means local time
        return next(CronSim(self.time, local[0])) <= local[1]


def serve(settings: Settings, lines: Iterable[str]) -> None:
    """Run the commands at their times until SIGTERM, which ends a command that is running too.

    One that outlived the scheduler would keep its lock.
    """
    asyncio.run(_serve(settings, [Entry.parse(line) for line in lines]))


async def _serve(settings: Settings, entries: list[Entry]) -> None:
    async with asyncio.TaskGroup() as group:
        last = await _last_runs(settings)
        tasks = [group.create_task(_keep(entry, last.get(entry.name, time.time()))) for entry in entries]
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: [task.cancel() for task in tasks])


async def _last_runs(settings: Settings) -> Mapping[str, float]:
    """When each job of the table last ran, successfully or not; since when it is expected where it never did."""
    while True:
        try:
            store = open_store(settings)
        except DatabaseUnusable:
            await asyncio.sleep(RETRY_SECONDS)
            continue
        since = job_runs.expected_since(store.db.read(), table.BY_NAME)
        runs = job_runs.every(store.db.read())
        store.db.close()
        return since | {name: max(run.success_at or 0, run.failure_at or 0) for name, run in runs.items()}


async def _keep(entry: Entry, since: float) -> None:
    while True:
        now = time.time()
        since = min(since, now)  # the clock may have been set back
        if entry.due(since, now):
            since = now
            await _run(entry)
        else:
            await asyncio.sleep(60 - now % 60)


async def _run(entry: Entry) -> None:
    began, command = time.monotonic(), [str(Path(sys.executable).with_name("mosis")), *entry.command.split()]
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
        )
    except OSError as error:  # no memory, or a release that is just being replaced
        return _report(entry, f"did not start: {error.strerror}")
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        await _end(process)
        raise
    outcome = "succeeded" if code == 0 else f"failed with exit status {code}"
    return _report(entry, f"{outcome} after {time.monotonic() - began:.1f} s")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask the command and what it started to end, and kill them if they do not."""
    for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), seconds)
            return


def _report(entry: Entry, outcome: str) -> None:
    print(f"{rfc3339(int(time.time()))} {entry.name} {outcome}", flush=True)
