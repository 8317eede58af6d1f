"""What the process that decodes an image may use of its host."""

import resource
from contextlib import suppress
from pathlib import Path

CPU_SECONDS = 10  # an image of 16.8 Mpx takes 1.2 s at most
WALL_SECONDS = 60  # on a host whose processors are busy
OUTPUT_BYTES = 16_000_000  # a screenshot of noise has 3 MB, and an icon's three sizes 90 kB
BASE_BYTES = 256 * 1024 * 1024  # address space: libraries, interpreter, the file itself
PIXEL_BYTES = 32  # a WebP with alpha and a colour profile takes 24


def memory_bytes(max_pixels: int) -> int:
    """Address space of a process that decodes so many pixels."""
    return BASE_BYTES + max_pixels * PIXEL_BYTES


def apply(max_pixels: int) -> None:
    """Limit this process for good. It opens no file and no socket after this, and starts no process.

    The kernel ends it with SIGXCPU; memory beyond the limit is a MemoryError, output an OSError.
    """
    with suppress(OSError):  # when memory runs out, an image is the first to go, not a worker with its requests
        Path("/proc/self/oom_score_adj").write_text("1000")
    for what, most in {
        resource.RLIMIT_AS: memory_bytes(max_pixels),
        resource.RLIMIT_FSIZE: OUTPUT_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: 0,
    }.items():
        resource.setrlimit(what, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
