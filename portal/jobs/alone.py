"""One run of a job at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TextIO

from portal.jobs import table
from portal.recovery.errors import BackupError
from portal.store.layout import Layout
from portal.store.store import Store


class RunningError(BackupError):
    """The job is running already."""


@contextmanager
def alone(store: Store, job: str) -> Iterator[None]:
    """Raises RunningError while the job runs elsewhere."""
    with (store.layout.area("data") / f"{job}.lock").open("w") as file:
        if not _locked(file):
            raise RunningError(f"{job} is running already, or a restore is.")
        yield


@contextmanager
def none_running(layout: Layout) -> Iterator[None]:
    """Keep every job from running: it would change files by the database that it has open. Raises RunningError."""
    with ExitStack() as locks:
        for job in table.JOBS:
            file = locks.enter_context((layout.area("data") / f"{job.name}.lock").open("a"))
            if not _locked(file):
                raise RunningError(f"{job.name} is running: wait until it has ended, or end it.")
        yield


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
