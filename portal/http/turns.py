"""Turns for what a worker does one at a time: nobody waits for more than one request of each other developer."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

from portal.http.places import Places

EACH_MAX = 8  # requests of a developer, under way or waiting
ALL_MAX = 32  # of all developers; a worker has 256 threads unless the operator chose fewer
SECONDS = 5  # until it is worth another try


class InOrder:
    """A first-come, first-served lock; `threading.Lock` may go to a thread that came last."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._held = False

    def locked(self) -> bool:
        return self._held

    def __enter__(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        mine.acquire()

    def __exit__(self, *_: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False


class Turns:
    """Only the first request of each developer waits for the lock; the others wait for that one."""

    def __init__(self) -> None:
        self.lock = InOrder()
        busy = "Other images are being converted: try again in a moment."
        self._places = Places(ALL_MAX, busy, SECONDS, each=EACH_MAX)
        self._guard = threading.Lock()
        self._of_developers = WeakValueDictionary[str, InOrder]()

    @contextmanager
    def of(self, developer_id: str) -> Iterator[None]:
        """Held while it is this developer's turn. Raises Unavailable rather than let many threads wait."""
        with self._places.place(developer_id):
            with self._guard:
                first = self._of_developers.setdefault(developer_id, InOrder())
            with first, self.lock:
                yield
