"""How the work of a function grows with its input, measured in processor time of this thread.

A busy machine makes processor time longer, never shorter: the ratio is of the shortest of several runs, and work counts
as superlinear only when every attempt agrees.
"""

import gc
import time
from collections.abc import Callable

ATTEMPTS = 3
RUNS = 2
LINEAR = 8.0  # four times the input: 4 for linear work, 16 for quadratic; this is between them


def growth(make: Callable[[int], Callable[[], object]], n: int) -> float:
    """The smallest factor by which four times `n` costs more; `make(n)` prepares the input and returns the work."""
    small, large = make(n), make(4 * n)
    ratio = float("inf")
    for _ in range(ATTEMPTS):
        ratio = min(ratio, _seconds(large) / _seconds(small))
        if ratio < LINEAR:
            break
    return ratio


def _seconds(work: Callable[[], object]) -> float:
    gc.collect()
    gc.disable()
    try:
        return min(_once(work) for _ in range(RUNS))
    finally:
        gc.enable()


def _once(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return max(time.thread_time() - start, 1e-9)
