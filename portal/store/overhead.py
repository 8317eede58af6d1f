"""Bytes that the store uses beside packages, images and uploads: database, catalogue, copies on its own disk."""

import threading
import time

from portal.store import files
from portal.store.layout import Layout

AREAS = ("data", "catalogue", "backups")
SECONDS = 60.0  # between two walks: what grows here grows slowly


class Overhead:
    """What the last walk of a process found; requests between two walks cost nothing."""

    def __init__(self) -> None:
        self.bytes = 0
        self._due_at = 0.0
        self._lock = threading.Lock()

    def measure(self, layout: Layout) -> None:
        """Walk if that is due and no other thread does; not within a transaction, for it takes its time."""
        if time.monotonic() < self._due_at or not self._lock.acquire(blocking=False):
            return
        try:
            self.bytes = files.disk_usage([layout.area(area) for area in AREAS]).bytes
            self._due_at = time.monotonic() + SECONDS
        finally:
            self._lock.release()
