"""nginx writes an answer into its cache before it sends it, and on a disk without room it sends none.

So while the store's disk takes nothing, which is nginx's disk too where they share one, answers are not to be cached:
what devices read needs no room.
"""

import os
from collections.abc import Callable
from pathlib import Path

from bottle import response

# Shared caches, our nginx first, revalidate after s-maxage, and serve the stale answer meanwhile or while the portal is
# down (RFC 5861). A publish is visible after s-maxage plus stale-while-revalidate at the latest.
CURRENT = "public, max-age=60, s-maxage=1, stale-while-revalidate=4, stale-if-error=86400"
GONE = {
    "Cache-Control": "public, max-age=0, s-maxage=1, stale-while-revalidate=4, stale-if-error=86400",
    "Vary": "Accept",
}
"""nginx keeps this refusal in place of the answer before, which it would give again while the portal is down."""
ROOM = 16 * 1024 * 1024  # bytes, for what is cached between two looks
FIELD = "X-Accel-Expires"  # for nginx alone, which does not pass it on


def marked(root: Path) -> Callable[[], None]:
    """A hook: nginx caches no answer while the disk of `root` is full or read-only."""

    def mark() -> None:
        if "public" in response.get_header("Cache-Control", "") and not takes_files(root):
            response.set_header(FIELD, "0")

    return mark


def takes_files(root: Path) -> bool:
    """Whether there is room on the disk of `root`, and it may be written; also where that cannot be found out."""
    try:
        disk = os.statvfs(root)
    except OSError:
        return True
    return disk.f_bavail * disk.f_frsize >= ROOM and not disk.f_flag & os.ST_RDONLY
