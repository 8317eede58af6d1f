"""What one developer may use: a table of quotas, their defaults in the settings, and what the operator gave instead.

A quota is checked in the transaction that adds, where an upload under way has its row with the size that it announced:
uploads that run at the same time cannot exceed it together. What belongs to an app counts for its owner.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from portal.settings import Settings
from portal.sizes import size
from portal.store import audit, developers
from portal.store.errors import Refused

OWN = "FROM apps WHERE developer_id = :developer_id"
VERSIONS = "FROM versions WHERE app_id IN (SELECT app_id FROM apps WHERE developer_id = :developer_id)"
EVERY_IMAGE = "(SELECT app_id, size FROM assets UNION ALL SELECT app_id, size FROM proposed_assets)"
IMAGES = f"FROM {EVERY_IMAGE} WHERE app_id IN (SELECT app_id FROM apps WHERE developer_id = :developer_id)"
OPEN = "FROM uploads WHERE developer_id = :developer_id"
LATER = "or ask the operator of the store for more (mosis developer quota)"


@dataclass(frozen=True)
class Quota:
    """`setting` has its default, `used` is SQL for what counts, `what` and `remedy` are for people."""

    name: str
    setting: str
    used: str
    what: str
    remedy: str


QUOTAS = (
    Quota("apps", "apps_max", f"SELECT count(*) {OWN}", "apps", f"ask for one to be deleted, {LATER}"),
    Quota(
        "bytes", "developer_max_bytes",
        f"SELECT (SELECT coalesce(sum(size), 0) {VERSIONS} AND status <> 'failed')"
        f" + (SELECT coalesce(sum(size), 0) {IMAGES})",
        "bytes of packages, images and open uploads",
        f"delete drafts and rejected versions, {LATER}",
    ),
    Quota("open_uploads", "open_uploads_max", f"SELECT count(*) {OPEN}", "open uploads", "complete or terminate one"),
    Quota(
        "open_upload_bytes", "open_uploads_max_bytes", f"SELECT coalesce(sum(size), 0) {OPEN}",
        "bytes of open uploads", "complete or terminate one",
    ),
    Quota(
        "unpublished", "unpublished_max",
        f"SELECT count(*) {VERSIONS} AND status IN ('uploading', 'draft', 'in_review')",
        "versions that are uploads, drafts or in review",
        f"delete drafts or wait for reviews, {LATER}",
    ),
)  # fmt: skip
NAMES = tuple(quota.name for quota in QUOTAS)


def usage(db: sqlite3.Connection, developer_id: str) -> dict[str, int]:
    """What the developer uses of each quota."""
    return {quota.name: _used(db, quota, developer_id) for quota in QUOTAS}


def bytes_of_apps(db: sqlite3.Connection, developer_id: str) -> dict[str, int]:
    """What each app of the developer counts for the quota of bytes."""
    rows = db.execute(
        "SELECT app_id, (SELECT coalesce(sum(size), 0) FROM versions"
        "  WHERE versions.app_id = apps.app_id AND status <> 'failed')"
        f" + (SELECT coalesce(sum(size), 0) FROM {EVERY_IMAGE} AS images WHERE images.app_id = apps.app_id)"
        " FROM apps WHERE developer_id = ?",
        (developer_id,),
    )
    return dict(tuple(row) for row in rows)


def limits(db: sqlite3.Connection, settings: Settings, developer_id: str) -> dict[str, int]:
    """The most that the developer may use of each quota."""
    defaults = {quota.name: int(getattr(settings, quota.setting)) for quota in QUOTAS}
    return defaults | own(db, developer_id)


def own(db: sqlite3.Connection, developer_id: str) -> dict[str, int]:
    """The quotas that the operator gave to this developer instead of those of the settings."""
    rows = db.execute("SELECT name, value FROM quotas WHERE developer_id = ?", (developer_id,))
    return {name: value for name, value in rows if name in NAMES}


def require(db: sqlite3.Connection, settings: Settings, developer_id: str, **adding: int) -> None:
    """Raises Refused (QUOTA_EXCEEDED) if the developer may not have so much more, by the name of the quota."""
    most = limits(db, settings, developer_id)
    for quota in QUOTAS:
        more = adding.get(quota.name, 0)
        if more > 0 and (used := _used(db, quota, developer_id)) + more > most[quota.name]:
            raise Refused("QUOTA_EXCEEDED", _sentence(quota, used, most[quota.name], more))


def change(tx: sqlite3.Connection, developer_id: str, values: Mapping[str, int | None]) -> None:
    """Give a developer these quotas instead of those of the settings; None: those again. Raises Refused (NOT_FOUND)."""
    developers.get(tx, developer_id)
    for name, value in values.items():
        tx.execute("DELETE FROM quotas WHERE developer_id = ? AND name = ?", (developer_id, name))
        if value is not None:
            tx.execute("INSERT INTO quotas (developer_id, name, value) VALUES (?, ?, ?)", (developer_id, name, value))
    audit.append(tx, audit.OPERATOR, "developer.quota", developer_id, **values)


def _used(db: sqlite3.Connection, quota: Quota, developer_id: str) -> int:
    used: int = db.execute(quota.used, {"developer_id": developer_id}).fetchone()[0]
    return used


def _sentence(quota: Quota, used: int, most: int, more: int) -> str:
    shown = size if quota.name.endswith("bytes") else str
    use = f"You have {shown(used)} of {shown(most)} {quota.what.removeprefix('bytes ')}"
    return f"{use}, and {shown(more)} more exceed the quota: {quota.remedy}."
