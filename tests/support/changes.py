"""A store in which something is about to change, each change, and whether a store is whole."""

import hashlib
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from portal.jobs import cleanup
from portal.store import (
    apps,
    assets,
    audit,
    deletion,
    files,
    known_files,
    leftovers,
    proposals,
    reviews,
    signed_uploads,
    uploads,
    versions,
)
from portal.store.clock import now
from portal.store.leftovers import Leftover
from portal.store.store import Store, open_store
from tests.packages.samples import APP_ID, make_package
from tests.support.portal import add_developer, make_store

DEVELOPER = audit.Actor("acme", "developer", None, "test")
REVIEWER = audit.Actor("second", "reviewer", None, "test")
SHOWN = "org.example.shown"
DAY = 86400
BODY_BYTES = 300_000
RECORDS = ("developer.json", "app.json", "version.json")  # cleanup writes them beside the packages


@dataclass(frozen=True)
class World:
    """A closed store with an app that has an old draft, images, a complete upload and an incomplete one.

    The app SHOWN has a published version, and one in review with changed images.
    """

    root: Path
    whole: str
    part: str
    package: Path
    other_draft: Path

    def copy(self, to: Path) -> "World":
        """Hard links stay hard links."""
        shutil.rmtree(to, ignore_errors=True)
        subprocess.run(["cp", "-a", self.root, to], check=True)
        return replace(self, root=to)

    def open(self) -> Store:
        return open_store(settings_of(self.root))


def settings_of(root: Path):
    from portal import settings

    return settings.parse({"root": str(root), "litestream": False})


def make_world(directory: Path) -> World:
    store = make_store(directory / "world")
    packages = []
    for code in (1, 2, 3):
        packages.append(directory / f"{code}.mosis")
        make_package(packages[-1], version_code=code, payload_bytes=BODY_BYTES)
    make_package(directory / "other.mosis", version_code=1, payload_bytes=2)
    add_developer(store, "acme")
    with store.db.write() as tx:
        app = apps.add(tx, DEVELOPER, APP_ID, "Reader", "")
    _upload(store, app, packages[0])
    whole, part = (_issue(store, app, packages[1], part) for part in (1, 2))
    assets.put_icon(store, DEVELOPER, app, {32: b"old 32", 64: b"old 64", 128: b"old 128"})
    for png in (b"old 1", b"old 2"):
        assets.add_screenshot(store, DEVELOPER, app, png)
    with store.db.write() as tx:
        tx.execute("UPDATE versions SET status_at = ? WHERE status = 'draft'", (now() - 31 * DAY,))
    _show(store, directory)
    store.db.close()
    return World(store.layout.root, whole, part, packages[2], directory / "other.mosis")


def _show(store: Store, directory: Path) -> None:
    add_developer(store, "second", None, "reviewer")
    with store.db.write() as tx:
        apps.add(tx, DEVELOPER, SHOWN, "Shown", "")
    app = apps.get(store.db.read(), SHOWN)
    assets.put_icon(store, DEVELOPER, app, {32: b"shown 32", 64: b"shown 64", 128: b"shown 128"})
    for png in (b"shown 1", b"shown 2"):
        assets.add_screenshot(store, DEVELOPER, app, png)
    for code, actions in ((1, ("submit", "publish")), (2, ("submit",))):
        package = directory / f"shown-{code}.mosis"
        make_package(package, app_id=SHOWN, version_code=code, payload_bytes=1)
        _upload(store, app, package)
        for action in actions:
            with store.db.write() as tx:
                versions.change(tx, audit.OPERATOR, apps.get(tx, SHOWN), code, action)
    assets.put_icon(store, DEVELOPER, app, {32: b"changed 32", 64: b"changed 64", 128: b"changed 128"})
    assets.delete_screenshot(store, DEVELOPER, app, 1)


def _upload(store: Store, app: apps.App, package: Path, *, replacing: bool = False) -> None:
    with uploads.receiving(store, app) as incoming:
        sink = files.Sink(incoming.package, 10**9, durable=False)
        sink.write(package.read_bytes())
        uploads.complete(store, DEVELOPER, incoming, sink.finish(), replace=replacing)


def _issue(store: Store, app: apps.App, package: Path, part: int) -> str:
    body = package.read_bytes()
    transfer = signed_uploads.issue(store, app, len(body), None)
    _append(store, transfer.upload_id, body[: len(body) // part])
    return transfer.upload_id


def _append(store: Store, upload_id: str, body: bytes) -> None:
    with signed_uploads.held(store, upload_id) as upload:
        upload.append([body])


def _app(store: Store) -> apps.App:
    return apps.get(store.db.read(), APP_ID)


def _shown(store: Store) -> apps.App:
    return apps.get(store.db.read(), SHOWN)


def _seen(store: Store) -> str:
    return proposals.digest(proposals.applied(store.db.read(), SHOWN))


def _approve(store: Store) -> None:
    with store.db.write() as tx:
        app = apps.get(tx, SHOWN)
        reviews.step(tx, store, REVIEWER, app, 2, "publish", reason="", sha256=None)
        proposals.publish(tx, store, REVIEWER, app, _seen(store))


def _reject(store: Store) -> None:
    with store.db.write() as tx:
        proposals.reject(tx, REVIEWER, apps.get(tx, SHOWN), _seen(store), "It is blurred.")


CHANGES: Mapping[str, Callable[[Store, World], object]] = {
    "an upload by form": lambda store, world: _upload(store, _app(store), world.package),
    "a signed upload completed": lambda store, world: signed_uploads.complete(store, DEVELOPER, world.whole),
    "a signed upload issued": lambda store, world: signed_uploads.issue(store, _app(store), 1000, None),
    "a body continued": lambda store, world: _append(store, world.part, b"more" * 25_000),
    "an upload terminated": lambda store, world: signed_uploads.terminate(store, world.part),
    "an icon replaced": lambda store, world: assets.put_icon(
        store, DEVELOPER, _app(store), {32: b"new 32", 64: b"new 64", 128: b"new 128"}
    ),
    "a screenshot added": lambda store, world: assets.add_screenshot(store, DEVELOPER, _app(store), b"new 3"),
    "a screenshot replaced": lambda store, world: assets.put_screenshot(store, DEVELOPER, _app(store), 1, b"new 1"),
    "a screenshot deleted": lambda store, world: assets.delete_screenshot(store, DEVELOPER, _app(store), 2),
    "screenshots ordered": lambda store, world: assets.order_screenshots(store, DEVELOPER, _app(store), [2, 1]),
    "a draft deleted": lambda store, world: deletion.delete_version(store, DEVELOPER, APP_ID, 1, ""),
    "an app deleted": lambda store, world: deletion.delete_app(store, audit.OPERATOR, APP_ID, "By order of a court."),
    "a draft expired": lambda store, world: cleanup.cleanup(store, force=True),
    "a draft replaced": lambda store, world: _upload(store, _app(store), world.other_draft, replacing=True),
    "images changed again": lambda store, world: assets.put_icon(
        store, DEVELOPER, _shown(store), {32: b"better 32", 64: b"changed 64", 128: b"better 128"}
    ),
    "changed images ordered": lambda store, world: assets.order_screenshots(store, DEVELOPER, _shown(store), [2]),
    "a version published with changed images": lambda store, world: _approve(store),
    "changed images rejected": lambda store, world: _reject(store),
    "changed images discarded": lambda store, world: proposals.discard(store, DEVELOPER, _shown(store)),
}

State = list[tuple[object, ...]]
ROWS = (
    "SELECT 'version', app_id, version_code, status, sha256 FROM versions WHERE version_code NOT NULL",
    "SELECT 'image', app_id, name, sha256 FROM assets",
    "SELECT 'changed', app_id, name, sha256 FROM proposed_assets",
    "SELECT 'proposal', app_id, reason FROM proposals",
)


def between(name: str, old: State) -> list[State]:
    """What a crash may leave of a change in two transactions: a draft has to go before another one takes its place."""
    return [[row for row in old if row[:3] != ("version", APP_ID, 1)]] if name == "a draft replaced" else []


def state(world: World) -> State:
    """What the store has, in which every file must be as its row says; identifiers of new uploads are left out."""
    store = world.open()
    with closing(store.db):
        db, root = store.db.read(), store.layout.root
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert audit.first_fault(db) is None
        for file in known_files.every(db, store.layout):
            assert file.is_good(root), f"{file.path} is not as its row says"
            if file.manifest is not None:
                assert (root / file.path).with_name("manifest.json").read_text() == file.manifest
        open_uploads = "SELECT upload_id, received, size FROM uploads ORDER BY size, received"
        found: State = [tuple(row) for query in ROWS for row in db.execute(f"{query} ORDER BY 2, 3")]
        for row in db.execute(open_uploads):
            with suppress(FileNotFoundError):  # an upload that is being removed: the next request finds none
                found.append(("upload", row["size"], row["received"], _body(store, row)))
        return found


def _body(store: Store, row: sqlite3.Row) -> str:
    """The digest of the bytes that have been acknowledged."""
    body = (store.layout.staging(row["upload_id"]) / "package.mosis").read_bytes()[: row["received"]]
    assert len(body) == row["received"], "acknowledged bytes are missing"
    return hashlib.sha256(body).hexdigest()


def start(world: World) -> list[Leftover]:
    """What a portal does at its start while no other one runs, ten minutes later: what jobs left is recognized then."""
    store, removed, failed = world.open(), list[Leftover](), list[str]()
    at = now() + 1 + leftovers.PARTIAL_SECONDS
    with closing(store.db):
        ownerless = leftovers.ownerless(store, is_job_running=False)
        leftovers.sweep(store, leftovers.found(store, at, ownerless), removed.append, failed.append)
        leftovers.name_images(store)
    assert failed == []
    return removed


def others(world: World) -> set[str]:
    """Files and directories that no row names, and names that a row should have, as paths below the root."""
    store = world.open()
    with closing(store.db):
        db, root = store.db.read(), store.layout.root
        wanted = {store.layout.presign_keys}
        open_uploads = {store.layout.staging(row[0]) for row in db.execute("SELECT upload_id FROM uploads")}
        wanted |= {directory / "package.mosis" for directory in open_uploads}
        for file in known_files.every(db, store.layout):
            wanted |= {root / file.path}
            wanted |= {root / file.plain} if file.plain else set()
            wanted |= {(root / file.path).with_name("manifest.json")} if file.manifest is not None else set()
        forms = db.execute(f"SELECT version_id FROM versions WHERE {leftovers.FORMS}").fetchall()
    found = {path for path in root.rglob("*") if path.is_file() and path.name not in RECORDS}
    found = {path for path in found if path.parent != root / "data" or path.name.startswith(".")}
    found = {path for path in found if path in wanted or path.parent not in open_uploads}  # what goes with the upload
    temporary = set((root / "temp").iterdir()) - {path.parent for path in wanted}
    return {str(path.relative_to(root)) for path in (found ^ wanted) | temporary} | {row[0] for row in forms}
