"""A worker that is being forked reacts to SIGTERM, whenever it arrives.

It starts with the server's handler, which does nothing in it, and CPython forgets in the child what arrived before its
own hooks run. So the signal is blocked over the fork: the kernel keeps it until it can end the worker.
"""

import os
import signal

BLOCKED = (signal.SIGTERM,)


def keep_signals() -> None:
    """From now on children of this process can be stopped by SIGTERM from their first instruction on."""
    os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_default)


def _block() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)


def _default() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _unblock()
