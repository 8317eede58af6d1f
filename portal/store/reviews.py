"""Who may take a step of a version, beyond its scope and its status.

Nobody publishes a version of an app of their own: somebody else has to have seen it. The setting `own_reviews` says
whether that holds. With `auto` it does, unless nobody else could review, or this store did otherwise before it knew the
rule: an upgrade must not leave the one person of a small store without a way to publish.
"""

import sqlite3
from typing import Literal

from portal.store import audit, versions, webhooks
from portal.store.apps import App
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.layout import Layout
from portal.store.states import Action
from portal.store.store import Store
from portal.store.versions import PlacedVersion

OwnReviews = Literal["auto", "never", "always"]
BEFORE = "SELECT 1 FROM counters WHERE metric = 'own_reviews'"  # migration 6 notes it
OTHERS = (
    "SELECT 1 FROM tokens WHERE scope IN ('reviewer', 'admin') AND developer_id <> ? AND revoked_at IS NULL"
    " AND expires_at > ? LIMIT 1"
)
YANKED_BY = "SELECT actor FROM audit WHERE action = 'version.yank' AND subject = ? ORDER BY seq DESC LIMIT 1"


def step(
    tx: sqlite3.Connection, store: Store, actor: audit.Actor, app: App, version_code: int, action: Action,
    *, reason: str, sha256: str | None,
) -> PlacedVersion:  # fmt: skip
    """Change the status of a version as `versions.change` does, unless the package is not the one with this digest.

    Raises Refused (FORBIDDEN; WRONG_STATE for another package; FILE_NOT_FOUND for one that devices could not download)
    and as `versions.change` does.
    """
    version = versions.get(tx, app.app_id, version_code)
    if sha256 not in (None, version.sha256):
        raise Refused("WRONG_STATE", f"{app.app_id} {version_code} was uploaded anew: its SHA-256 is {version.sha256}.")
    if actor.developer_id in (app.developer_id, version.developer_id):
        _require_allowed(tx, actor, version, action, store.settings.own_reviews)
    changed = versions.change(tx, actor, app, version_code, action, reason)
    if changed.status == "published":
        _require_file(store.layout, changed)
    webhooks.announce(tx, app, changed, action)
    return changed


def _require_file(layout: Layout, version: PlacedVersion) -> None:
    if not layout.package(version.developer_id, version.app_id, version.version_code).exists():
        raise Refused(
            "FILE_NOT_FOUND",
            f"The package of {version.app_id} {version.version_code} is missing on the disk of the store, so no device"
            " could download it: let the operator run `mosis scrub --repair`.",
        )


def require_others(tx: sqlite3.Connection, actor: audit.Actor, app: App, policy: OwnReviews) -> None:
    """Raises Refused (FORBIDDEN) if the app is the actor's own and somebody else has to publish what is new of it."""
    if actor.developer_id == app.developer_id:
        _require_publisher(tx, actor, app.app_id, policy)


def images_wait(tx: sqlite3.Connection, actor: audit.Actor, policy: OwnReviews) -> bool:
    """Whether images of an own app wait for a review: not if nobody else could do it, nor for a reviewer who may."""
    if policy == "auto" and not _others(tx, actor):
        return False
    return actor.scope == "developer" or not _may_review_own(tx, actor, policy)


def _require_publisher(tx: sqlite3.Connection, actor: audit.Actor, app_id: str, policy: OwnReviews) -> None:
    if not _may_review_own(tx, actor, policy):
        raise Refused(
            "FORBIDDEN",
            f"{app_id} is your own app: another reviewer has to publish it, unless the setting own_reviews allows it.",
        )


def _require_allowed(
    tx: sqlite3.Connection, actor: audit.Actor, version: PlacedVersion, action: Action, policy: OwnReviews
) -> None:  # fmt: skip
    if action == "publish":
        _require_publisher(tx, actor, version.app_id, policy)
    if action == "unyank" and not _yanked(tx, actor, version):
        may = actor.scope != "developer" and _may_review_own(tx, actor, policy)
        if not may:
            raise Refused("FORBIDDEN", "A reviewer has yanked this version: only a reviewer can put it back.")


def _yanked(tx: sqlite3.Connection, actor: audit.Actor, version: PlacedVersion) -> bool:
    """Whether the actor itself has yanked the version."""
    row = tx.execute(YANKED_BY, (f"{version.app_id}/{version.version_code}",)).fetchone()
    return row is not None and row["actor"] == actor.developer_id


def _may_review_own(tx: sqlite3.Connection, actor: audit.Actor, policy: OwnReviews) -> bool:
    if policy != "auto":
        return policy == "always"
    return not _others(tx, actor) or tx.execute(BEFORE).fetchone() is not None


def _others(tx: sqlite3.Connection, actor: audit.Actor) -> bool:
    """Whether another developer has a token that can review."""
    return tx.execute(OTHERS, (actor.developer_id, now())).fetchone() is not None
