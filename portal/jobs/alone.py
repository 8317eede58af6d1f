"""One run of a job at a time."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from time import monotonic

from portal.jobs import table
from portal.recovery.errors import BackupError
from portal.store.layout import Layout
from portal.store.locks import lock
from portal.store.store import Store

WAIT_SECONDS = 10.0  # that a restore waits for jobs
START_SECONDS = 1.0  # that a job waits for a portal that starts, and holds the locks for a moment


class RunningError(BackupError):
    """The job is running already."""


@contextmanager
def alone(store: Store, job: str) -> Iterator[None]:
    """Raises RunningError while the job runs elsewhere."""
    with (store.layout.area("data") / f"{job}.lock").open("a+") as file:
        if not lock(file, wait=START_SECONDS):
            raise RunningError(f"{job} is running already, or a restore is.")
        with suppress(OSError):  # a full disk
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        yield


@contextmanager
def none_running(layout: Layout, *, wait: float | None = None) -> Iterator[None]:
    """Keep every job from running: it would change files by the database that it has open.

    Waits for those that do, for `wait` seconds in all (default: WAIT_SECONDS); then raises RunningError.
    """
    deadline = monotonic() + (WAIT_SECONDS if wait is None else wait)
    with ExitStack() as locks:
        for job in table.JOBS:
            file = locks.enter_context((layout.area("data") / f"{job.name}.lock").open("a+"))
            if not lock(file, wait=deadline - monotonic()):
                file.seek(0)
                raise RunningError(_running(job.name, file.read()))
        yield


def _running(job: str, pid: str) -> str:
    process, end = (f" (process {pid})", f"`kill {pid}`") if pid else ("", "its process")
    return (
        f"{job} is running{process}: wait until it has ended, or end it with {end}. If it does not end, it waits for a"
        " drive that does not answer: detach that drive, or restart the host."
    )
