"""Every file that has a row in the database, for jobs that copy, verify, restore or mend files."""

import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from portal.store import files, versions
from portal.store.layout import Layout

PAGE = 500
"""Rows per read: one long read would keep the WAL from being checkpointed."""


class Position(NamedTuple):
    """Where a file comes in the order of `every`: packages by app and version code, then images by app and name, then
    those that wait for a review.
    """

    part: int
    app_id: str
    key: int | str


@dataclass(frozen=True)
class NamedFile:
    """`path` is relative to the root and to the trees of the backup drive; `size` is bytes, `sha256` hex; only packages
    have a `manifest`. What was written under this path before `since`, in seconds since 1970, may be another file.
    Only published images have a `plain` name: that of older releases, beside the one with the digest.
    """

    position: Position
    path: Path
    size: int
    sha256: str
    manifest: str | None = None
    since: int = 0
    plain: Path | None = None

    def below(self, root: Path) -> Path:
        """Where the file is below `root`, or should be."""
        if self.plain and not (root / self.path).exists() and (root / self.plain).exists():
            return root / self.plain
        return root / self.path

    def is_good(self, root: Path) -> bool:
        """Whether the file below `root` exists with the size and the digest that the database has.

        Only a regular file is read: on a drive of somebody else a name may be a pipe, or lead to a device without end.
        """
        try:
            path = self.below(root)
            found = path.stat()
            regular = stat.S_ISREG(found.st_mode) and found.st_size == self.size
            return regular and files.digest(path) == self.sha256
        except OSError:
            return False


@dataclass(frozen=True)
class _Part:
    """One kind of file: its rows after a key, in order, and one row by its key."""

    rows: str
    row: str
    first: int | str
    to_file: Callable[[Layout, sqlite3.Row], NamedFile]


def _package(layout: Layout, row: sqlite3.Row) -> NamedFile:
    version = versions.PlacedVersion(*row)
    path = layout.package(version.developer_id, version.app_id, version.version_code)
    position = Position(0, version.app_id, version.version_code)
    path = path.relative_to(layout.root)
    return NamedFile(position, path, version.size, version.sha256, version.manifest, version.created_at)


def _image(layout: Layout, row: sqlite3.Row) -> NamedFile:
    app_id, name, size, sha256 = row
    path, plain = layout.image(app_id, name, sha256), layout.asset(app_id, name)
    position = Position(1, app_id, name)
    return NamedFile(position, path.relative_to(layout.root), size, sha256, plain=plain.relative_to(layout.root))


def _proposed(layout: Layout, row: sqlite3.Row) -> NamedFile:
    app_id, name, size, sha256 = row
    path = layout.proposed(app_id, name, sha256).relative_to(layout.root)
    return NamedFile(Position(2, app_id, name), path, size, sha256)


_PACKAGES = f"SELECT {versions.COLUMNS} FROM versions WHERE {versions.PLACED}"
_IMAGES = "SELECT app_id, name, size, sha256 FROM assets"
_PROPOSED = "SELECT app_id, name, size, sha256 FROM proposed_assets WHERE sha256 <> ''"
_PARTS = (
    _Part(
        f"{_PACKAGES} AND (app_id, version_code) > (?, ?) ORDER BY app_id, version_code LIMIT ?",
        f"{_PACKAGES} AND app_id = ? AND version_code = ?",
        0,
        _package,
    ),
    _Part(
        f"{_IMAGES} WHERE (app_id, name) > (?, ?) ORDER BY app_id, name LIMIT ?",
        f"{_IMAGES} WHERE app_id = ? AND name = ?",
        "",
        _image,
    ),
    _Part(
        f"{_PROPOSED} AND (app_id, name) > (?, ?) ORDER BY app_id, name LIMIT ?",
        f"{_PROPOSED} AND app_id = ? AND name = ?",
        "",
        _proposed,
    ),
)


def every(db: sqlite3.Connection, layout: Layout, after: Position | None = None) -> Iterator[NamedFile]:
    """All packages, then all images, published and proposed, in constant memory; those `after` a position."""
    for number, part in enumerate(_PARTS):
        if after is None or after.part < number:
            after = Position(number, "", part.first)
        while after.part == number and (rows := db.execute(part.rows, (*after[1:], PAGE)).fetchall()):
            for row in rows:
                file = part.to_file(layout, row)
                yield file
                after = file.position


def current_sample(db: sqlite3.Connection, layout: Layout, number: int) -> list[NamedFile]:
    """The packages that devices download of that many apps at most, chosen at random."""
    query = (
        "SELECT app_id, version_code FROM apps JOIN versions USING (app_id)"
        " WHERE version_code = published_code AND status = 'published' ORDER BY random() LIMIT ?"
    )
    row = _PARTS[0].row
    return [_package(layout, db.execute(row, tuple(key)).fetchone()) for key in db.execute(query, (number,)).fetchall()]


def package(db: sqlite3.Connection, layout: Layout, app_id: str, version_code: int) -> NamedFile | None:
    """The package of a version, if that has one."""
    row = db.execute(_PARTS[0].row, (app_id, version_code)).fetchone()
    return _package(layout, row) if row else None


def current(db: sqlite3.Connection, layout: Layout, file: NamedFile) -> bool:
    """Whether the database still names this file with this digest."""
    part = _PARTS[file.position.part]
    row = db.execute(part.row, file.position[1:]).fetchone()
    return row is not None and part.to_file(layout, row).sha256 == file.sha256


def count(db: sqlite3.Connection) -> int:
    """How many files `every` yields."""
    counts = (f"(SELECT count(*) FROM ({query}))" for query in (_PACKAGES, _IMAGES, _PROPOSED))
    number: int = db.execute(f"SELECT {' + '.join(counts)}").fetchone()[0]
    return number
