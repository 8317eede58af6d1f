"""What the bucket should have: the files of the store that anybody may download, under the paths they have below its
root. No key is ever written with other bytes: packages do not change, and images have their digest in their names.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from portal.packages.manifest import PATH as MANIFEST
from portal.store import asset_rows, versions
from portal.store.layout import Layout

CACHE_SECONDS = 86400
"""How long a cache may serve an object without asking the bucket."""
PUBLISHED = f"app_id = ? AND {versions.PLACED} AND +status = 'published'"  # by the index versions_placed
CACHE_CONTROL = f"public, max-age={CACHE_SECONDS}, immutable"


@dataclass(frozen=True)
class Wanted:
    """An object: `size` in bytes, `sha256` in hex, `headers` by boto3's names. A document names or describes files."""

    key: str
    app_id: str
    size: int
    sha256: str
    content: Path | bytes
    headers: Mapping[str, str]
    is_document: bool = False

    def open(self) -> BinaryIO:
        """Its bytes. Raises OSError."""
        return BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")


def of_app(db: sqlite3.Connection, layout: Layout, app_id: str) -> dict[str, Wanted]:
    """The objects of an app, by key; none unless a version is published."""
    rows = db.execute(f"SELECT {versions.COLUMNS} FROM versions WHERE {PUBLISHED} ORDER BY version_code", (app_id,))
    published = [versions.PlacedVersion(*row) for row in rows]
    if not published:
        return {}
    found = [*_images(db, layout, app_id), *(one for version in published for one in _package(layout, version))]
    return {one.key: one for one in found}


def _package(layout: Layout, version: versions.PlacedVersion) -> Iterator[Wanted]:
    path = layout.package(version.developer_id, version.app_id, version.version_code)
    key = str(path.relative_to(layout.root))
    headers = {
        "CacheControl": CACHE_CONTROL,
        "ContentType": "application/octet-stream",
        "ContentDisposition": f"attachment; filename={version.app_id}-{version.version_name}.mosis",
    }
    yield Wanted(key, version.app_id, version.size, version.sha256, path, headers)
    manifest = version.manifest.encode()
    yield Wanted(
        str(Path(key).with_name(MANIFEST)),
        version.app_id,
        len(manifest),
        hashlib.sha256(manifest).hexdigest(),
        manifest,
        {"CacheControl": CACHE_CONTROL, "ContentType": "application/json"},
        is_document=True,
    )


def _images(db: sqlite3.Connection, layout: Layout, app_id: str) -> Iterator[Wanted]:
    headers = {"CacheControl": CACHE_CONTROL, "ContentType": "image/png"}
    for asset in asset_rows.of_app(db, app_id):
        key = str(layout.image(app_id, asset.name, asset.sha256).relative_to(layout.root))
        path = layout.root / key
        plain = layout.asset(app_id, asset.name)  # where an older release stored it
        yield Wanted(key, app_id, asset.size, asset.sha256, path if path.exists() else plain, headers)
