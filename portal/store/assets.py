"""Icons and screenshots of an app: PNG files that devices download."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from portal.store import apps, audit, budget, placement, proposals
from portal.store.apps import App
from portal.store.asset_rows import COLUMNS, Asset, insert, of_app
from portal.store.clock import now
from portal.store.errors import Gone, Refused
from portal.store.layout import IMAGE_DIGITS, Layout, plain_name
from portal.store.placement import Staged
from portal.store.store import Store

SCREENSHOTS = "screenshots/"
SCREENSHOTS_MAX = 5
NAMES = rf"(?:icon-(?:32|64|128)|screenshots/[1-{SCREENSHOTS_MAX}])(?:\.[0-9a-f]{{{IMAGE_DIGITS}}})?\.png"
"""A pattern: the names of images, plain or with their digest."""


def get(db: sqlite3.Connection, app_id: str, name: str) -> Asset:
    """Raises Refused (NOT_FOUND)."""
    row = db.execute(f"SELECT {COLUMNS} FROM assets WHERE app_id = ? AND name = ?", (app_id, name)).fetchone()
    if row is None:
        raise _missing(app_id, name)
    return Asset(**row)


def has(db: sqlite3.Connection, app_id: str, name: str) -> bool:
    """Whether the app has an image of this name, plain or with its digest."""
    return any(name in (asset.name, asset.file_name) for asset in of_app(db, app_id))


def _missing(app_id: str, name: str) -> Refused:
    kind = Gone if name == plain_name(name) else Refused  # the names with other digests are without number
    return kind("NOT_FOUND", f"{app_id} has no {name}.")


def screenshot_numbers(db: sqlite3.Connection, app_id: str) -> list[int]:
    """The numbers of the screenshots of an app, in their order, as its owner has changed them."""
    names = (asset.name for asset in proposals.applied(db, app_id) if asset.name.startswith(SCREENSHOTS))
    return [int(name.removeprefix(SCREENSHOTS).removesuffix(".png")) for name in names]


def located(db: sqlite3.Connection, layout: Layout, app_id: str, name: str) -> tuple[Asset, Path]:
    """The image of a name, plain or with the digest, and its file, which an older release stored under the plain name.

    Raises Refused (NOT_FOUND), also for the digest of an image that was replaced.
    """
    plain = plain_name(name)
    while True:
        asset = get(db, app_id, plain)
        if name not in (plain, asset.file_name):
            raise _missing(app_id, name)
        if (path := asset.path(layout)).exists():
            return asset, path
        if get(db, app_id, plain) == asset:  # else it was replaced meanwhile, and its file removed
            return asset, asset.plain_path(layout)


def put_icon(store: Store, actor: audit.Actor, app: App, sizes: dict[int, bytes]) -> list[Asset]:
    """Replace the icon: `sizes` has one PNG per edge length in pixels."""
    names = [f"icon-{edge}.png" for edge in sizes]
    with placement.staged(store.layout, sizes.values()) as images, store.db.write() as tx:
        return _put(store, tx, actor, app, "icon.put", dict(zip(names, images, strict=True)))


def add_screenshot(store: Store, actor: audit.Actor, app: App, png: bytes) -> Asset:
    """Store a screenshot under the lowest free number. Raises Refused (TOO_MANY_SCREENSHOTS, and as `_put`)."""
    with placement.staged(store.layout, [png]) as images, store.db.write() as tx:
        taken = {asset.name for asset in proposals.applied(tx, app.app_id)}
        name = next((name for name in map(_screenshot, range(1, SCREENSHOTS_MAX + 1)) if name not in taken), None)
        if name is None:
            raise Refused(
                "TOO_MANY_SCREENSHOTS", f"{app.app_id} already has {SCREENSHOTS_MAX} screenshots; delete one first."
            )
        return _put(store, tx, actor, app, "screenshot.put", {name: images[0]})[0]


def put_screenshot(store: Store, actor: audit.Actor, app: App, number: int, png: bytes) -> Asset:
    """Store screenshot `number`, 1 to 5, replacing an existing one. Raises Refused (NOT_FOUND)."""
    name = _screenshot(number)
    with placement.staged(store.layout, [png]) as images, store.db.write() as tx:
        return _put(store, tx, actor, app, "screenshot.put", {name: images[0]})[0]


def delete_screenshot(store: Store, actor: audit.Actor, app: App, number: int) -> None:
    """Delete one screenshot; the others keep their numbers. Raises Refused (NOT_FOUND)."""
    name = _screenshot(number)
    with store.db.write() as tx:
        apps.owned(tx, app.app_id, app.developer_id)
        if proposals.is_needed(tx, store, actor, app):
            if not any(asset.name == name for asset in proposals.applied(tx, app.app_id)):
                raise _missing(app.app_id, name)
            proposals.propose(tx, store, actor, app, "screenshot.delete", {}, [name])
            return
        deleted = get(tx, app.app_id, name)
        tx.execute("DELETE FROM assets WHERE app_id = ? AND name = ?", (app.app_id, name))
        audit.append(tx, actor, "screenshot.delete", f"{app.app_id}/{name}")
        tx.execute("COMMIT")
        placement.finish_images(store.layout, [], [deleted])


def order_screenshots(store: Store, actor: audit.Actor, app: App, order: Sequence[int]) -> list[Asset]:
    """Renumber the screenshots from 1 on: `order` has the present number of each. Returns them in that order.

    Raises Refused (NOT_FOUND; FILE_NOT_FOUND; VALIDATION_ERROR unless `order` has each present number once).
    """
    with store.db.write() as tx:
        apps.owned(tx, app.app_id, app.developer_id)
        seen = proposals.applied(tx, app.app_id)
        present = {asset.name: asset for asset in seen if asset.name.startswith(SCREENSHOTS)}
        if sorted(f"{SCREENSHOTS}{number}.png" for number in order) != [*present]:
            raise Refused("VALIDATION_ERROR", "The order is invalid.", ["order: Name each screenshot exactly once."])
        before = [present[_screenshot(number)] for number in order]
        after = [_renamed(asset, _screenshot(at)) for at, asset in enumerate(before, start=1)]
        if after != [*present.values()] and proposals.is_needed(tx, store, actor, app):
            _propose_order(tx, store, actor, app, before, after)
        elif after != [*present.values()]:
            _renumber(store, tx, actor, before, after)
    return after


def _propose_order(
    tx: sqlite3.Connection, store: Store, actor: audit.Actor, app: App, before: list[Asset], after: list[Asset]
) -> None:  # fmt: skip
    """Propose the images `before` under the names `after`; each has its file, proposed or published."""
    put = {}
    for old, new in zip(before, after, strict=True):
        found = proposals.located(tx, store.layout, old.app_id, old.file_name)
        path = found[1] if found else _stored(store.layout, old)
        put[new.name] = Staged(path, new.size, new.sha256)
    names = {asset.name for asset in before} - put.keys()
    proposals.propose(tx, store, actor, app, "screenshot.put", put, names)


def _renamed(asset: Asset, name: str) -> Asset:
    return asset if name == asset.name else replace(asset, name=name, updated_at=now())


def _renumber(
    store: Store, tx: sqlite3.Connection, actor: audit.Actor, before: list[Asset], after: list[Asset]
) -> None:  # fmt: skip
    """Commit the rows `after` instead of `before`, which are of the same images; their files get a second name."""
    old, new = ([asset.path(store.layout) for asset in found] for found in (before, after))
    placement.link_images(
        store.layout,
        {path: _stored(store.layout, asset) for path, asset in zip(new, before, strict=True) if path not in old},
    )
    tx.executemany("DELETE FROM assets WHERE app_id = ? AND name = ?", [(a.app_id, a.name) for a in before])
    insert(tx, after)
    audit.append(tx, actor, "screenshot.put", after[0].app_id, sha256={asset.name: asset.sha256 for asset in after})
    tx.execute("COMMIT")
    placement.finish_images(store.layout, after, before)


def _stored(layout: Layout, asset: Asset) -> Path:
    """The file of an image, which an older release stored under its plain name."""
    path = asset.path(layout)
    return path if path.exists() else asset.plain_path(layout)


def _screenshot(number: int) -> str:
    if not 1 <= number <= SCREENSHOTS_MAX:
        raise Refused("NOT_FOUND", f"Screenshot numbers are 1 to {SCREENSHOTS_MAX}.")
    return f"{SCREENSHOTS}{number}.png"


def _put(
    store: Store, tx: sqlite3.Connection, actor: audit.Actor, app: App, action: str, images: dict[str, Staged]
) -> list[Asset]:
    """Place images and commit their rows in the caller's transaction, so that requests never mix theirs.

    Raises Refused (QUOTA_EXCEEDED, STORAGE_FULL; NOT_FOUND for an app that is another's by now).
    """
    apps.owned(tx, app.app_id, app.developer_id)  # it may have been deleted or transferred meanwhile
    if proposals.is_needed(tx, store, actor, app):
        budget.require(tx, store, app.developer_id, sum(image.size for image in images.values()))
        return proposals.propose(tx, store, actor, app, action, images)
    present = of_app(tx, app.app_id)
    replaced = [asset for asset in present if asset.name in images]
    more = sum(image.size for image in images.values()) - sum(asset.size for asset in replaced)
    budget.require(tx, store, app.developer_id, max(more, 0))
    put = [Asset(app.app_id, name, image.size, image.sha256, now()) for name, image in images.items()]
    placement.place_images(store.layout, app.app_id, images, {asset.name for asset in present})
    insert(tx, put)
    audit.append(tx, actor, action, app.app_id, sha256={asset.name: asset.sha256 for asset in put})
    tx.execute("COMMIT")
    placement.finish_images(store.layout, put, replaced)
    return put
