"""How files and rows change together: new bytes lie beside the old ones, COMMIT decides, the old bytes go afterwards.

A package is linked from `temp/` to where its version has it, flushed, and becomes the version by the COMMIT of its row.
A directory that no row names is an orphan: never served, and removed by the next upload of that version, at the start
of a portal and by cleanup.

A COMMIT that fails may come back: its row is in the WAL, and whoever opens the database next recovers it, unless a
later COMMIT has overwritten it. So what such a row may name is removed only after another COMMIT.
"""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from portal.store import files, job_runs, versions
from portal.store.claims import claim
from portal.store.errors import DatabaseBusy
from portal.store.layout import Layout
from portal.store.store import Store

PACKAGE, MANIFEST = "package.mosis", "manifest.json"


class Target(NamedTuple):
    """A version that a package is to become."""

    developer_id: str
    app_id: str
    version_code: int

    def directory(self, layout: Layout) -> Path:
        return layout.package_directory(*self)


@contextmanager
def linked(
    store: Store, source: Path, target: Target, require: Callable[[sqlite3.Connection], None]
) -> Iterator[sqlite3.Connection]:  # fmt: skip
    """A transaction whose COMMIT, at the end of the block, makes the files in `source` those of the version.

    `require` raises if the version must not be placed; it runs before the files are linked, and in the transaction.
    Until the COMMIT nothing happens to `source`, so the block can be tried again.
    """
    committing = False
    with claimed(store.layout, target.app_id):
        require(store.db.read())
        if target.directory(store.layout).exists():
            remove_orphan(store, target)
        try:
            _link(source, target.directory(store.layout))
            with store.db.write() as tx:
                require(tx)
                (
                    target.directory(store.layout) / PACKAGE
                ).stat()  # a portal of an older release may take it for an orphan
                yield tx
                committing = True
                tx.execute("COMMIT")
        except BaseException:
            if not committing:
                with suppress(OSError, sqlite3.Error, DatabaseBusy):  # it stays an orphan
                    _withdraw(store, target)
            raise
    with suppress(OSError):  # the version is complete, whatever becomes of this
        files.discard(source)


@contextmanager
def claimed(layout: Layout, app_id: str) -> Iterator[None]:
    """Place or remove packages of this app alone; a package has no row while it is linked."""
    with claim(layout.claims, f"packages of {app_id}", wait=True):
        yield


def remove_orphan(store: Store, target: Target) -> bool:
    """Remove the directory of a version that has no row; the caller holds the app's claim. Returns whether it did."""
    with store.db.write() as tx:
        if versions.is_placed(tx, target.app_id, target.version_code):
            return False
        job_runs.count(tx, "cleanup_deleted", "orphan", 1)
        tx.execute("COMMIT")  # from here on no failed COMMIT can bring a row back
        aside = set_aside(store.layout, target.directory(store.layout))
    if aside:
        files.discard(aside)
    return aside is not None


def set_aside(layout: Layout, path: Path) -> Path | None:
    """Move a file or directory whose row is gone under `temp/`, for the caller to discard; None if it is not there.

    Call it after the COMMIT, before the next writer's turn, which may put another file there.
    """
    aside = layout.staging(f"removed-{secrets.token_hex(8)}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return None
    return aside


def _withdraw(store: Store, target: Target) -> None:
    with store.db.write() as tx:
        if versions.is_placed(tx, target.app_id, target.version_code):
            return  # by a portal of an older release, which makes no claims
        aside = set_aside(store.layout, target.directory(store.layout))
    if aside:
        files.discard(aside)


def _link(source: Path, directory: Path) -> None:
    """Link the files of a package durably. All entries are made first: then one fsync writes what the others wait for.

    The ancestors of a new app's directory are flushed whether or not they are new: another upload may just have made
    them.
    """
    is_new = not directory.parent.exists()
    files.create_directory(directory)
    for name in (PACKAGE, MANIFEST):
        os.link(source / name, directory / name)
    for name in (PACKAGE, MANIFEST):
        files.flush_file(directory / name)
    for path in [directory, *directory.parents[: 3 if is_new else 1]]:
        files.flush_directory(path)
