"""Room for what is uploaded: the budget of the store, and what stays free on its disk.

Only packages and images are refused, before their first byte is taken. What remains of the disk is for everything else:
a yank, a sign-in and their rows in the audit log need some room too.
"""

import shutil
import sqlite3

from portal.settings import MIB
from portal.store import quotas
from portal.store.errors import Refused
from portal.store.store import Store

FREE_BYTES, FREE_PART = 256 * MIB, 16  # uploads leave so many bytes of the disk free, or that part of a small one
USED = (
    "SELECT (SELECT coalesce(sum(size), 0) FROM versions WHERE status <> 'failed')"
    f" + (SELECT coalesce(sum(size), 0) FROM {quotas.EVERY_IMAGE})"
)
AWAITED = (
    "SELECT (SELECT coalesce(sum(size), 0) FROM versions WHERE status = 'uploading')"
    " - (SELECT coalesce(sum(received), 0) FROM uploads)"
)


def require(db: sqlite3.Connection, store: Store, developer_id: str, size: int) -> None:
    """Raises Refused if the store takes no `size` bytes more, from this developer (QUOTA_EXCEEDED) or at all
    (STORAGE_FULL).

    Uploads under way count with the sizes that they announced, of which the disk has only a part yet.
    `store.overhead` counts as it was last measured.
    """
    quotas.require(db, store.settings, developer_id, bytes=size)
    used = db.execute(USED).fetchone()[0] + store.overhead.bytes
    if used + size > store.settings.storage_budget_bytes:
        raise _full(f"The store's disk budget is spent: it takes no {size} bytes more.")
    disk = shutil.disk_usage(store.layout.root)
    awaited = db.execute(AWAITED).fetchone()[0]
    if disk.free - awaited - size < min(FREE_BYTES, disk.total // FREE_PART):
        raise _full(f"The store's disk has no room for {size} bytes more.")


def _full(cause: str) -> Refused:
    return Refused("STORAGE_FULL", f"{cause} Its operator has to make room (mosis status): try again later.")
