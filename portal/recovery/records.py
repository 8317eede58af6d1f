"""Records beside the packages: what the database says of them, so that it can be made again without any copy of it.

    packages/DEVELOPER/developer.json           the developer and its keys
    packages/DEVELOPER/APP/app.json             the app, the changes of its key, its images
    packages/DEVELOPER/APP/CODE/version.json    the version

Each is the rows of the database as JSON, with a digest. The audit log says what changed since they were last written,
so no upload waits for them. A crash or a lost note only means that some are written again.
"""

import errno
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

from portal.recovery.errors import BackupError
from portal.store import audit, files, placement, versions
from portal.store.layout import RECORD, Layout
from portal.store.locks import lock
from portal.store.store import Store

DEVELOPER, APP, VERSION = "developer.json", "app.json", RECORD
FORMAT = 1
BOOT = Path("/proc/sys/kernel/random/boot_id")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
CHANGES = 500  # rows of the audit log that are read at a time
RECORD_MAX = 4 * 1024 * 1024  # bytes of a version's record, which has its manifest

Row = Mapping[str, object]
Rows = Mapping[str, Sequence[Row]]

QUERIES: Mapping[str, Mapping[str, str]] = {
    DEVELOPER: {
        "developers": "SELECT * FROM developers WHERE developer_id = ?",
        "keys": "SELECT * FROM keys WHERE developer_id = ? ORDER BY key_id",
        "tombstones": "SELECT * FROM tombstones WHERE developer_id = ? ORDER BY app_id, version_code",
    },
    APP: {
        "apps": "SELECT * FROM apps WHERE app_id = ?",
        "app_keys": "SELECT * FROM app_keys WHERE app_id = ? ORDER BY number",
        "assets": "SELECT * FROM assets WHERE app_id = ? ORDER BY name",
    },
}
VERSIONS = f"SELECT * FROM versions WHERE app_id = ? AND {versions.PLACED}"


def catch_up(store: Store, *, apps_max: float = float("inf"), wait: float = 0) -> int:
    """Write the records of all that changed since the last call, at first of everything; how many were written.

    At first nothing is written if there are more than `apps_max` apps, which takes minutes.
    Only one process does it at a time: after `wait` seconds the others leave it to that one. Raises OSError if some
    were not written: the next call tries those again.
    """
    db, layout = store.db.read(), store.layout
    if _noted(layout) == audit.head(db):
        return 0
    with (layout.area("data") / "records.lock").open("w") as file:
        if not lock(file, wait=wait):
            return 0
        noted, head = _noted(layout), audit.head(db)  # again: somebody else may have written meanwhile
        if noted is None or not audit.contains(db, noted):  # of a new store, an older release, a restore, another boot
            number: int = db.execute("SELECT count(*) FROM apps").fetchone()[0]
            return _write_all(store, head) if number <= apps_max else 0
        return _write_changes(store, noted, head)


def _write_changes(store: Store, noted: audit.Head, head: audit.Head) -> int:
    run = _Run(store)
    while changed := _changed(store.db.read(), noted.seq):
        noted, developers, apps = changed
        run.write(sorted(developers), sorted(apps))
    return run.finish(max(noted, head))


def _write_all(store: Store, head: audit.Head) -> int:
    db, run = store.db.read(), _Run(store)
    developers = db.execute("SELECT developer_id FROM developers").fetchall()
    apps = db.execute("SELECT developer_id, app_id FROM apps").fetchall()
    run.write([row[0] for row in developers], [(row[0], row[1]) for row in apps])
    return run.finish(head)


class _Run:
    """A record that cannot be written keeps no other from being written, unless the disk is full."""

    def __init__(self, store: Store) -> None:
        self._store, self._written = store, 0
        self._fault: OSError | None = None

    def write(self, developers: Iterable[str], apps: Iterable[tuple[str, str]]) -> None:
        for developer_id in developers:
            self._note(partial(_write_developer, self._store, developer_id))
        for developer_id, app_id in apps:
            self._note(partial(_write_app, self._store, developer_id, app_id))

    def _note(self, write: Callable[[], int]) -> None:
        try:
            self._written += write()
        except OSError as error:
            if error.errno in FULL:
                raise
            self._fault = self._fault or error

    def finish(self, noted: audit.Head) -> int:
        """Note how far the records are, and return how many were written. Raises the first error instead."""
        if self._fault:
            raise self._fault
        # Nothing here is flushed: a power cut loses at most what the next boot writes again.
        note = {**noted._asdict(), "boot": BOOT.read_text()}
        files.write_file(_note(self._store.layout), json.dumps(note).encode(), durable=False)
        return self._written


def _changed(db: sqlite3.Connection, after: int) -> tuple[audit.Head, set[str], set[tuple[str, str]]] | None:
    """The last of the next rows of the log, and the developers and apps that these rows are about.

    A version that expires takes its record with it, and nothing else changes.
    """
    developers: set[str] = set()
    subjects: set[str] = set()
    query = (
        "SELECT seq, hash, subject, detail FROM audit WHERE seq > ? AND action != 'version.expire' ORDER BY seq LIMIT ?"
    )
    rows = db.execute(query, (after, CHANGES)).fetchall()
    if not rows:
        return None
    for row in rows:
        subjects.add(row["subject"].partition("/")[0])
        developers |= {row["subject"], str(json.loads(row["detail"]).get("developer_id"))}
    of_app, of_developer = (
        "SELECT developer_id, app_id FROM apps WHERE app_id = ?",
        "SELECT 1 FROM developers WHERE developer_id = ?",
    )
    apps = {(row[0], row[1]) for each in subjects for row in db.execute(of_app, (each,))}
    present = {each for each in developers if db.execute(of_developer, (each,)).fetchone()}
    return audit.Head(rows[-1]["seq"], rows[-1]["hash"]), present, apps


def _write_developer(store: Store, developer_id: str) -> int:
    path = store.layout.area("packages") / developer_id / DEVELOPER
    return _write(store, path, _rows(store.db.read(), DEVELOPER, developer_id))


def _write_app(store: Store, developer_id: str, app_id: str) -> int:
    db, directory = store.db.read(), store.layout.area("packages") / developer_id / app_id
    with placement.claimed(store.layout, app_id):  # nobody deletes the app meanwhile
        rows = _rows(db, APP, app_id)
        owned = any(row["developer_id"] == developer_id for row in rows["apps"])
        written = _write(store, directory / APP, rows) if owned else 0
    changed = [code for code, place, rows in _versions(store, app_id) if not _has(place / VERSION, to_json(rows))]
    if not changed:
        return written
    with placement.claimed(store.layout, app_id):  # nobody deletes a version meanwhile, and uploads wait
        for code in changed:
            for _, place, rows in _versions(store, app_id, code):
                if place.is_dir():  # else it is lost
                    written += _write(store, place / VERSION, rows)
    return written


def _versions(store: Store, app_id: str, code: int | None = None) -> Iterator[tuple[int, Path, Rows]]:
    """Each version of an app, or the one with that code: its code, its directory and its record."""
    one, values = ("", (app_id,)) if code is None else (" AND version_code = ?", (app_id, code))
    for row in store.db.read().execute(f"{VERSIONS}{one}", values).fetchall():
        place = store.layout.package_directory(row["developer_id"], app_id, row["version_code"])
        yield row["version_code"], place, {"versions": [dict(row)]}


def _rows(db: sqlite3.Connection, record: str, key: str) -> Rows:
    return {table: [dict(row) for row in db.execute(query, (key,))] for table, query in QUERIES[record].items()}


def _write(store: Store, path: Path, rows: Rows) -> int:
    data = to_json(rows)
    if _has(path, data):
        return 0
    files.write_file(path, data, durable=False, scratch=store.layout.area("temp"))
    return 1


def _has(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def to_json(rows: Rows) -> bytes:
    """A record, with its digest."""
    body = json.dumps(rows, sort_keys=True, ensure_ascii=False, default=bytes.hex)
    return json.dumps(
        {"format": FORMAT, "sha256": sha256(body.encode()).hexdigest(), "rows": json.loads(body)},
        sort_keys=True, ensure_ascii=False, indent=1,
    ).encode()  # fmt: skip


def from_json(data: bytes) -> Rows:
    """The rows of a record. Raises BackupError."""
    try:
        record = json.loads(data)
        if record["format"] != FORMAT:
            raise BackupError(f"has format {record['format']}, which a later release wrote.")
        body = json.dumps(record["rows"], sort_keys=True, ensure_ascii=False)
        good = sha256(body.encode()).hexdigest() == record["sha256"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BackupError("is no record.") from None
    if not good:
        raise BackupError("is damaged: its digest is another.")
    rows: Rows = record["rows"]
    return rows


def digest_beside(package: Path) -> str | None:
    """The SHA-256 of a package in hex, by the record beside it; None without a good one."""
    try:
        [row] = from_json(files.content(package.parent / VERSION, RECORD_MAX))["versions"]
        return str(row["sha256"])
    except (OSError, BackupError, ValueError, LookupError):
        return None


def every(packages: Path) -> Iterator[Path]:
    """The records below a directory of packages: of developers, then of apps, then of versions."""
    yield from sorted(packages.glob(f"*/{DEVELOPER}"))
    yield from sorted(packages.glob(f"*/*/{APP}"))
    yield from sorted(packages.glob(f"*/*/*/{VERSION}"))


def forget(layout: Layout) -> None:
    """Let the next call write all records: a restored package has none."""
    _note(layout).unlink(missing_ok=True)


def _note(layout: Layout) -> Path:
    return layout.area("data") / "records.json"


def _noted(layout: Layout) -> audit.Head | None:
    """The row of the log up to which records are written, if this boot wrote them."""
    try:
        note = json.loads(_note(layout).read_bytes())
        return audit.Head(note["seq"], note["hash"]) if note["boot"] == BOOT.read_text() else None
    except (OSError, ValueError, TypeError, KeyError):
        return None
