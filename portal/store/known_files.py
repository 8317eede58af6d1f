"""Every file that has a row in the database, for jobs that copy, verify or restore files."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from portal.store import files, versions
from portal.store.layout import Layout


@dataclass(frozen=True)
class NamedFile:
    """`path` is relative to the root and to the backup drive; `size` is bytes, `sha256` hex; only packages have a
    `manifest`.
    """

    path: Path
    size: int
    sha256: str
    manifest: str | None = None

    def is_good(self, root: Path) -> bool:
        """Whether the file below `root` exists with the digest that the database has."""
        try:
            return files.digest(root / self.path) == self.sha256
        except OSError:
            return False


def every(db: sqlite3.Connection, layout: Layout) -> Iterator[NamedFile]:
    """All packages, then all images."""
    for version in versions.every_placed(db):
        path = layout.package(version.developer_id, version.app_id, version.version_code)
        yield NamedFile(path.relative_to(layout.root), version.size, version.sha256, version.manifest)
    for row in db.execute("SELECT app_id, name, size, sha256 FROM assets"):
        path = layout.asset(row["app_id"], row["name"])
        yield NamedFile(path.relative_to(layout.root), row["size"], row["sha256"])
