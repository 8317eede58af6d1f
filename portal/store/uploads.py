"""Storing a package: a row and a directory under `temp/`, the body, validation, links into place, one commit.

An incomplete body leaves nothing behind. An invalid package leaves a `failed` version with the reasons for a day.
After a crash, retention removes the row and the directory.
"""

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from portal.packages import package as packages
from portal.packages.errors import PackageRejected
from portal.packages.limits import Limits
from portal.packages.package import Package
from portal.store import apps, audit, budget, deletion, files, keys, placement, quotas, versions
from portal.store.errors import Refused
from portal.store.store import Store
from portal.store.versions import PlacedVersion, Version

REASONS_LOGGED = 3  # in the audit log, which is kept forever; the version has all of them


@dataclass(frozen=True)
class Upload:
    """An upload in progress, of at most `reserved` bytes."""

    upload_id: str
    app: apps.App
    directory: Path
    reserved: int = 0

    @property
    def package(self) -> Path:
        return self.directory / placement.PACKAGE


@contextmanager
def receiving(store: Store, app: apps.App, reserved: int = 0) -> Iterator[Upload]:
    """An upload that ends with the block; if the block raises, it leaves nothing on disk.

    Raises Refused (QUOTA_EXCEEDED, STORAGE_FULL) if there is no room for the `reserved` bytes.
    """
    upload = new(store, app, reserved)
    try:
        begin(store, upload)
        yield upload
    except BaseException:
        abandon(store, upload)
        raise


def new(store: Store, app: apps.App, reserved: int = 0) -> Upload:
    """A new upload, without row or directory yet."""
    upload_id = secrets.token_hex(16)
    store.overhead.measure(store.layout)
    return Upload(upload_id, app, store.layout.staging(upload_id), reserved)


def note(tx: sqlite3.Connection, store: Store, upload: Upload) -> None:
    """Insert the version's row, which reserves the bytes of the upload.

    Raises Refused (NOT_FOUND if the app is another developer's by now, or deleted; QUOTA_EXCEEDED, STORAGE_FULL).
    """
    app = apps.owned(tx, upload.app.app_id, upload.app.developer_id)
    quotas.require(tx, store.settings, app.developer_id, unpublished=1)
    budget.require(tx, store, app.developer_id, upload.reserved)
    at = audit.stamp(tx)
    tx.execute(
        "INSERT INTO versions (version_id, app_id, developer_id, status, status_at, created_at, size)"
        " VALUES (?, ?, ?, 'uploading', ?, ?, ?)",
        (upload.upload_id, app.app_id, app.developer_id, at, at, upload.reserved),
    )


def begin(store: Store, upload: Upload) -> None:
    """Insert the row of an upload and create its directory."""
    with store.db.write(durable=False) as tx:  # no request has been answered yet
        note(tx, store, upload)
    upload.directory.mkdir()


def version_of(db: sqlite3.Connection, upload_id: str) -> Version | None:
    """The version of an upload, in any status, or None; of a repetition, the version that has its package."""
    row = db.execute(f"SELECT {versions.COLUMNS} FROM versions WHERE version_id = ?", (upload_id,)).fetchone()
    found = versions.from_row(row) if row else None
    if found and found.status == "failed" and found.sha256:
        return _same(db, found.app_id, found.developer_id, found.sha256) or found
    return found


def abandon(store: Store, upload: Upload) -> None:
    """Remove an upload that was not completed; a `failed` version stays, with its reasons.

    The files go first, which a full disk allows; without them the row is only a remnant.
    """
    files.discard(upload.directory)
    forget(store, upload.upload_id)


def forget(store: Store, upload_id: str) -> bool:
    """Remove the row of an upload without files; False if there is none, or the files are there after all.

    A portal of an older release moves them away in its turn, and back if its COMMIT fails. A disk that is not mounted
    has no `temp/`.
    """
    with store.db.write() as tx:
        if (store.layout.staging(upload_id) / placement.PACKAGE).exists() or not store.layout.area("temp").is_dir():
            return False
        removed = tx.execute("DELETE FROM versions WHERE version_id = ? AND status = 'uploading'", (upload_id,))
        return removed.rowcount > 0


def complete(
    store: Store, actor: audit.Actor, upload: Upload, received: files.Received,
    *, version_code: int | None = None, version_name: str | None = None, replace: bool = False,
) -> PlacedVersion:  # fmt: skip
    """Validate a package and move it into place. `version_code` and `version_name`, if given, must match the manifest.

    With `replace`, a valid package takes the place of a draft or a rejected version of its code. Without it, a version
    that has this package already, byte for byte, is the answer: an upload whose answer was lost can be repeated.
    Raises Refused (VALIDATION_ERROR with every reason, VERSION_EXISTS, VERSION_CONFLICT).
    """
    try:
        package = _check(store, upload, version_code, version_name)
        if replace:
            _make_way(store, actor, upload, package.manifest.version_code)
        return _place(store, actor, upload, received, package)
    except PackageRejected as rejected:
        fail(store, actor, upload, rejected.errors)
        raise Refused("VALIDATION_ERROR", "The package is invalid.", rejected.errors) from rejected
    except Refused as refused:
        app = upload.app
        if not replace and (there := _same(store.db.read(), app.app_id, app.developer_id, received.sha256)):
            _end_as_repetition(store, upload, there)
            return there
        fail(store, actor, upload, [refused.detail])
        raise
    except (OSError, sqlite3.Error):  # a storage error: the client can retry
        raise
    except Exception:
        fail(store, actor, upload, ["Validation crashed on this package; see the server log."])
        raise


def limits(store: Store) -> Limits:
    """The package limits of this store's settings."""
    s = store.settings
    return Limits(
        package_bytes=s.package_max_bytes, unpacked_bytes=s.unpacked_max_bytes, entries=s.entries_max, ratio=s.ratio_max
    )


def _check(store: Store, upload: Upload, version_code: int | None, version_name: str | None) -> Package:
    with store.checks:
        package = packages.read(upload.package, limits(store))
    manifest, db = package.manifest, store.db.read()
    app = apps.get(db, upload.app.app_id)
    errors = []
    for field, expected, found in (
        ("id", app.app_id, manifest.id),
        ("version_code", version_code, manifest.version_code),
        ("version_name", version_name, manifest.version_name),
    ):
        if expected is not None and expected != found:
            errors.append(f"manifest.json: {field} is {found!r}, but the upload declares {expected!r}.")
    if fault := versions.key_fault(db, app, package.key_id, manifest.version_code):
        errors.append(fault)
    if errors:
        raise PackageRejected(errors)
    packages.verify(package, keys.get(db, package.key_id).public_key)
    return package


def _same(db: sqlite3.Connection, app_id: str, developer_id: str, sha256: str) -> PlacedVersion | None:
    """The version of the developer's app that has this package, byte for byte."""
    row = db.execute(
        f"SELECT {versions.COLUMNS} FROM versions"
        f" WHERE app_id = ? AND developer_id = ? AND sha256 = ? AND {versions.PLACED}",
        (app_id, developer_id, sha256),
    ).fetchone()
    return PlacedVersion(*row) if row else None


def _make_way(store: Store, actor: audit.Actor, upload: Upload, version_code: int) -> None:
    """Delete what an owner may delete of this code, once nothing but the code keeps the new package out."""
    db, app_id = store.db.read(), upload.app.app_id
    versions.require_newer(db, app_id, version_code)
    if not versions.is_placed(db, app_id, version_code):
        return
    if versions.get(db, app_id, version_code).status in deletion.OF_THE_OWNER:
        deletion.delete_version(
            store, actor, app_id, version_code, "Replaced by another package.",
            as_owner=True, successor=upload.upload_id,
        )  # fmt: skip


def _place(
    store: Store, actor: audit.Actor, upload: Upload, received: files.Received, package: Package
) -> PlacedVersion:  # fmt: skip
    app, manifest = upload.app, package.manifest
    files.write_file(upload.directory / placement.MANIFEST, package.manifest_bytes, durable=False)

    def require_placeable(db: sqlite3.Connection) -> None:
        versions.require_newer(db, app.app_id, manifest.version_code)
        if fault := versions.key_fault(db, app, package.key_id, manifest.version_code):
            raise PackageRejected([fault])  # the key was revoked or replaced meanwhile
        versions.require_free(db, app.app_id, manifest.version_code)

    target = placement.Target(app.developer_id, app.app_id, manifest.version_code)
    with placement.linked(store, upload.directory, target, require_placeable) as tx:
        changed = tx.execute(
            "UPDATE versions SET status = 'draft', status_at = ?, version_code = ?, version_name = ?, size = ?,"
            " sha256 = ?, key_id = ?, signature = ?, manifest = ? WHERE version_id = ? AND status = 'uploading'",
            (audit.stamp(tx), manifest.version_code, manifest.version_name, received.size, received.sha256,
             package.key_id, package.signature, package.manifest_bytes.decode(), upload.upload_id),
        )  # fmt: skip
        if changed.rowcount == 0:
            raise Refused("UPLOAD_EXPIRED", "The upload took too long and has expired.")
        _close(tx, upload)
        detail = {"sha256": received.sha256, "manifest_sha256": hashlib.sha256(package.manifest_bytes).hexdigest()}
        audit.append(tx, actor, "version.upload", f"{app.app_id}/{manifest.version_code}", **detail)
        return versions.get(tx, app.app_id, manifest.version_code)


def fail(store: Store, actor: audit.Actor, upload: Upload, reasons: list[str]) -> None:
    """Mark the upload as failed for these reasons, and remove its files."""
    with store.db.write() as tx:
        if _end(tx, upload, reasons):
            logged = {"upload_id": upload.upload_id, "reasons": reasons[:REASONS_LOGGED]}
            audit.append(tx, actor, "version.fail", upload.app.app_id, **logged)
    files.discard(upload.directory)


def _end_as_repetition(store: Store, upload: Upload, version: PlacedVersion) -> None:
    """End the upload of a package that a version has already; completing it again answers with that version."""
    with store.db.write() as tx:
        _end(tx, upload, [f"Version {version.version_code} has this package already."], version.sha256)
    files.discard(upload.directory)  # afterwards: a client without an answer completes it again


def _end(tx: sqlite3.Connection, upload: Upload, reasons: list[str], sha256: str | None = None) -> bool:
    """Whether the upload was still open."""
    changed = tx.execute(
        "UPDATE versions SET status = 'failed', status_at = ?, reasons = ?, size = NULL, sha256 = ?"
        " WHERE version_id = ? AND status = 'uploading'",
        (audit.stamp(tx), json.dumps(reasons), sha256, upload.upload_id),
    )
    if changed.rowcount:  # else it expired meanwhile
        _close(tx, upload)
    return changed.rowcount > 0


def _close(tx: sqlite3.Connection, upload: Upload) -> None:
    tx.execute("DELETE FROM uploads WHERE upload_id = ?", (upload.upload_id,))
