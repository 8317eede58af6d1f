"""A worker process: the application, and what a process that answers requests needs of its kernel and libc."""

import ctypes
import signal
from typing import TYPE_CHECKING

from portal import settings
from portal.server import recording, stalled, stopping

if TYPE_CHECKING:
    from portal.http.draining import Wsgi

# Set, because glibc would learn to keep large blocks with the thread that freed them: 345 MB, not 115, after 64 icons.
# Above the pieces of a body, which would be mapped, zeroed and unmapped each: 25,000 page faults in an upload, not 200.
M_MMAP_THRESHOLD, MMAP_THRESHOLD = -3, 1024 * 1024  # mallopt(3), bytes
PR_SET_PDEATHSIG = 1  # prctl(2)


def worker() -> "Wsgi":
    """The application, as granian calls for it once per worker process."""
    stopping.stop_worker()
    # A worker that outlives a killed server would keep the port, and its restart would fail.
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
    from portal.app import create_app  # here: it imports the metrics, which read the environment then

    chosen = settings.load()
    stalled.start(chosen.port, chosen.stall_seconds)
    recording.start(chosen)
    return create_app(chosen)
