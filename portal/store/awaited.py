"""Uploads whose body goes to the mirror's private bucket, and from there into the store by a job.

The portal never asks the bucket, so one that is away or slow holds no request: completing such an upload notes that its
body is wanted, and the owner completes it again once the job has brought it. From there on it is like any other.
"""

import sqlite3

from portal.store import signed_uploads
from portal.store.clock import now
from portal.store.errors import Refused, Unavailable
from portal.store.signed_uploads import OPEN, Transfer
from portal.store.store import Store

AWAITED = f"{OPEN} AND via = 'mirror' AND received < uploads.size"
RETRY_SECONDS = 30
"""When to complete an upload again whose body could not be fetched."""


def want(store: Store, upload_id: str) -> bool:
    """Ask for the body of an upload; False if there is nothing to wait for, because the store has it.

    Raises Refused: what the last attempt to fetch it met (UPLOAD_INCOMPLETE, DIGEST_MISMATCH), which is then forgotten,
    or UNAVAILABLE while the job tries again; and as `signed_uploads.find` does.
    """
    transfer = signed_uploads.find(store.db.read(), upload_id)
    if transfer.via == "portal" or transfer.whole:
        return False
    if transfer.wanted_at is None:
        _note(store, transfer, wanted_at=None if transfer.fault else now())
    if transfer.fault == "UNAVAILABLE":
        raise Unavailable(transfer.fault_detail or "", RETRY_SECONDS)
    if transfer.fault:
        raise Refused(transfer.fault, transfer.fault_detail or "")
    return True


def wanted(db: sqlite3.Connection) -> list[Transfer]:
    """Uploads whose body is to be fetched, the longest waiting first."""
    return [Transfer(*row) for row in db.execute(f"{AWAITED} AND wanted_at IS NOT NULL ORDER BY wanted_at, upload_id")]


def is_any_open(db: sqlite3.Connection) -> bool:
    """Whether the body of some upload may become wanted."""
    return db.execute(f"{AWAITED} LIMIT 1").fetchone() is not None


def refused(store: Store, transfer: Transfer, refusal: Refused) -> None:
    """The body cannot be taken; its owner may send another one."""
    _note(store, transfer, wanted_at=None, fault=refusal.code, detail=refusal.detail)


def unavailable(store: Store, transfer: Transfer) -> None:
    """The body could not be fetched; the job tries again, after all others."""
    detail = "The bucket does not deliver the package at the moment; the store continues to try."
    _note(store, transfer, wanted_at=now(), fault="UNAVAILABLE", detail=detail)


def _note(
    store: Store, transfer: Transfer, *, wanted_at: int | None, fault: str | None = None, detail: str | None = None
) -> None:
    with store.db.write(durable=False) as tx:  # what a power cut undoes, the next request notes again
        tx.execute(
            "UPDATE uploads SET wanted_at = ?, fault = ?, fault_detail = ? WHERE upload_id = ?",
            (wanted_at, fault, detail, transfer.upload_id),
        )
