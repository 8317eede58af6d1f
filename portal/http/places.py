"""Places that developers share: each may hold as many as are still free, so some are always left for another."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from portal.store.errors import Unavailable


class Places:
    """A `number` of places, at most `each` for one developer; one who gets none may try again in `seconds`."""

    def __init__(self, number: int, busy: str, seconds: int, each: int | None = None) -> None:
        self._free, self._each = number, number if each is None else each
        self._busy, self._seconds = busy, seconds
        self._held = Counter[str]()
        self._lock = threading.Lock()

    @contextmanager
    def place(self, developer_id: str) -> Iterator[None]:
        """Held inside the block. Raises Unavailable."""
        self._take(developer_id)
        try:
            yield
        finally:
            self._give_back(developer_id)

    def _take(self, developer_id: str) -> None:
        with self._lock:
            if self._held[developer_id] >= min(self._each, self._free):
                raise Unavailable(self._busy, self._seconds)
            self._held[developer_id] += 1
            self._free -= 1

    def _give_back(self, developer_id: str) -> None:
        with self._lock:
            self._free += 1
            self._held[developer_id] -= 1
            self._held += Counter()  # forgets who holds none
