"""What a crash leaves in a store: listed by one function, removed at the start of a portal and by cleanup.

None of it is ever served. What may belong to a request or job under way is not listed: packages are claimed while they
have no row, images have none only during a writer's turn, and the rest counts by its age, except at the start of a
portal while no other one runs, when whatever the requests of earlier portals left has no owner.
"""

import json
import math
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from portal.faults import sentence
from portal.store import (
    asset_rows,
    deletion,
    files,
    job_runs,
    placement,
    proposals,
    retention,
    tombstones,
    uploads,
    versions,
)
from portal.store.database import queue
from portal.store.errors import DatabaseBusy
from portal.store.layout import PROPOSED, RECORD, SYSTEM_NAMES
from portal.store.placement import Target
from portal.store.store import Store

PARTIAL_SECONDS = 600  # longer than any single file takes to be written
PARTIAL = re.compile(r"\..+\.[0-9]+\.[0-9a-f]{8}")  # as `files.write_file` and `placement.name_image` name them
PARTIAL_KEYS = re.compile(r"\.presign-keys\.[0-9]+\.[0-9a-f]{8}")
PARTIAL_SNAPSHOT = re.compile(r"\.(portal|before-schema|trial)-.*")
IMAGE = re.compile(
    r"(proposed/)?((icon-[0-9]+|screenshots/[1-5])(\.[0-9a-f]{16})?\.png|(screenshots/)?\..+\.png\.[0-9]+\.[0-9a-f]{8})"
)
OF_REQUESTS = re.compile(r"[0-9a-f]{32}|images?-.*")  # under `temp/`
OF_ANYBODY = re.compile(rf"(removed|orphan)-.*|{PARTIAL.pattern}")  # of requests and jobs
FORMS = "status = 'uploading' AND NOT EXISTS (SELECT 1 FROM uploads WHERE upload_id = version_id)"


DELETED = (
    "SELECT 1 FROM audit WHERE subject = ?1 AND (action = 'version.expire' AND at > ?2"
    " OR action = 'version.delete' AND json_extract(detail, '$.version_id') = ?3)"
)


class Leftover(NamedTuple):
    """`label` is its kind, as in the metric of deletions."""

    label: str
    path: Path


def ownerless(store: Store, *, is_job_running: bool) -> Collection[str]:
    """The uploads and whatever else under `temp/` earlier portals have left; call it while no portal runs.

    What a job that is running may be writing is not among it. Signed uploads are kept: their clients continue them.
    """
    db = store.db.read()
    signed = {row[0] for row in db.execute("SELECT upload_id FROM uploads")}
    forms = {row[0] for row in db.execute(f"SELECT version_id FROM versions WHERE {FORMS}")}
    left = (OF_REQUESTS,) if is_job_running else (OF_REQUESTS, OF_ANYBODY)
    listed = [path.name for path in _listed(store.layout.area("temp"))]
    names = {name for name in listed if any(pattern.fullmatch(name) for pattern in left)}
    return forms | names - signed


def found(store: Store, at: int, ownerless: Collection[str] = ()) -> Iterator[Leftover]:
    """Everything left over at the time `at`, in seconds since 1970, and what is known to be `ownerless`."""
    for kind in KINDS:
        for path in kind.find(store, at, ownerless):
            yield Leftover(kind.label, path)


def sweep(
    store: Store, leftovers: Iterator[Leftover], removed: Callable[[Leftover], object], failed: Callable[[str], object]
) -> None:
    """Remove leftovers and report each, or the sentence that says why it was not."""
    remove, numbers = {kind.label: kind.remove for kind in KINDS}, Counter[str]()
    for leftover in leftovers:
        try:
            if remove[leftover.label](store, leftover.path):
                removed(leftover)
                numbers[leftover.label] += 1
        except (OSError, sqlite3.Error, DatabaseBusy) as error:
            failed(sentence(error))
    if uncounted := {label: number for label, number in numbers.items() if label not in COUNTED}:
        with store.db.write(durable=False) as tx:
            for label, number in uncounted.items():
                job_runs.count(tx, "cleanup_deleted", label, number)


def name_images(store: Store) -> None:
    """Link each image and its plain name, which a crash, a restore or an older release may have left without the other.

    The image of an older release has only the plain name; whether its bytes are right, scrub finds out.
    """
    for app in _entries(store.layout.area("assets")):
        inodes, rows = _images_of(store, app), asset_rows.of_app(store.db.read(), app)
        without = [row for row in rows if inodes.get(row.name) != inodes.get(row.file_name)]
        if without:
            with store.db.write() as tx:
                for row in asset_rows.of_app(tx, app):
                    if row in without:
                        _link_names(row.path(store.layout), row.plain_path(store.layout), row.size)


def _link_names(path: Path, plain: Path, size: int) -> None:
    if path.exists():
        placement.name_image(path, plain)
    elif plain.exists() and plain.stat().st_size == size:
        path.hardlink_to(plain)


def _uploads(store: Store, at: int, ownerless: Collection[str]) -> Iterator[Path]:
    """Uploads of forms that nobody sends any more, and signed uploads whose removal was cut short."""
    del at  # they expire by a rule of retention
    for name in ownerless:
        version = uploads.version_of(store.db.read(), name)
        if version and version.status == "uploading":
            yield store.layout.staging(name)
    for (name,) in store.db.read().execute("SELECT upload_id FROM uploads").fetchall():
        if not (store.layout.staging(name) / placement.PACKAGE).exists():
            yield store.layout.staging(name)


def _forget_upload(store: Store, path: Path) -> bool:
    """The row of a signed upload goes first: its files may be on their way back (`uploads.forget`)."""
    signed = store.db.read().execute("SELECT 1 FROM uploads WHERE upload_id = ?", (path.name,)).fetchone()
    if signed and not uploads.forget(store, path.name):
        return False
    files.discard(path)
    return bool(signed) or uploads.forget(store, path.name)


def _temp(store: Store, at: int, ownerless: Collection[str]) -> Iterator[Path]:
    """Whatever is under `temp/` that no upload owns, and that is older than an upload may be or has no owner."""
    query = "SELECT version_id FROM versions WHERE status = 'uploading'"
    owned = {row[0] for row in store.db.read().execute(query)}
    for path in _listed(store.layout.area("temp")):
        if path.name in owned:
            continue
        if path.name in ownerless or _is_older(path, at - retention.UPLOAD_SECONDS):
            yield path


def _discard(_store: Store, path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        files.discard(path)
    else:
        path.unlink(missing_ok=True)
    return True


def remove_partial(directory: Path) -> None:
    """Remove the unfinished files of older releases beside a package; they are too many directories for each run."""
    for path in _listed(directory):
        if PARTIAL.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _partial(store: Store, at: int, _ownerless: Collection[str]) -> Iterator[Path]:
    """Files that were to be renamed once they were complete, such as one with the keys of signed URLs."""
    layout, secrets = store.layout, store.layout.presign_keys.parent
    if secrets.is_dir():
        with queue(layout.presign_keys):  # so none of these is being written
            yield from [path for path in _listed(secrets) if PARTIAL_KEYS.fullmatch(path.name)]
    for directory, pattern in ((layout.area("data"), PARTIAL), (layout.snapshots, PARTIAL_SNAPSHOT)):
        for path in _listed(directory):
            if pattern.fullmatch(path.name) and _is_older(path, at - PARTIAL_SECONDS):
                yield path


def unnamed(store: Store) -> list[Path]:
    """Packages that became versions, which the database neither names nor has deleted: it is older than they are."""
    return [path for path in _without_row(store) if not _never_or_no_more(store, path)]


def _orphans(store: Store, _at: int, _ownerless: Collection[str]) -> Iterator[Path]:
    """Directories of versions without a row, which a crash left before the COMMIT, or after a deletion."""
    return (path for path in _without_row(store) if _never_or_no_more(store, path))


def _never_or_no_more(store: Store, path: Path) -> bool:
    """Whether the package has no record yet, or the log has its deletion."""
    if not (path / RECORD).exists():
        return True
    version_id, created_at = _version_of(path / RECORD)
    deleted = store.db.read().execute(DELETED, ("/".join(path.parts[-2:]), created_at, version_id))
    return deleted.fetchone() is not None


def _version_of(record: Path) -> tuple[str, float]:
    """Identity and time of the version of a record: one with the same code may have been deleted before."""
    try:
        row = json.loads(record.read_bytes())["rows"]["versions"][0]
        return str(row.get("version_id")), int(row["created_at"])
    except (OSError, ValueError, TypeError, LookupError):  # damaged: the package stays
        return "", math.inf


def _without_row(store: Store) -> Iterator[Path]:
    packages = store.layout.area("packages")
    for developer in _entries(packages):
        for app in _entries(packages / developer):
            if orphans := _orphans_of(store, developer, app):
                with placement.claimed(store.layout, app):  # the process that was placing a package has ended
                    orphans &= _orphans_of(store, developer, app)
            yield from sorted(packages / developer / app / code for code in orphans)


def _orphans_of(store: Store, developer: str, app: str) -> set[str]:
    codes = {name for name in _entries(store.layout.area("packages") / developer / app) if name.isdecimal()}
    query = f"SELECT version_code FROM versions WHERE app_id = ? AND developer_id = ? AND {versions.PLACED}"
    return codes - {str(row[0]) for row in store.db.read().execute(query, (app, developer))}


def _remove_orphan(store: Store, path: Path) -> bool:
    developer, app, code = path.parts[-3:]
    with placement.claimed(store.layout, app):
        return placement.remove_orphan(store, Target(developer, app, int(code)))


def _deleted(store: Store, _at: int, _ownerless: Collection[str]) -> Iterator[Path]:
    """Directories of apps that were deleted for good, whose ids are never used again."""
    for app_id in tombstones.apps(store.db.read()):
        yield from deletion.places(store.layout, app_id)


def _remove_deleted(store: Store, path: Path) -> bool:
    with placement.claimed(store.layout, path.name):
        files.discard(path)
    return True


def _images(store: Store, _at: int, _ownerless: Collection[str]) -> Iterator[Path]:
    """Images that no row names, and names that were to be given to one; none while the database is older than files."""
    if unnamed(store):
        return
    for app in _entries(store.layout.area("assets")):
        present = _images_of(store, app)
        yield from (store.layout.asset(app, name) for name in sorted(present.keys() - _named(store, app)))


def _named(store: Store, app: str) -> set[str]:
    db = store.db.read()
    proposed = {f"{PROPOSED}{row.file_name}" for row in proposals.changed(db, app).values()}
    return proposed | {name for row in asset_rows.of_app(db, app) for name in (row.name, row.file_name)}


def _images_of(store: Store, app: str) -> dict[str, int]:
    """The names of an app's images below its directory, and their inodes."""
    directory, found = store.layout.area("assets") / app, dict[str, int]()
    for below in ("", "screenshots/", PROPOSED, f"{PROPOSED}screenshots/"):
        found |= {f"{below}{name}": inode for name, inode in _entries(directory / below).items()}
    return {name: inode for name, inode in found.items() if IMAGE.fullmatch(name)}


def _remove_image(store: Store, path: Path) -> bool:
    app, name = path.relative_to(store.layout.area("assets")).as_posix().split("/", 1)
    with store.db.write() as tx:
        if name in _named(store, app) or not path.exists():
            return False
        job_runs.count(tx, "cleanup_deleted", "image", 1)
        tx.execute("COMMIT")  # as in `placement.remove_orphan`
        path.unlink(missing_ok=True)
    return True


def _entries(directory: Path) -> dict[str, int]:
    """The names in a directory and their inodes; none if it is missing, or somebody else's, as `lost+found` is."""
    try:
        with os.scandir(directory) as entries:
            return {entry.name: entry.inode() for entry in entries if entry.name not in SYSTEM_NAMES}
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}


def _listed(directory: Path) -> list[Path]:
    return sorted(directory / name for name in _entries(directory))


def _is_older(path: Path, at: int) -> bool:
    try:
        return path.stat(follow_symlinks=False).st_mtime <= at
    except FileNotFoundError:
        return False


class _Kind(NamedTuple):
    label: str
    find: Callable[[Store, int, Collection[str]], Iterator[Path]]
    remove: Callable[[Store, Path], bool]


KINDS = (  # first what needs no room in the database to be removed
    _Kind("temp", _temp, _discard),
    _Kind("partial", _partial, _discard),
    _Kind("uploading", _uploads, _forget_upload),
    _Kind("deleted", _deleted, _remove_deleted),
    _Kind("orphan", _orphans, _remove_orphan),
    _Kind("image", _images, _remove_image),
)
COUNTED = ("orphan", "image")  # by their removal
