"""Opening the store for a job: where that fails, the job has failed."""

import sqlite3

from portal.faults import Fault, sentence
from portal.settings import Settings
from portal.store import failure_marks
from portal.store.layout import Layout
from portal.store.store import Store, open_store


def open_for(job: str, settings: Settings) -> Store:
    """Open an existing store. An error is marked as a failure of `job`, beside the database, and propagates."""
    try:
        return open_store(settings)
    except (Fault, OSError, sqlite3.Error) as error:
        failure_marks.write(Layout(settings.root).area("data"), job, sentence(error))
        raise
