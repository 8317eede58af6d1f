"""A thread waits for SIGTERM and SIGINT, in the server and in each worker; no handler runs for them.

The kernel may deliver a signal to any thread, but Python runs handlers in the main thread alone and does not wake it:
a worker that was creating threads slept on until it was killed. And a handler interrupts. Inside Event.set it waits for
a lock that its own thread holds; granian's never returns when it runs twice before the worker serves, or three times.
With the signals blocked in every thread, neither can happen, and the kernel keeps what arrives before the thread waits.
"""

import os
import signal
import threading
import time
from collections.abc import Callable

STOP = (signal.SIGTERM, signal.SIGINT)
AGAIN_SECONDS = 0.1


def stop_server(stop: Callable[[], object], within: float) -> None:
    """From now on a signal calls `stop`, repeatedly until the process ends; the kernel ends it after `within` seconds.

    Call it before there are other threads or children: they inherit the blocked signals.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    _start(lambda: _insist(stop, within))


def _insist(stop: Callable[[], object], within: float) -> None:
    signal.sigwait(STOP)
    signal.setitimer(signal.ITIMER_REAL, within)  # SIGALRM needs no thread of ours, and no lock
    while True:  # granian forgets a stop that arrives as it begins to replace a worker
        stop()
        time.sleep(AGAIN_SECONDS)


def stop_worker() -> None:
    """From now on a signal ends this worker: at once until granian has set its handler, then by calling that."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the server's, with which it was forked
    _start(_end)


def _end() -> None:
    """End the worker at the first signal; later ones stay blocked, for granian's handler bears only one."""
    signal.sigwait(STOP)
    handler = signal.getsignal(signal.SIGTERM)
    if callable(handler):
        handler(signal.SIGTERM, None)
    else:
        os._exit(0)


def _start(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="stopping", daemon=True).start()
