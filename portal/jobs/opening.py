"""Opening the store for a job: where that fails, the job has failed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from portal.faults import Fault, sentence
from portal.settings import Settings
from portal.store import ballast, failure_marks
from portal.store.layout import Layout
from portal.store.store import Store, open_store


@contextmanager
def opened_on_full_disk(job: str, settings: Settings) -> Iterator[Store]:
    """As `open_for`, for a job that is needed most when the disk is full: it gets the room of the ballast."""
    with ballast.released(Layout(settings.root)):
        store = open_for(job, settings)
        with closing(store.db):
            yield store


def open_for(job: str, settings: Settings) -> Store:
    """Open an existing store. An error is marked as a failure of `job`, beside the database, and propagates."""
    try:
        return open_store(settings)
    except (Fault, OSError, sqlite3.Error) as error:
        failure_marks.write(Layout(settings.root).area("data"), job, sentence(error))
        raise
