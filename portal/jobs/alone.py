"""One run of a job at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from portal.recovery.errors import BackupError
from portal.store.store import Store


class RunningError(BackupError):
    """The job is running already."""


@contextmanager
def alone(store: Store, job: str) -> Iterator[None]:
    """Raises RunningError while the job runs elsewhere."""
    with (store.layout.area("data") / f"{job}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunningError(f"{job} is running already.") from None
        yield
