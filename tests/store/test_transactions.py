"""Nothing is decided on what was read before the write lock was held: by then another writer may have changed it."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import portal.store
from portal.store import (
    apps,
    assets,
    audit,
    awaited,
    deletion,
    files,
    placement,
    proposals,
    refusals,
    signed_uploads,
    transfers,
    uploads,
)  # fmt: skip
from portal.store.database import connect
from portal.store.errors import Refused
from portal.store.store import Store
from tests.packages.samples import APP_ID
from tests.support.many import add_version
from tests.support.portal import add_developer

ACTOR = audit.Actor("acme", "developer", None, "test")
ADMIN = audit.Actor("admin", "admin", None, "test")

READ_FIRST = {
    "awaited.want": "reads what is wanted; the job alone changes what it reads, and asking twice is asking once",
    "signed_uploads.issue": "looks for expired uploads to discard, and checks the quota again in its transaction",
    "signed_uploads.held": "locks the upload's file, which no other request can change then",
    "signed_uploads.terminate": "as `held`",
    "signed_uploads.complete": "as `held`",
    "uploads.complete": "no writer waits while a package is checked; what may change meanwhile is checked again",
    "uploads.receiving": "runs the caller's block",
    "leftovers.found": "writes nothing",
    "leftovers.ownerless": "writes nothing",
    "leftovers.unnamed": "writes nothing",
    "leftovers.sweep": "runs while leftovers are listed; each is checked again in the transaction that removes it",
    "leftovers.name_images": "looks for images without both names, and checks their rows again in its transaction",
    "placement.linked": "no writer waits while files are flushed; what may change meanwhile is checked again",
    "changes.files": "writes nothing",
    "id_tokens.key_file": "writes nothing",
    "id_tokens.verified": "writes nothing",
    "passkeys.registration": "writes nothing",
    "passkeys.authentication": "writes nothing",
    "passkeys.register": "checks a signature before; whether the token is still valid, in its transaction",
    "passkeys.sign_in": "checks a signature before; whether it was used, in its transaction",
    "uploads.new": "writes nothing",
    "uploads.limits": "writes nothing",
}
"""Functions of a store that may read before they write, each with its reason."""

Write = Callable[[Store, apps.App], object]

WRITES: dict[str, Write] = {
    "assets.put_icon": lambda store, app: assets.put_icon(store, ACTOR, app, {32: b"png"}),
    "assets.add_screenshot": lambda store, app: assets.add_screenshot(store, ACTOR, app, b"png"),
    "assets.put_screenshot": lambda store, app: assets.put_screenshot(store, ACTOR, app, 1, b"png"),
    "assets.delete_screenshot": lambda store, app: assets.delete_screenshot(store, ACTOR, app, 5),
    "assets.order_screenshots": lambda store, app: assets.order_screenshots(store, ACTOR, app, [5]),
    "awaited.refused": lambda store, app: awaited.refused(store, transfer(store), Refused("X", "")),
    "awaited.unavailable": lambda store, app: awaited.unavailable(store, transfer(store)),
    "deletion.delete_app": lambda store, app: deletion.delete_app(store, ADMIN, app.app_id, "So."),
    "deletion.delete_version": lambda store, app: deletion.delete_version(store, ADMIN, app.app_id, 7, "So."),
    "transfers.transfer": lambda store, app: transfers.transfer(store, ADMIN, app.app_id, "other", "So."),
    "proposals.discard": lambda store, app: proposals.discard(store, ACTOR, app),
    "proposals.expire": lambda store, app: proposals.expire(store, 0, app.app_id),
    "placement.remove_orphan": lambda store, app: placement.remove_orphan(
        store, placement.Target(app.developer_id, app.app_id, 1)
    ),
    "refusals.record": lambda store, _: refusals.record(store, ACTOR, refusals.ACTION, "0123", "acme"),
    "signed_uploads.renew": lambda store, app: signed_uploads.renew(store, "open"),
    "uploads.begin": lambda store, app: uploads.begin(store, uploads.new(store, app)),
    "uploads.abandon": lambda store, app: uploads.abandon(store, upload(store, app)),
    "uploads.forget": lambda store, app: uploads.forget(store, "open"),
    "uploads.fail": lambda store, app: uploads.fail(store, ACTOR, upload(store, app), ["reason"]),
}


def transfer(store: Store) -> signed_uploads.Transfer:
    """As the job has it, which read it long ago."""
    with closing(connect(store.layout.database, litestream=False)) as db:
        return signed_uploads.find(db, "open")


def upload(store: Store, app: apps.App) -> uploads.Upload:
    return uploads.Upload("open", app, Path(store.layout.staging("open")))


def functions_of_a_store() -> set[str]:
    """The public functions that take a store, as `module.function`."""
    found = set()
    for module in pkgutil.iter_modules(portal.store.__path__):
        loaded = importlib.import_module(f"portal.store.{module.name}")
        for name, function in inspect.getmembers(loaded, inspect.isfunction):
            own = function.__module__ == loaded.__name__ and not name.startswith("_")
            if own and next(iter(inspect.signature(function).parameters), None) == "store":
                found.add(f"{module.name}.{name}")
    return found


def test_every_function_that_writes_is_listed_here() -> None:
    assert functions_of_a_store() == set(WRITES) | set(READ_FIRST)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_function_that_writes_reads_inside_its_transaction(store: Store, write: Write) -> None:
    add_developer(store, "acme", key=None)
    add_developer(store, "other", key=None)
    with store.db.write() as tx:
        app = apps.add(tx, ACTOR, APP_ID, "Reader", "")
        add_version(store, tx, APP_ID, 7)
    assets.put_screenshot(store, ACTOR, app, 5, b"png")
    files.write_file(upload(store, app).package, b"")
    with store.db.write() as tx:
        uploads.note(tx, store, upload(store, app))
        tx.execute("INSERT INTO uploads (upload_id, developer_id, size, expires_at) VALUES ('open', 'acme', 1, 0)")
        tx.execute("INSERT INTO proposals (app_id, changed_at) VALUES (?, 1)", (app.app_id,))

    statements: list[str] = []
    store.db.read().set_trace_callback(statements.append)
    write(store, app)
    statements = [statement for statement in statements if not statement.startswith("PRAGMA synchronous")]
    assert statements[0] == "BEGIN IMMEDIATE"
    assert statements[-1] == "COMMIT"
