"""How long a push continues to try while nothing succeeds."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from portal.developer.client import Busy
from portal.faults import Fault

FIRST, LONGEST = 0.1, 10.0  # seconds between two tries


@dataclass
class Patience:
    """Waits between tries, longer each time, for at most `seconds` in all since something last succeeded.

    `report` is called with a sentence before a wait of more than a second.
    """

    seconds: float = 600
    report: Callable[[str], None] = lambda text: None
    sleep: Callable[[float], None] = time.sleep
    _waited: float = field(default=0, init=False)
    _next: float = field(default=FIRST, init=False)

    def succeeded(self) -> None:
        self._waited, self._next = 0, FIRST

    def wait(self, fault: Fault) -> None:
        """Wait before the next try. Raises `fault` when there is no time left for one."""
        pause = max(self._next, (fault.retry_after or 0) if isinstance(fault, Busy) else 0)
        self._next = min(self._next * 2, LONGEST)
        self._waited += pause
        if self._waited > self.seconds:
            raise fault
        if pause > 1:
            self.report(f"{fault} Next try in {pause:.0f} s.")
        self.sleep(pause)
