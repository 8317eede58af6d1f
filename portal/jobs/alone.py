"""One run of a job at a time."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from time import monotonic

from portal.faults import Fault
from portal.jobs import table
from portal.recovery.errors import BackupError
from portal.store.layout import Layout
from portal.store.locks import lock
from portal.store.store import Store

WAIT_SECONDS = 10.0  # that a restore waits for jobs
AGAIN_SECONDS = 60.0  # after which a job that hangs in what follows is ended again
START_SECONDS = 1.0  # that a job waits for a portal that starts, and holds the locks for a moment


class OverrunError(Fault):
    """The job takes longer than it ever should. No BackupError: nobody who does without one file continues after it."""


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
        with ending(job):
            yield


@contextmanager
def ending(job: str) -> Iterator[None]:
    """End a job that hangs, such as on a drive that does not answer: raises OverrunError in the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seconds = table.BY_NAME[job].max_run

    def overrun(_number: int, _frame: object) -> None:
        raise OverrunError(f"{job} had not ended after {seconds / table.HOUR:g} h: check its drive, network and log.")

    before = signal.signal(signal.SIGALRM, overrun)
    outer = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *outer)
        signal.signal(signal.SIGALRM, before)


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
