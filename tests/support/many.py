"""A store with many small files, written straight into it: for jobs that read all of them."""

import hashlib
import os
import sqlite3
from pathlib import Path

from portal.store import apps, assets, audit, files
from portal.store.store import Store
from tests.support.portal import add_developer

OWNER = audit.Actor("acme", "developer", None, "test")
INSERT = (
    "INSERT INTO versions (version_id, app_id, developer_id, status, status_at, created_at, published_at, version_code,"
    " version_name, size, sha256, key_id, signature, manifest)"
    " VALUES (?, ?, 'acme', 'published', 1, 1, 1, ?, '1.0.0', ?, ?, 'k', 's', ?)"
)


def fill(store: Store, number: int, versions_each: int = 10) -> None:
    """`number` apps, each with versions of distinct bytes and a screenshot."""
    add_developer(store, "acme", key=None)
    for app_id in (f"org.example.app{n}" for n in range(number)):
        with store.db.write() as tx:
            app = apps.add(tx, OWNER, app_id, "App", "")
            for code in range(1, versions_each + 1):
                add_version(store, tx, app_id, code)
        assets.add_screenshot(store, OWNER, app, app_id.encode() * 50)


def add_version(store: Store, tx: sqlite3.Connection, app_id: str, code: int, body: bytes = b"") -> None:
    """Publish a version, without a row of the log."""
    body = body or f"{app_id} {code} ".encode() * 100
    manifest = f'{{"id": "{app_id}", "name": "App", "version_code": {code}}}'
    directory = store.layout.package_directory("acme", app_id, code)
    files.make_directory(directory)
    (directory / "package.mosis").write_bytes(body)
    (directory / "manifest.json").write_text(manifest)
    digest = hashlib.sha256(body).hexdigest()
    tx.execute(INSERT, (f"{app_id}-{code}", app_id, code, len(body), digest, manifest))


def flip(path: Path, bit: int) -> None:
    """Change one bit of a file, as a disk may: size and time stay."""
    stat, data = path.stat(), bytearray(path.read_bytes())
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
