"""A worker process: the application, and what a process that answers requests needs of its kernel and libc."""

import ctypes
from typing import TYPE_CHECKING

from portal import settings
from portal.server import recording, stalled, stopping

if TYPE_CHECKING:
    from portal.http.draining import Wsgi

# Set, because glibc would learn to keep large blocks with the thread that freed them.
# Above the pieces of a body, which would be mapped, zeroed and unmapped each: 25,000 page faults in an upload, not 200.
M_MMAP_THRESHOLD, MMAP_THRESHOLD = -3, 1024 * 1024  # mallopt(3), bytes


def worker() -> "Wsgi":
    """The application, as granian calls for it once per worker process."""
    stopping.stop_worker()
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
    from portal.app import create_app  # here: it imports the metrics, which read the environment then
    from portal.server import sampling

    chosen = settings.load()
    stalled.start(chosen.port, chosen.stall_seconds)
    recording.start(chosen)
    sampling.start(chosen)
    return create_app(chosen)
