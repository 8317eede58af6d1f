"""Writes the records of what changed, seconds later and in a thread, so that no upload waits for them."""

import sqlite3
import threading
import time
from contextlib import closing, suppress

from portal.recovery import records
from portal.settings import Settings
from portal.store.store import open_store

SECONDS, SECONDS_MAX = 5, 600  # between two calls; doubled after each that failed


def start(settings: Settings) -> None:
    """Write them every few seconds, in a thread, as long as the process lives."""

    def run() -> None:
        store = open_store(settings)
        with closing(store.db):
            delay = SECONDS
            while True:
                time.sleep(delay)
                delay = min(2 * delay, SECONDS_MAX)
                with suppress(OSError, sqlite3.Error):  # a full disk, or a busy one: the next time; cleanup reports it
                    records.catch_up(store)
                    delay = SECONDS

    threading.Thread(target=run, name="recording", daemon=True).start()
