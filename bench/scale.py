"""A store of very many versions, a quarter of which are due, written straight into its tables and directories."""

import json
import sqlite3
from collections.abc import Iterator

from portal.store import audit, developers
from portal.store.clock import now
from portal.store.retention import RULES
from portal.store.store import Store

DEVELOPER = "acme"
VERSIONS_EACH = 20  # of an app
DUE = 0.25
YEAR = 365 * 86400
PACKAGE = b"P" * 4096
SHA256 = "ab" * 32
KEPT = ("published", "draft", "in_review", "rejected", "yanked")
MANIFEST = json.dumps({"manifest_version": 1, "name": "App", "description": "x" * 300})
COLUMNS = (
    "version_id", "app_id", "developer_id", "status", "status_at", "created_at", "published_at", "superseded_at",
    "version_code", "version_name", "size", "sha256", "key_id", "signature", "manifest",
)  # fmt: skip


def fill(store: Store, number: int) -> None:
    """Have `number` versions, DUE of them in equal parts for each rule, with files, and an audit row for each.

    Versions that are there stay, so that after a cleanup only those are made anew that it deleted.
    """
    with store.db.write() as tx:
        if not tx.execute("SELECT 1 FROM developers").fetchone():
            _add_apps(tx, number)
        tx.executemany(
            f"INSERT OR IGNORE INTO versions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})",
            _rows(number, int(1 / DUE), now()),
        )
    _write_files(store)


def _add_apps(tx: sqlite3.Connection, number: int) -> None:
    developers.add(tx, audit.OPERATOR, DEVELOPER, "Acme")
    tx.executemany(
        "INSERT INTO apps (app_id, developer_id, name, description, created_at, updated_at) VALUES (?, ?, ?, '', 0, 0)",
        [(_app(app), DEVELOPER, f"App {app}") for app in range(-(-number // VERSIONS_EACH))],
    )
    for index in range(number):
        audit.append(tx, audit.OPERATOR, "version.upload", f"{_app(index // VERSIONS_EACH)}/{index}", sha256=SHA256)


def _app(number: int) -> str:
    return f"org.acme.app{number:06}"


def _rows(number: int, every: int, at: int) -> Iterator[tuple[object, ...]]:
    for index in range(number):
        fixed = f"{index * 2654435761 % 2**32:08x}{index:024x}", _app(index // VERSIONS_EACH), DEVELOPER
        if index % every:
            status, since = KEPT[index % len(KEPT)], at
        else:
            rule = RULES[index // every % len(RULES)]
            status, since = rule.status, at - rule.seconds - 1 - index % 1000
        times = (since, since, since, since if status == "published" and not index % every else None)
        placed: tuple[object, ...] = (index + 1, "1.0.0", len(PACKAGE), SHA256, "k", "s", MANIFEST)
        yield (*fixed, status, *times, *((None,) * 7 if status in ("uploading", "failed") else placed))


def _write_files(store: Store) -> None:
    rows: sqlite3.Cursor = store.db.read().execute("SELECT version_id, app_id, version_code, status FROM versions")
    for version_id, app_id, code, status in rows:
        directory = (
            store.layout.package_directory(DEVELOPER, app_id, code) if code else store.layout.staging(version_id)
        )
        if status != "failed" and not directory.exists():
            directory.mkdir(parents=True)
            (directory / "package.mosis").write_bytes(PACKAGE)
            if code:
                (directory / "manifest.json").write_text(MANIFEST)
