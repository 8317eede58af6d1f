"""Follow another store: pull its Litestream replica, packages and images by rsync, then restore its database.

The restore goes into a new file: follow mode (`litestream restore -f`) writes into the one that is there, so that a cut
in the middle would leave neither the old state nor the new.
"""

import os
import shlex
import sqlite3
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from portal.jobs import standby
from portal.jobs.alone import ending
from portal.jobs.standby import Copy, FollowError
from portal.recovery import copies, foreign, rsync
from portal.recovery.errors import BackupError
from portal.settings import Follow, Settings
from portal.store import audit, files, known_files, schema
from portal.store.clock import now
from portal.store.database import connect
from portal.store.errors import DatabaseUnusable
from portal.store.layout import Layout

REPLICA = "backups/portal/"
FILES = ("packages/", "assets/")
STALLED_SECONDS = 60
KEPT_SECONDS = 86400  # a package that the database does not name may be too new for it


def follow(settings: Settings) -> Copy | None:
    """Pull once; None while another pull is under way. Raises FollowError and leaves what was there before."""
    if settings.follow is None:
        raise FollowError("This host is a store of its own and follows none.")
    layout = Layout(settings.root)
    with standby.alone(layout) as locked, ending("follow"):
        if not locked:
            return None
        before, began = standby.require(layout, settings.follow.store), now()
        try:
            found = _pull(settings.follow, layout, before)
        except (BackupError, DatabaseUnusable, OSError, sqlite3.Error) as error:
            standby.write(layout, replace(before, failure_at=began, failure=str(error)))
            raise FollowError(f"{before.store} was not copied: {error}") from error
        after = Copy(before.store, success_at=began, replica=found)
        standby.write(layout, after)
        return after


def followed(layout: Layout) -> Path:
    """The store's replica as it was pulled; never this host's own, which Litestream starts when it is a store."""
    return layout.area("backups") / "followed"


def _pull(source: Follow, layout: Layout, before: Copy) -> str:
    # The replica first: what its database names is then among the files that are pulled after it.
    _rsync(source, REPLICA, followed(layout), "--delete-delay", "--exclude=*.tmp")
    for area in FILES:
        _rsync(source, area, layout.root / area, *rsync.EXCLUDES)
    found = _fingerprint(followed(layout))
    if found != before.replica or not layout.database.exists():
        _replace_database(layout)
    return found


def _rsync(source: Follow, area: str, target: Path, *options: str) -> None:
    ssh = shlex.join(["ssh", "-F", str(source.ssh_config)])
    common = ["--recursive", "--times", "--fsync", f"--timeout={STALLED_SECONDS}", "-e", ssh]
    rsync.run(area, [*common, *options, f"{source.store}:{area}", f"{target}/"])


def _fingerprint(replica: Path) -> str:
    """Changes with every file of the replica that comes or goes; none of them is ever written to again."""
    listed = sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in replica.rglob("*.ltx"))
    return sha256(repr(listed).encode()).hexdigest()


def _replace_database(layout: Layout) -> None:
    beside = layout.database.with_name(".followed.db")
    copies.discard(beside)
    try:
        copies.from_replica(followed(layout), beside)
        copies.check(beside)
        with closing(connect(beside, litestream=False)) as db:
            # Without a WAL: beside a file that is replaced, one that was left over would be taken for the new one's.
            db.execute("PRAGMA journal_mode = DELETE")
            _require_schema(beside)
            foreign.require_harmless(db)
            _require_history(layout, db)
            _require_files(layout, db)
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
            beside.rename(layout.database)
            files.flush_directory(layout.database.parent)
            _prune(layout, db)
    finally:
        copies.discard(beside)


def _require_schema(path: Path) -> None:
    found, own = schema.usable(path).number, len(schema.migrations())
    if found < own:
        raise FollowError(f"its database has schema {found}, the release of this host needs {own}: deploy both.")


def _require_history(layout: Layout, db: sqlite3.Connection) -> None:
    """A store that was emptied, or went back to an old copy, must not take the better copy here with it."""
    if not layout.database.exists():
        return
    with closing(connect(layout.database, litestream=False)) as before:
        head = audit.head(before)
    if not audit.contains(db, head):
        raise FollowError(
            f"its audit log has no row {head.seq} as it is here: it lost data or is another store."
            f" Promote this host, or move {layout.area('data')} away to follow what is there now."
        )


def _require_files(layout: Layout, db: sqlite3.Connection) -> None:
    if missing := [
        str(file.path) for file in known_files.every(db, layout) if _size(file.below(layout.root)) != file.size
    ]:
        raise FollowError(f"{len(missing)} files that its database names were not there: {', '.join(missing[:3])}.")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _prune(layout: Layout, db: sqlite3.Connection) -> None:
    """Packages that the store deleted go here too, by its database and not by an empty disk over there."""
    wanted, oldest = {layout.root / file.path.parent for file in known_files.every(db, layout)}, now() - KEPT_SECONDS
    for directory in layout.area("packages").glob("*/*/*/"):
        if directory not in wanted and directory.stat().st_mtime < oldest:
            files.discard(directory)
