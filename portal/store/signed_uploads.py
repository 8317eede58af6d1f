"""Uploads by signed URL, in one request or in parts; acknowledged bytes are on disk.

The row's `received` is updated after fsync, so a crash loses only unacknowledged bytes: the next request truncates the
file to `received`. flock(2) on the file admits one request at a time to an upload, across all workers.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from typing import Literal

from portal.store import apps, audit, files, quotas, retention, uploads
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.locks import lock
from portal.store.store import Store
from portal.store.versions import PlacedVersion, Version

CHECKPOINT = 8 * 1024 * 1024  # bytes; the most that a crash costs a request in progress
LOCK_SECONDS = 2.0  # enough to notice a lost connection; a second writer is refused after it


@dataclass(frozen=True)
class Transfer:
    """The row of an upload. Sizes are bytes, times seconds since 1970, digests hex; `sha256` is as announced by the
    client, `digest` that of a body received in one request. A body that goes `via` the mirror is fetched from there
    once its owner has `wanted` it; `fault` and `fault_detail` are the code and the sentence of the last failure.
    """

    upload_id: str
    app_id: str
    developer_id: str
    created_at: int
    size: int
    sha256: str | None
    expires_at: int
    received: int
    digest: str | None
    via: "Via"
    wanted_at: int | None
    fault: str | None
    fault_detail: str | None

    @property
    def whole(self) -> bool:
        return self.received == self.size


Via = Literal["portal", "mirror"]
OPEN = (
    "SELECT upload_id, app_id, versions.developer_id, created_at, uploads.size, uploads.sha256, expires_at, received,"
    " digest, via, wanted_at, fault, fault_detail FROM uploads JOIN versions ON version_id = upload_id"
    " WHERE status = 'uploading'"
)


class Held:
    """An upload locked by this request."""

    def __init__(self, store: Store, transfer: Transfer, file: FileIO) -> None:
        self._store = store
        self._file = file
        self.transfer = transfer

    def append(self, chunks: Iterable[bytes], *, atomic: bool = False) -> None:
        """Append `chunks` durably; with `atomic`, all of them, or none if `chunks` raises.

        Otherwise, what was received before `chunks` raised is kept up to the last checkpoint.
        Raises Refused (FILE_TOO_LARGE, DIGEST_MISMATCH; UPLOAD_EXPIRED if the upload was removed meanwhile).
        """
        transfer = self.transfer
        digest = hashlib.sha256() if transfer.received == 0 else None
        at = saved = transfer.received
        self._file.truncate(at)
        self._file.seek(at)
        for chunk in chunks:
            at += len(chunk)
            if at > transfer.size:
                raise too_large(transfer)
            if digest:
                digest.update(chunk)
            files.write_all(self._file, chunk)
            if not atomic and at - saved >= CHECKPOINT:
                saved = self._save(at, None, durable=False)
        found = digest.hexdigest() if digest and at == transfer.size else None
        if found and transfer.sha256 not in (None, found):
            self._save(0, None)
            raise Refused("DIGEST_MISMATCH", f"The SHA-256 of the body is {found}, not {transfer.sha256}.")
        if at > transfer.received:  # an empty chunk writes nothing
            self._save(at, found)

    def restart(self) -> None:
        """Discard the received bytes."""
        if self.transfer.received:
            self._save(0, None)

    def _save(self, received: int, digest: str | None, *, durable: bool = True) -> int:
        """Flush the bytes, then note them; a note that is not `durable` may be lost, but is never ahead of them."""
        os.fdatasync(self._file.fileno())
        with self._store.db.write(durable=durable) as tx:
            changed = tx.execute(
                "UPDATE uploads SET received = ?, digest = ? WHERE upload_id = ?",
                (received, digest, self.transfer.upload_id),
            )
            if changed.rowcount == 0:
                raise Refused("UPLOAD_EXPIRED", "The upload has expired: create another.")
        self.transfer = find(self._store.db.read(), self.transfer.upload_id)
        return received


def issue(store: Store, app: apps.App, size: int, sha256: str | None, via: Via = "portal") -> Transfer:
    """Create an upload of `size` bytes. Raises Refused (FILE_TOO_LARGE, QUOTA_EXCEEDED, STORAGE_FULL)."""
    settings = store.settings
    if size > settings.package_max_bytes:
        raise Refused("FILE_TOO_LARGE", f"A package may have at most {settings.package_max_bytes} bytes, not {size}.")
    try:
        _require_quota(store, store.db.read(), app.developer_id, size)
    except Refused:
        _discard_expired(store, app.developer_id)
    upload = uploads.new(store, app, size)
    files.write_file(upload.package, b"")
    try:
        with store.db.write() as tx:
            _require_quota(store, tx, app.developer_id, size)
            uploads.note(tx, store, upload)
            tx.execute(
                "INSERT INTO uploads (upload_id, developer_id, size, sha256, expires_at, via)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (upload.upload_id, app.developer_id, size, sha256, now() + settings.upload_url_seconds, via),
            )
    except BaseException:
        files.discard(upload.directory)
        raise
    return find(store.db.read(), upload.upload_id)


def renew(store: Store, upload_id: str) -> Transfer:
    """Extend the validity of the URL, at most to the expiry of the upload.

    Raises Refused (NOT_FOUND, UPLOAD_USED, UPLOAD_EXPIRED).
    """
    with store.db.write() as tx:
        transfer = find(tx, upload_id)
        kept_until = transfer.created_at + retention.UPLOAD_SECONDS
        if now() >= kept_until:
            raise Refused("UPLOAD_EXPIRED", "The upload has expired: create another.")
        expires_at = min(now() + store.settings.upload_url_seconds, kept_until)
        tx.execute("UPDATE uploads SET expires_at = ? WHERE upload_id = ?", (expires_at, upload_id))
        return find(tx, upload_id)


def find(db: sqlite3.Connection, upload_id: str) -> Transfer:
    """The open upload. Raises Refused (NOT_FOUND; UPLOAD_USED if it became a version or failed)."""
    row = db.execute(f"{OPEN} AND upload_id = ?", (upload_id,)).fetchone()
    if row is not None:
        return Transfer(*row)
    if uploads.version_of(db, upload_id) is not None:
        raise Refused("UPLOAD_USED", "The upload is already completed.")
    raise Refused("NOT_FOUND", f"There is no upload {upload_id}.")


def owned(db: sqlite3.Connection, upload_id: str, actor: audit.Actor) -> Version:
    """The version of an upload, if it is the actor's, whose token may be bound to one app.

    Raises Refused (NOT_FOUND) otherwise.
    """
    version = uploads.version_of(db, upload_id)
    if version is None or version.developer_id != actor.developer_id or actor.app_id not in (None, version.app_id):
        raise Refused("NOT_FOUND", f"There is no upload {upload_id}.")
    return version


@contextmanager
def held(store: Store, upload_id: str, *, wait: float = LOCK_SECONDS) -> Iterator[Held]:
    """Lock the upload for this request. Raises Refused (NOT_FOUND, UPLOAD_USED; UPLOAD_LOCKED after `wait` s)."""
    with _opened(store, upload_id) as file:
        if not lock(file, wait=wait):
            raise Refused("UPLOAD_LOCKED", "Another request is writing to this upload.")
        holder = Held(store, find(store.db.read(), upload_id), file)
        try:
            yield holder
        except OSError:  # free the unacknowledged bytes on a full disk
            file.truncate(holder.transfer.received)
            raise


def _opened(store: Store, upload_id: str) -> FileIO:
    find(store.db.read(), upload_id)
    path = store.layout.staging(upload_id) / "package.mosis"
    try:
        return FileIO(path, "r+")
    except FileNotFoundError:
        uploads.forget(store, upload_id)  # its removal was cut short; or it has just been completed
        find(store.db.read(), upload_id)
    return FileIO(path, "r+")  # it was moved back meanwhile


def terminate(store: Store, upload_id: str) -> None:
    """Terminate an upload. Raises Refused as `held` does."""
    with held(store, upload_id) as upload:
        _discard(store, upload.transfer)


def complete(store: Store, actor: audit.Actor, upload_id: str, *, replace: bool = False) -> PlacedVersion:
    """Validate the complete body and make it a version; an upload that fails validation ends.

    `replace` is that of `uploads.complete`.
    Raises Refused (UPLOAD_INCOMPLETE, DIGEST_MISMATCH, and as `held` and `uploads.complete` do).
    """
    with held(store, upload_id) as holder:
        transfer = holder.transfer
        if not transfer.whole:
            raise Refused("UPLOAD_INCOMPLETE", f"{transfer.received} of {transfer.size} bytes are uploaded.")
        app = apps.get(store.db.read(), transfer.app_id)
        upload = uploads.Upload(upload_id, app, store.layout.staging(upload_id))
        received = files.Received(transfer.size, transfer.digest or files.digest(upload.package))
        if transfer.sha256 not in (None, received.sha256):
            mismatch = f"The SHA-256 of the body is {received.sha256}, not {transfer.sha256}."
            uploads.fail(store, actor, upload, [mismatch])
            raise Refused("DIGEST_MISMATCH", mismatch)
        return uploads.complete(store, actor, upload, received, replace=replace)


def too_large(transfer: Transfer) -> Refused:
    return Refused("FILE_TOO_LARGE", f"The URL is signed for {transfer.size} bytes; the body has more.")


def _require_quota(store: Store, db: sqlite3.Connection, developer_id: str, size: int) -> None:
    quotas.require(db, store.settings, developer_id, unpublished=1, bytes=size, open_uploads=1, open_upload_bytes=size)


def _discard_expired(store: Store, developer_id: str) -> None:
    """Discard incomplete uploads whose URLs have expired, to free quota; until then their owner can renew them.

    A body that is being fetched from the mirror is on its way whatever its URL.
    """
    expired = (
        f"{OPEN} AND uploads.developer_id = ? AND expires_at <= ? AND received < uploads.size AND wanted_at IS NULL"
    )
    for row in store.db.read().execute(expired, (developer_id, now())).fetchall():
        try:
            with held(store, row["upload_id"], wait=0) as upload:
                _discard(store, upload.transfer)
        except Refused:
            continue  # a request that started in time is still writing


def _discard(store: Store, transfer: Transfer) -> None:
    files.discard(store.layout.staging(transfer.upload_id))
    uploads.forget(store, transfer.upload_id)
