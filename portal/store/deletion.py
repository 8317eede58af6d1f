"""Deleting for good: rows and files go, and a tombstone keeps what was published from ever being something else.

The COMMIT decides. Files whose removal a crash cuts short are leftovers (`store.leftovers`). Catalogue and mirror read
in the audit log what is gone. Older generations of the drive and copies of the database keep it until they expire.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from portal.store import apps, asset_rows, audit, files, placement, tombstones, versions
from portal.store.errors import Refused
from portal.store.layout import Layout
from portal.store.states import Status
from portal.store.store import Store
from portal.store.versions import PlacedVersion

OF_THE_OWNER: tuple[Status, ...] = ("draft", "rejected")  # what an owner may delete; its code can be uploaded again
APP_TABLES = (  # in the order of their references
    "publishers",
    "downloads",
    "app_keys",
    "proposed_assets",
    "proposals",
    "assets",
    "versions",
    "apps",
)


def delete_version(
    store: Store, actor: audit.Actor, app_id: str, version_code: int, reason: str,
    *, as_owner: bool = False, successor: str = "",
) -> None:  # fmt: skip
    """Delete a version, as its owner or an administrator, who has no more rights than an owner if `as_owner`.

    Preview links go on to the version whose id is `successor`, if there is one. Raises Refused (NOT_FOUND; WRONG_STATE
    unless an owner may delete it; VALIDATION_ERROR for a published version without a reason).
    """
    aside, any_status = None, actor.scope == "admin" and not as_owner
    with placement.claimed(store.layout, app_id), store.db.write() as tx:
        if not any_status:
            apps.owned(tx, app_id, actor.developer_id)
        version = versions.get(tx, app_id, version_code)
        if not any_status and version.status not in OF_THE_OWNER:
            raise Refused(
                "WRONG_STATE",
                f"{app_id} {version_code} is {version.status}: an owner deletes a version that is"
                f" {' or '.join(OF_THE_OWNER)}, an administrator any.",
            )
        if successor:
            tx.execute(
                "UPDATE previews SET version_id = ? WHERE version_id = ?", (successor, version.version_id)
            )  # fmt: skip
        _delete_row(tx, actor, version, reason)
        if version.published_at is not None:
            versions.note_current(tx, app_id, audit.stamp(tx))
        tx.execute("COMMIT")
        directory = store.layout.package_directory(version.developer_id, app_id, version_code)
        with suppress(OSError):  # cleanup removes it
            aside = placement.set_aside(store.layout, directory)
    _discard(aside, store.layout.quarantine / directory.relative_to(store.layout.root))


def delete_app(store: Store, actor: audit.Actor, app_id: str, reason: str) -> None:
    """Delete an app with everything that belongs to it; the caller has checked that the actor is an administrator.

    Raises Refused (NOT_FOUND, VALIDATION_ERROR without a reason).
    """
    _require_reason(reason)
    with placement.claimed(store.layout, app_id):
        with store.db.write() as tx:
            app = apps.get(tx, app_id)
            for version in versions.placed_of_app(tx, app_id):
                _delete_row(tx, actor, version, reason)
            assets_gone = [asset.sha256 for asset in asset_rows.of_app(tx, app_id)]
            apps.forget_search(tx, app_id)
            for table in APP_TABLES:
                tx.execute(f"DELETE FROM {table} WHERE app_id = ?", (app_id,))
            tx.execute(
                "UPDATE tokens SET revoked_at = ? WHERE app_id = ? AND revoked_at IS NULL", (audit.stamp(tx), app_id)
            )
            tombstones.add(tx, app_id, tombstones.APP, app.developer_id, reason)
            audit.append(
                tx, actor, "app.delete", app_id, developer_id=app.developer_id, reason=reason, images=assets_gone
            )  # fmt: skip
            tx.execute("COMMIT")
        _discard(*places(store.layout, app_id))


def places(layout: Layout, app_id: str) -> Iterator[Path]:
    """The directories of an app that are there, with its images and packages, also of owners before."""
    for root in (layout.root, layout.quarantine):
        yield from (path for path in ((root / "assets" / app_id), *root.glob(f"packages/*/{app_id}")) if path.is_dir())


def _delete_row(tx: sqlite3.Connection, actor: audit.Actor, version: PlacedVersion, reason: str) -> None:
    if version.published_at is not None:
        _require_reason(reason)
        tombstones.add(tx, version.app_id, version.version_code, version.developer_id, reason)
    tx.execute("DELETE FROM versions WHERE version_id = ?", (version.version_id,))
    tx.execute("DELETE FROM downloads WHERE app_id = ? AND version_code = ?", (version.app_id, version.version_code))
    audit.append(
        tx, actor, "version.delete", f"{version.app_id}/{version.version_code}",
        reason=reason, status=version.status, sha256=version.sha256, developer_id=version.developer_id,
        version_id=version.version_id,
    )  # fmt: skip


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise Refused("VALIDATION_ERROR", "To delete what was published, give a reason.", ["reason: Field required."])


def _discard(*paths: Path | None) -> None:
    for path in paths:
        with suppress(OSError):  # cleanup removes it
            if path is not None and path.exists():
                files.discard(path)
