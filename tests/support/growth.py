"""How the work of a function grows with its input, measured in processor time of this thread.

The sizes are far apart, so that no noise makes linear work (exponent 1) look quadratic (exponent 2): from 64 KiB to
10 MiB the one takes 160 times as long, the other 25,600 times. A busy machine makes processor time longer, never
shorter; work counts as superlinear only when every attempt agrees.
"""

import gc
import time
from collections.abc import Callable, Sequence
from math import log

KIB, MIB = 1024, 1024 * 1024
SIZES = (64 * KIB, MIB, 10 * MIB)
ATTEMPTS = 3
SUPERLINEAR = 1.5  # of the exponent; sorting has less than 1.1 at these sizes
HOPELESS = 1.8
NOTHING = 1e-4  # seconds: what takes less than this is measured as this


def exponent(make: Callable[[int], Callable[[], object]], sizes: Sequence[int] = SIZES) -> float:
    """The smallest exponent of several attempts; `make(size)` prepares an input of so many bytes and returns the work.

    It is at least 0: what costs the same for any size, such as a refusal, has that.
    """
    found = float("inf")
    for _ in range(ATTEMPTS):
        found = min(found, _exponent(make, sizes))
        if found < SUPERLINEAR:
            break
    return found


def _exponent(make: Callable[[int], Callable[[], object]], sizes: Sequence[int]) -> float:
    took = list[float]()
    for size in sizes:
        took.append(_seconds(make(size)))
        found = log(max(took) / took[0]) / log(size / sizes[0]) if size != sizes[0] else 0
        if found >= HOPELESS:  # the next size would take hours
            break
    return found


def processor_time(work: Callable[[], object]) -> float:
    """Seconds of one run, in this thread."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def _seconds(work: Callable[[], object]) -> float:
    gc.collect()
    gc.disable()
    try:
        return max(processor_time(work), NOTHING)
    finally:
        gc.enable()
