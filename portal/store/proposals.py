"""Images that wait for a review: what an owner changed in the images of an app that was published.

Nobody sees them but the owner and reviewers. They lie beside the images of the app, under names of their own, until a
reviewer publishes them, with a version or by themselves; the digest of all images says what the reviewer has seen.
Images of an app that was never published need none of this: its first version is reviewed with them.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from portal.store import apps, audit, job_runs, placement, retention, reviews, webhooks
from portal.store.apps import App
from portal.store.asset_rows import COLUMNS, Asset, insert, of_app
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.layout import Layout, plain_name
from portal.store.pages import ALL, Page
from portal.store.placement import Staged
from portal.store.store import Store

DELETED = ""
"""In place of a digest: the image is to be deleted."""
WAITING = ("changed_at", "app_id")
KEPT_SECONDS = next(rule.seconds for rule in retention.RULES if rule.status == "rejected")
EXPIRED = "images"
"""The kind of rejected images in what cleanup reports and counts."""


@dataclass(frozen=True)
class Proposal:
    """Changed images of an app; times are seconds since 1970. A rejected one has a reason, and waits for its owner."""

    app_id: str
    changed_at: int
    rejected_at: int | None
    reason: str


PROPOSAL = ", ".join(Proposal.__dataclass_fields__)


def find(db: sqlite3.Connection, app_id: str) -> Proposal | None:
    """The proposal of an app, if there is one."""
    row = db.execute(f"SELECT {PROPOSAL} FROM proposals WHERE app_id = ?", (app_id,)).fetchone()
    return Proposal(*row) if row else None


def waiting(db: sqlite3.Connection, page: Page = ALL) -> list[Proposal]:
    """Proposals that wait for a reviewer, the longest wait first."""
    ordered, values = page.sql(WAITING)
    return [
        Proposal(*row)
        for row in db.execute(f"SELECT {PROPOSAL} FROM proposals WHERE rejected_at IS NULL{ordered}", values)
    ]


def changed(db: sqlite3.Connection, app_id: str) -> dict[str, Asset]:
    """The changed images by their plain names; those to be deleted have the digest DELETED."""
    rows = db.execute(f"SELECT {COLUMNS} FROM proposed_assets WHERE app_id = ? ORDER BY name", (app_id,))
    return {row["name"]: Asset(*row) for row in rows}


def applied(db: sqlite3.Connection, app_id: str) -> list[Asset]:
    """The images of an app as they are once its proposal is published, sorted by name."""
    every = {asset.name: asset for asset in of_app(db, app_id)} | changed(db, app_id)
    return [every[name] for name in sorted(every) if every[name].sha256 != DELETED]


def digest(images: Iterable[Asset]) -> str:
    """What a reviewer has seen, in hex: the SHA-256 of a line `<sha256>  <name>` for each image, sorted by name."""
    lines = (f"{image.sha256}  {image.name}\n" for image in sorted(images, key=lambda image: image.name))
    return sha256("".join(lines).encode()).hexdigest()


def is_needed(tx: sqlite3.Connection, store: Store, actor: audit.Actor, app: App) -> bool:
    """Whether what the actor changes in the images of the app waits for a review."""
    return apps.was_public(tx, app.app_id) and reviews.images_wait(tx, actor, store.settings.own_reviews)


def located(db: sqlite3.Connection, layout: Layout, app_id: str, name: str) -> tuple[Asset, Path] | None:
    """The changed image of this name with its digest, and its file."""
    asset = changed(db, app_id).get(plain_name(name))
    if asset is None or asset.sha256 == DELETED or name != asset.file_name:
        return None
    return asset, asset.proposed_path(layout)


def propose(
    tx: sqlite3.Connection, store: Store, actor: audit.Actor, app: App, action: str,
    put: Mapping[str, Staged], deleted: Collection[str] = (),
) -> list[Asset]:  # fmt: skip
    """Commit a change of images, by their plain names: files to `put`, of which each gets a link, and `deleted` ones.

    The caller has checked the quota. Raises Refused (FILE_NOT_FOUND).
    """
    public, before = {asset.name: asset for asset in of_app(tx, app.app_id)}, changed(tx, app.app_id)
    after = [Asset(app.app_id, name, image.size, image.sha256, now()) for name, image in put.items()]
    gone = [Asset(app.app_id, name, 0, DELETED, now()) for name in deleted]
    differ = [asset for asset in after if asset.name not in public or public[asset.name].sha256 != asset.sha256]
    differ += [asset for asset in gone if asset.name in public]
    placement.link_images(
        store.layout, {asset.proposed_path(store.layout): put[asset.name].path for asset in differ if asset.name in put}
    )
    _note(tx, app.app_id, {*put, *deleted}, differ)
    digests = {asset.name: asset.sha256 for asset in (*after, *gone)}
    audit.append(tx, actor, action, app.app_id, proposed=True, sha256=digests)
    kept = {asset.proposed_path(store.layout) for asset in changed(tx, app.app_id).values()}
    tx.execute("COMMIT")
    placement.remove({asset.proposed_path(store.layout) for asset in before.values()} - kept)
    return after


def _note(tx: sqlite3.Connection, app_id: str, names: Iterable[str], differ: Iterable[Asset]) -> None:
    """Have these rows of the names, which wait for a review; no proposal without rows."""
    tx.execute(
        "INSERT INTO proposals (app_id, changed_at) VALUES (?, ?) ON CONFLICT (app_id)"
        " DO UPDATE SET changed_at = excluded.changed_at, rejected_at = NULL, reason = ''",
        (app_id, now()),
    )
    tx.executemany("DELETE FROM proposed_assets WHERE app_id = ? AND name = ?", [(app_id, name) for name in names])
    insert(tx, differ, table="proposed_assets")
    tx.execute(
        "DELETE FROM proposals WHERE app_id = :app_id"
        " AND NOT EXISTS (SELECT 1 FROM proposed_assets WHERE app_id = :app_id)",
        {"app_id": app_id},
    )


def discard(store: Store, actor: audit.Actor, app: App) -> None:
    """Take a proposal back. Raises Refused (NOT_FOUND)."""
    with store.db.write() as tx:
        apps.owned(tx, app.app_id, app.developer_id)
        _require(tx, app.app_id)
        _drop(tx, store, actor, "images.discard", app.app_id)


def expired(db: sqlite3.Connection, at: int) -> list[str]:
    """The apps whose rejected images are kept no longer at the time `at`, in seconds since 1970."""
    rows = db.execute("SELECT app_id FROM proposals WHERE rejected_at <= ? ORDER BY app_id", (at - KEPT_SECONDS,))
    return [row[0] for row in rows]


def expire(store: Store, at: int, app_id: str) -> bool:
    """Delete the rejected images of an app, if they are still due."""
    with store.db.write() as tx:
        found = find(tx, app_id)
        if found is None or found.rejected_at is None or found.rejected_at > at - KEPT_SECONDS:
            return False
        job_runs.count(tx, "cleanup_deleted", EXPIRED, 1)
        _drop(tx, store, audit.OPERATOR, "images.expire", app_id)
    return True


def _drop(tx: sqlite3.Connection, store: Store, actor: audit.Actor, action: str, app_id: str) -> None:
    """Commit the end of a proposal that nobody published, and remove its files."""
    before = forget(tx, app_id)
    audit.append(tx, actor, action, app_id)
    tx.execute("COMMIT")
    placement.remove(asset.proposed_path(store.layout) for asset in before)


def publish(
    tx: sqlite3.Connection, store: Store, actor: audit.Actor, app: App, seen: str, reason: str = ""
) -> None:  # fmt: skip
    """Commit that the changed images are shown, of which a reviewer has `seen` all that is shown then.

    The app may have no proposal: then only the digest is checked. Raises Refused (WRONG_STATE for another digest;
    FORBIDDEN for an app of the actor's own, as for a version; FILE_NOT_FOUND for an image whose file is lost).
    """
    _require_seen(tx, app.app_id, seen)
    before, layout = changed(tx, app.app_id), store.layout
    if not before:
        return
    reviews.require_others(tx, actor, app, store.settings.own_reviews)
    put = [asset for asset in before.values() if asset.sha256 != DELETED]
    replaced = [asset for asset in of_app(tx, app.app_id) if asset.name in before]
    placement.link_images(layout, {asset.path(layout): asset.proposed_path(layout) for asset in put})
    tx.executemany("DELETE FROM assets WHERE app_id = ? AND name = ?", [(app.app_id, name) for name in before])
    insert(tx, put)
    forget(tx, app.app_id)
    digests = {asset.name: asset.sha256 for asset in before.values()}
    audit.append(tx, actor, "images.publish", app.app_id, sha256=digests, reason=reason)
    webhooks.announce_images(tx, app, "publish", reason)
    tx.execute("COMMIT")
    placement.finish_images(layout, put, replaced)
    placement.remove(asset.proposed_path(layout) for asset in put)


def reject(tx: sqlite3.Connection, actor: audit.Actor, app: App, seen: str, reason: str) -> None:
    """Let the owner change the images again. Raises Refused (NOT_FOUND, WRONG_STATE)."""
    found = _require(tx, app.app_id)
    _require_seen(tx, app.app_id, seen)
    if found.rejected_at is not None:
        raise Refused("WRONG_STATE", f"The images of {app.app_id} were rejected already.")
    tx.execute(
        "UPDATE proposals SET rejected_at = ?, reason = ? WHERE app_id = ?", (audit.stamp(tx), reason, app.app_id)
    )
    audit.append(tx, actor, "images.reject", app.app_id, reason=reason)
    webhooks.announce_images(tx, app, "reject", reason)


def _require(db: sqlite3.Connection, app_id: str) -> Proposal:
    found = find(db, app_id)
    if found is None:
        raise Refused("NOT_FOUND", f"No images of {app_id} wait for a review.")
    return found


def _require_seen(db: sqlite3.Connection, app_id: str, seen: str) -> None:
    present = digest(applied(db, app_id))
    if seen != present:
        raise Refused(
            "WRONG_STATE", f"The images of {app_id} were changed: their digest is {present}. Look at them again."
        )


def forget(tx: sqlite3.Connection, app_id: str) -> list[Asset]:
    """End a proposal, if there is one; the images whose files are to be removed after the COMMIT."""
    before = list(changed(tx, app_id).values())
    for table in ("proposed_assets", "proposals"):
        tx.execute(f"DELETE FROM {table} WHERE app_id = ?", (app_id,))
    return before
