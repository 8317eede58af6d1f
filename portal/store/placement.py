"""How files and rows change together: new bytes lie beside the old ones, COMMIT decides, the old bytes go afterwards.

A package is linked from `temp/` to where its version has it, flushed, and becomes the version by the COMMIT of its row.
A directory that no row names is an orphan: never served, and removed by the next upload of that version, at the start
of a portal and by cleanup.

The file of an image has its digest in its name, so that it lies beside the one that it replaces. Its plain name, such
as `icon-32.png`, is a hard link made after the COMMIT, for people and for older releases.

A COMMIT that fails may come back: its row is in the WAL, and the next process that opens the database recovers it,
unless a later COMMIT has overwritten it. So what such a row may name is removed only after another COMMIT.
"""

import os
import secrets
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple
from pathlib import Path
from typing import NamedTuple

from portal.store import files, job_runs, versions
from portal.store.asset_rows import Asset
from portal.store.claims import claim
from portal.store.errors import DatabaseBusy, Refused
from portal.store.layout import PROPOSED, Layout, plain_name
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
            is_first = not versions.has_placed(store.db.read(), target.developer_id, target.app_id)
            directory = target.directory(store.layout)
            _link(source, directory, store.layout.area("packages") if is_first else directory.parent)
            with store.db.write() as tx:
                require(tx)
                placed = target.directory(store.layout) / PACKAGE
                placed.stat()  # a portal of an older release may take it for an orphan
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


class Staged(NamedTuple):
    """A flushed image under `temp/`; `size` in bytes, `sha256` in hex."""

    path: Path
    size: int
    sha256: str


@contextmanager
def staged(layout: Layout, images: Iterable[bytes]) -> Iterator[list[Staged]]:
    """The images, flushed before other writers have to wait for this one."""
    directory = layout.staging(f"images-{secrets.token_hex(8)}")
    directory.mkdir()
    try:
        yield [_stage(directory / str(number), image) for number, image in enumerate(images)]
    finally:
        with suppress(OSError):  # cleanup removes it
            files.discard(directory)


def _stage(path: Path, image: bytes) -> Staged:
    sink = files.Sink(path, len(image))
    try:
        sink.write(image)
        return Staged(path, *astuple(sink.finish()))
    finally:
        sink.close()


def place_images(layout: Layout, app_id: str, images: Mapping[str, Staged], present: Collection[str]) -> None:
    """Move images durably to where their rows, once they are committed, have them; the keys are their plain names.

    `present` are the plain names that have rows already.
    """
    paths = {layout.image(app_id, name, image.sha256): image.path for name, image in images.items()}
    directories = {path.parent for path in paths}
    flushed = {layout.asset(app_id, name).parent for name in present}
    for directory in directories:
        files.create_directory(directory)
    for path, staged_at in paths.items():
        staged_at.rename(path)
    for directory in directories:
        _flush(directory, directory if directory in flushed else layout.area("assets"))


def link_images(layout: Layout, sources: Mapping[Path, Path]) -> None:
    """Give images further names, durably; the keys are these, perhaps in directories that do not exist yet.

    Raises Refused (FILE_NOT_FOUND).
    """
    directories = {path.parent for path in sources}
    for directory in directories:
        files.create_directory(directory)
    for path, source in sources.items():
        try:
            name_image(source, path)
        except FileNotFoundError:
            if not source.is_relative_to(layout.area("assets")):  # it was uploaded a moment ago
                raise
            raise _lost(source.relative_to(layout.area("assets"))) from None  # the owner can replace it
    for directory in directories:
        _flush(directory, layout.area("assets"))


def _lost(image: Path) -> Refused:
    app_id, *name = image.parts
    plain = plain_name("/".join(name)).removeprefix(PROPOSED)
    return Refused(
        "FILE_NOT_FOUND",
        f"The file of {plain} of {app_id} is missing on the disk of the store: its owner has to upload it again or"
        " discard it, unless `mosis scrub --repair` finds a copy.",
    )


def name_image(path: Path, plain: Path) -> None:
    """Make the plain name of an image a link to its file. Call it after the COMMIT, before the next writer's turn."""
    beside = path.with_name(f".{plain.name}.{os.getpid()}.{secrets.token_hex(4)}")
    os.link(path, beside)
    try:
        beside.replace(plain)
    finally:
        beside.unlink(missing_ok=True)  # rename(2) leaves it if the name is that link already


def finish_images(layout: Layout, put: Collection[Asset], gone: Collection[Asset]) -> None:
    """Give images their plain names, and remove the files of those `gone`. Call it after the COMMIT of their rows.

    The images are complete, so cleanup does what fails here.
    """
    kept, replaced = (
        {path for asset in images for path in (asset.path(layout), asset.plain_path(layout))} for images in (put, gone)
    )
    with suppress(OSError):
        for asset in put:
            name_image(asset.path(layout), asset.plain_path(layout))
    remove(replaced - kept)


def remove(paths: Iterable[Path]) -> None:
    """Remove files that no row names; cleanup does what fails."""
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _withdraw(store: Store, target: Target) -> None:
    with store.db.write() as tx:
        if versions.is_placed(tx, target.app_id, target.version_code):
            return  # by a portal of an older release, which makes no claims
        aside = set_aside(store.layout, target.directory(store.layout))
    if aside:
        files.discard(aside)


def _link(source: Path, directory: Path, top: Path) -> None:
    """Link the files of a package durably. With all entries made first, one fsync writes what the others wait for."""
    files.create_directory(directory)
    for name in (PACKAGE, MANIFEST):
        os.link(source / name, directory / name)
    for name in (PACKAGE, MANIFEST):
        files.flush_file(directory / name)
    _flush(directory, top)


def _flush(directory: Path, top: Path) -> None:
    """Flush a directory and its ancestors up to `top`.

    Ancestors count as flushed once a row names something in them. That they exist says nothing: another request may
    have made them and not flushed them yet, or have failed after it made them.
    """
    for path in (directory, *directory.parents):
        files.flush_directory(path)
        if path == top:
            return
