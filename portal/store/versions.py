"""Versions of an app, and changes of their status."""

import json
import sqlite3
from dataclasses import dataclass, replace

from portal.store import app_keys, apps, audit, keys, search, tombstones
from portal.store.errors import Gone, Refused
from portal.store.pages import ALL, Page
from portal.store.states import DONE, SPOKEN, TRANSITIONS, Action, Status

DAY = 86400


@dataclass(frozen=True)
class Version:
    """A version in any status; times are seconds since 1970, `size` is bytes, `sha256` hex, `reasons` a JSON array.

    While it is `uploading`, and once it has `failed`, the fields read from the package are None; only a repetition,
    which failed because a version has its package already, has a digest.
    """

    version_id: str
    app_id: str
    developer_id: str
    status: Status
    status_at: int
    created_at: int
    published_at: int | None
    superseded_at: int | None
    reasons: str
    version_code: int | None
    version_name: str | None
    size: int | None
    sha256: str | None
    key_id: str | None
    signature: str | None
    manifest: str | None


@dataclass(frozen=True)
class PlacedVersion(Version):
    """A version whose package is in place, so that every field read from it is known."""

    version_code: int
    version_name: str
    size: int
    sha256: str
    key_id: str
    signature: str
    manifest: str

    @property
    def reason(self) -> str:
        """Why it was rejected or yanked; empty if nobody gave a reason."""
        return " ".join(json.loads(self.reasons))


COLUMNS = ", ".join(f"versions.{field}" for field in Version.__dataclass_fields__)
LISTED = COLUMNS.replace("versions.manifest", "CASE WHEN versions.manifest NOT NULL THEN '' END")
"""The same with empty manifests, each of which may have 256 KiB: nothing bounds the versions of an app."""
UNPLACED: tuple[Status, ...] = ("uploading", "failed")
NEWEST, LONGEST_WAIT = ("created_at", "coalesce(version_code, 0)", "version_id"), ("status_at", "version_id")
FREED: dict[Status, str] = {
    "draft": "delete it, or ",
    "rejected": "delete it, or ",
    "in_review": "withdraw it from review and delete it, or ",
}
"""How its owner frees the code of a version in a status."""
PLACED = f"status NOT IN {UNPLACED}"


def from_row(row: sqlite3.Row) -> Version:
    """The version in a row of `COLUMNS`; a PlacedVersion if its package is in place."""
    version = Version(*row)
    return version if version.status in UNPLACED else PlacedVersion(*row)


def get(db: sqlite3.Connection, app_id: str, version_code: int) -> PlacedVersion:
    """The version whose package is in place. Raises Refused (NOT_FOUND)."""
    row = db.execute(
        f"SELECT {COLUMNS} FROM versions WHERE app_id = ? AND version_code = ? AND {PLACED}", (app_id, version_code)
    ).fetchone()
    if row is None:
        raise not_found(app_id, version_code)
    return PlacedVersion(*row)


def not_found(app_id: str, version_code: int) -> Refused:
    return Refused("NOT_FOUND", f"There is no version {version_code} of {app_id}.")


def current(db: sqlite3.Connection, app: apps.App) -> PlacedVersion:
    """The version that devices download. Raises Refused when none is: YANKED if one was published, else NOT_FOUND."""
    if app.published_code is None:
        raise _withdrawn(db, app.app_id) or apps.not_found(app.app_id)
    return get(db, app.app_id, app.published_code)


def yanked(version: PlacedVersion) -> Refused:
    """The refusal of a version that was published once."""
    reason = f": {version.reason}" if version.reason else "."
    return Gone("YANKED", f"{version.app_id} {version.version_name} was withdrawn from the store{reason}")


def _withdrawn(db: sqlite3.Connection, app_id: str) -> Refused | None:
    row = db.execute(
        f"SELECT {COLUMNS} FROM versions WHERE app_id = ? AND {PLACED} AND +status = 'yanked'"
        " ORDER BY version_code DESC LIMIT 1",
        (app_id,),
    ).fetchone()
    return yanked(PlacedVersion(*row)) if row else None


def of_app(
    db: sqlite3.Connection, app_id: str, page: Page = ALL, *, columns: str = LISTED
) -> list[Version]:  # fmt: skip
    """All versions of an app, newest first, without manifests unless `columns` is COLUMNS; of the failed uploads only
    the last one, if nothing came after it and it was no repetition.
    """
    ordered, values = page.sql(NEWEST, descending=True)
    rows = db.execute(
        f"SELECT {columns} FROM versions WHERE app_id = ? AND (status <> 'failed' OR sha256 IS NULL AND version_id = ("
        "  SELECT last.version_id FROM versions AS last WHERE last.app_id = ? AND last.status <> 'uploading'"
        f"  ORDER BY last.created_at DESC, last.rowid DESC LIMIT 1)){ordered}",
        (app_id, app_id, *values),
    )
    return [from_row(row) for row in rows]


def placed_of_app(db: sqlite3.Connection, app_id: str) -> list[PlacedVersion]:
    """The versions of an app whose packages are in place, without manifests."""
    rows = db.execute(f"SELECT {LISTED} FROM versions WHERE app_id = ? AND {PLACED} ORDER BY version_code", (app_id,))
    return [PlacedVersion(*row) for row in rows]


def in_review(db: sqlite3.Connection, page: Page = ALL) -> list[PlacedVersion]:
    """Versions that wait for a reviewer, the longest wait first."""
    ordered, values = page.sql(LONGEST_WAIT)
    rows = db.execute(f"SELECT {COLUMNS} FROM versions WHERE status = 'in_review'{ordered}", values)
    return [PlacedVersion(*row) for row in rows]


def every_placed(db: sqlite3.Connection) -> list[PlacedVersion]:
    """Every version that has files under `packages/`."""
    return [PlacedVersion(*row) for row in db.execute(f"SELECT {COLUMNS} FROM versions WHERE {PLACED}")]


def count(db: sqlite3.Connection) -> dict[Status, int]:
    return dict(tuple(row) for row in db.execute("SELECT status, count(*) FROM versions GROUP BY status"))


def highest_published(db: sqlite3.Connection, app_id: str) -> int:
    """The highest version code ever published, including yanked and deleted versions; 0 before the first."""
    highest: int = db.execute(
        "SELECT coalesce(max(version_code), 0) FROM versions WHERE app_id = ? AND status IN ('published', 'yanked')",
        (app_id,),
    ).fetchone()[0]
    return max(highest, tombstones.highest(db, app_id))


def require_newer(db: sqlite3.Connection, app_id: str, version_code: int) -> None:
    """Raises Refused (VERSION_CONFLICT) unless the code is above every published one."""
    highest = highest_published(db, app_id)
    if version_code <= highest:
        raise Refused(
            "VERSION_CONFLICT", f"version_code {version_code} must be greater than {highest}, which has been published."
        )


def is_placed(db: sqlite3.Connection, app_id: str, version_code: int) -> bool:
    query = f"SELECT 1 FROM versions WHERE app_id = ? AND version_code = ? AND {PLACED}"
    return db.execute(query, (app_id, version_code)).fetchone() is not None


def has_placed(db: sqlite3.Connection, developer_id: str, app_id: str) -> bool:
    """Whether a package of the app is in place that this developer uploaded."""
    query = f"SELECT 1 FROM versions WHERE app_id = ? AND developer_id = ? AND {PLACED} LIMIT 1"
    return db.execute(query, (app_id, developer_id)).fetchone() is not None


def require_free(db: sqlite3.Connection, app_id: str, version_code: int) -> None:
    """Raises Refused (VERSION_EXISTS) if the app has a version with this code."""
    if is_placed(db, app_id, version_code):
        status = get(db, app_id, version_code).status
        raise Refused(
            "VERSION_EXISTS",
            f"{app_id} already has a version {version_code}, which is {SPOKEN[status]}: {FREED.get(status, '')}raise"
            " version_code.",
        )


def key_fault(db: sqlite3.Connection, app: apps.App, key_id: str, version_code: int) -> str | None:
    """Why `key_id` must not sign this version of `app`, as a sentence, or None."""
    signer = app_keys.signer(db, app.app_id, version_code)
    if signer and signer.key_id == key_id:  # perhaps of the owner before a transfer
        return keys.fault(db, key_id, keys.get(db, key_id).developer_id)
    if fault := keys.fault(db, key_id, app.developer_id):
        return fault
    if signer is None:
        return None
    since = {
        "pin": "pinned by the first publish",
        "rotation": f"by rotation from version_code {signer.from_version_code} on",
        "recovery": "by recovery",
    }[signer.kind]
    return f"Version {version_code} of {app.app_id} must be signed with key {signer.key_id} ({since}), not {key_id}."


def change(
    tx: sqlite3.Connection, actor: audit.Actor, app: apps.App, version_code: int, action: Action, reason: str = ""
) -> PlacedVersion:
    """Change the status of a version; the caller has checked that the actor may.

    Raises Refused (NOT_FOUND, WRONG_STATE; VALIDATION_ERROR without a reason where one is needed; VERSION_CONFLICT for
    a publish, UNTRUSTED_KEY for that and an unyank).
    """
    version, step, at = get(tx, app.app_id, version_code), TRANSITIONS[action], audit.stamp(tx)
    if step.needs_reason and not reason.strip():
        raise Refused("VALIDATION_ERROR", f"To {action} a version, give a reason.", ["reason: Field required."])
    _require_state(version, action, at)
    if action == "publish":
        require_newer(tx, app.app_id, version_code)
    if step.target == "published":
        if fault := key_fault(tx, app, version.key_id, version_code):
            raise Refused("UNTRUSTED_KEY", fault)
        if app_keys.latest(tx, app.app_id) is None:
            app_keys.add(tx, app.app_id, "pin", version.key_id, 1, at)
            audit.append(tx, actor, "key.pin", app.app_id, key_id=version.key_id)
    tx.execute(
        "UPDATE versions SET status = ?, status_at = ?, reasons = ?,"
        " published_at = CASE WHEN ? = 'published' THEN coalesce(published_at, ?) ELSE published_at END"
        " WHERE version_id = ?",
        (step.target, at, json.dumps([reason] if reason else []), step.target, at, version.version_id),
    )
    note_current(tx, app.app_id, at)
    audit.append(tx, actor, f"version.{action}", f"{app.app_id}/{version_code}", reason=reason)
    return get(tx, app.app_id, version_code)


def _require_state(version: PlacedVersion, action: Action, at: int) -> None:
    """Raises Refused (WRONG_STATE) if the version has another status than the action needs, or had it for too long."""
    step, named = TRANSITIONS[action], f"{version.app_id} {version.version_code}"
    if version.status != step.source:
        raise Refused(
            "WRONG_STATE",
            f"Only a version that is {SPOKEN[step.source]} can be {DONE[action]}; {named} is {SPOKEN[version.status]}.",
        )
    if step.within_days is not None and at - version.status_at > step.within_days * DAY:
        raise Refused(
            "WRONG_STATE",
            f"{named} has been {version.status} for more than {step.within_days} days: it is too late to {action} it.",
        )


def as_published(app: apps.App, version: PlacedVersion) -> apps.App:
    """The app as it is while this version is current: with name, description and homepage of its manifest.

    What the manifest leaves out is not shown: nobody has reviewed it.
    """
    described = json.loads(version.manifest)
    return replace(
        app, published_code=version.version_code, name=described["name"],
        description=described.get("description") or "", homepage=described.get("homepage"),
    )  # fmt: skip


def note_current(tx: sqlite3.Connection, app_id: str, at: int) -> None:
    """Make the highest published code current, and start the retention of the other published versions."""
    highest = tx.execute(
        "SELECT max(version_code) FROM versions WHERE app_id = ? AND status = 'published'", (app_id,)
    ).fetchone()[0]
    tx.execute(
        "UPDATE versions SET superseded_at = CASE WHEN version_code = ? THEN NULL ELSE coalesce(superseded_at, ?) END"
        " WHERE app_id = ? AND status = 'published'",
        (highest, at, app_id),
    )
    tx.execute("UPDATE apps SET published_code = ?, updated_at = ? WHERE app_id = ?", (highest, at, app_id))
    if highest is not None:
        app = as_published(apps.get(tx, app_id), get(tx, app_id, highest))
        tx.execute(
            "UPDATE apps SET name = ?, description = ?, homepage = ? WHERE app_id = ?",
            (app.name, app.description, app.homepage, app_id),
        )
    search.refresh(tx)
