"""Turns for what a worker does one at a time: nobody waits for more than one request of each other developer."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from portal.store.errors import Unavailable

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


@dataclass
class _Line:
    turn: InOrder = field(default_factory=InOrder)
    length: int = 0


class Turns:
    """Only the first request of each developer waits for the lock; the others wait for that one.

    A developer may have as many as are still free, so some are always left for another.
    """

    def __init__(self) -> None:
        self.lock = InOrder()
        self._guard = threading.Lock()
        self._lines: dict[str, _Line] = {}

    @contextmanager
    def of(self, developer_id: str) -> Iterator[None]:
        """Held while it is this developer's turn. Raises Unavailable rather than let many threads wait."""
        line = self._join(developer_id)
        try:
            with line.turn, self.lock:
                yield
        finally:
            self._leave(developer_id)

    def _join(self, developer_id: str) -> _Line:
        with self._guard:
            line = self._lines.get(developer_id) or _Line()
            free = ALL_MAX - sum(each.length for each in self._lines.values())
            if line.length >= min(EACH_MAX, free):
                raise Unavailable("Other images are being converted: try again in a moment.", SECONDS)
            line.length += 1
            self._lines[developer_id] = line
            return line

    def _leave(self, developer_id: str) -> None:
        with self._guard:
            line = self._lines[developer_id]
            line.length -= 1
            if not line.length:
                del self._lines[developer_id]
