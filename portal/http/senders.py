"""Threads that wait for bodies: a developer whose uploads are slow leaves others theirs."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from portal.store.errors import Unavailable

PERCENT = 75  # of a worker's threads may wait for bodies: the kernel may give one worker all of them
TURN_SECONDS = 2  # until it is worth another try


class Senders:
    """The places of one worker. A developer may hold as many as are still free, so some are always left for another."""

    def __init__(self, threads: int) -> None:
        self._free = max(1, threads * PERCENT // 100)
        self._held = Counter[str]()
        self._lock = threading.Lock()

    @contextmanager
    def place(self, developer_id: str) -> Iterator[None]:
        """Held while a body of the developer is read. Raises Unavailable."""
        self._take(developer_id)
        try:
            yield
        finally:
            self._give_back(developer_id)

    def _take(self, developer_id: str) -> None:
        with self._lock:
            if self._held[developer_id] >= self._free:
                raise Unavailable("Too many uploads are under way: try again in a moment.", TURN_SECONDS)
            self._held[developer_id] += 1
            self._free -= 1

    def _give_back(self, developer_id: str) -> None:
        with self._lock:
            self._free += 1
            self._held[developer_id] -= 1
            self._held += Counter()  # forgets who holds none
