"""What the store is like right now, line by line, for an operator and for monitoring."""

import errno
import http.client
import json
import os
import socket
import sqlite3
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from portal import __version__, thresholds
from portal.catalogue import intact
from portal.catalogue import state as states
from portal.faults import Fault
from portal.jobs import audit, recovery_figures, standby, table
from portal.jobs.table import Job
from portal.mirror import client, scan
from portal.mirror.client import MirrorError
from portal.recovery import copies, drive, generations, ownership, replica
from portal.recovery.generations import Generation
from portal.recovery.initialize import lost_store
from portal.recovery.replica import State
from portal.settings import S3, Follow, Settings
from portal.store import (
    clock,
    clock_trust,
    failure_marks,
    files,
    job_runs,
    leftovers,
    retention,
    schema,
    tokens,
    versions,
)
from portal.store.clock import now
from portal.store.errors import DatabaseUnusable
from portal.store.layout import USED, Layout
from portal.store.store import Store, open_store

PROBE_SECONDS = 5
COPIES_NAMED = TOKENS_NAMED = 3
TOKEN_DAYS = 14  # before its end a token in use is named
SKEW_SECONDS = 300  # by which a clock may be set back without a fault
GLANCE = ("tokens", "clock", "replica", "jobs", "recovery", "bucket", "access keys", "signatures")
"""Parts that read only rows and small files."""


@dataclass(frozen=True)
class Line:
    """One fact; `ok` is false when somebody should act."""

    name: str
    ok: bool
    text: str


def status(settings: Settings) -> list[Line]:
    """Every fact that can be had; a broken part takes no other with it."""
    role = _standby(settings, settings.follow) if settings.follow else _portal(settings)
    lines = [Line("version", True, __version__), role, _database(settings), _disk(settings)]
    try:
        store = open_store(settings)
    except (DatabaseUnusable, OSError):
        return lines
    try:
        return lines + list(_store(store))
    finally:
        store.db.close()


def glance(store: Store) -> list[Line]:
    """The facts that a page can show at once: none of the store's files is counted or read."""
    return [_disk(store.settings), *_store(store, GLANCE)]


def jobs(store: Store) -> list[tuple[Job, Line]]:
    """The jobs that this store should run, and the state of each."""
    db, expected = store.db.read(), table.expected(store.settings)
    runs = job_runs.with_marks(job_runs.every(db), failure_marks.every(store.db.directory))
    since = job_runs.expected_since(db, [job.name for job in expected])
    return [(job, _job(job, runs.get(job.name), since[job.name])) for job in expected]


def to_json(lines: list[Line]) -> str:
    return json.dumps({"ok": all(line.ok for line in lines), "lines": [asdict(line) for line in lines]}, indent=2)


def wait_ready(settings: Settings, seconds: float) -> bool:
    """Whether the portal is ready within that time."""
    deadline = time.monotonic() + seconds
    while not (ready := _portal(settings).ok) and time.monotonic() < deadline:
        time.sleep(0.1)
    return ready


def _portal(settings: Settings) -> Line:
    place = str(settings.socket or f"{settings.host}:{settings.port}")
    connection = http.client.HTTPConnection(settings.host, settings.port, timeout=PROBE_SECONDS)
    try:
        if settings.socket:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(PROBE_SECONDS)
            connection.sock.connect(str(settings.socket))
        connection.request("GET", "/readyz")
        answer = connection.getresponse().status
    except (FileNotFoundError, ConnectionRefusedError):
        return Line("portal", False, f"does not run, or begins just now: nothing listens at {place}; see its log")
    except (http.client.HTTPException, OSError) as error:
        return Line("portal", False, f"not ready at {place}: {error}")
    finally:
        connection.close()
    return Line("portal", answer == 200, f"{'ready' if answer == 200 else f'answers {answer}'} at {place}")


def _standby(settings: Settings, source: Follow) -> Line:
    copy = standby.read(Layout(settings.root)) or standby.Copy(source.store)
    age = None if copy.success_at is None else now() - copy.success_at
    text = f"follows {source.store}, last success {'never' if age is None else f'{age} s ago'}"
    if copy.failure and copy.failure_at:
        text += f"; failed {_time(copy.failure_at)}: {copy.failure}"
    return Line("standby", age is not None and age <= table.max_age(settings, "follow"), text)


def _database(settings: Settings) -> Line:
    layout = Layout(settings.root)
    try:
        if not layout.database.exists():
            return Line("database", False, f"{layout.database} is missing, {_remedy(settings)}")
        found = schema.require(layout.database)
    except (DatabaseUnusable, OSError) as error:  # a share may let nobody in
        return Line("database", False, str(error))
    own, size = len(schema.migrations()), _bytes(layout.database.stat().st_size)
    beside = f" beside this release's {own}" if found.number > own else ""
    return Line("database", True, f"schema {found.number}{beside}, {size}")


def _remedy(settings: Settings) -> str:
    if settings.follow:
        return "`mosis follow` brings it"
    return (lost_store(settings) or "`mosis setup` creates it").rstrip(".")


def _disk(settings: Settings) -> Line:
    try:
        disk = os.statvfs(settings.root)
    except FileNotFoundError:
        return Line("disk", False, f"{settings.root} is missing: mount its volume, or deploy")
    except OSError as error:
        return Line("disk", False, str(error))
    if disk.f_flag & os.ST_RDONLY or not _takes_files(Layout(settings.root).area("data")):
        return Line("disk", False, f"{settings.root} is read-only: see the system's log, then mount it read-write")
    free = disk.f_bavail * disk.f_frsize
    return Line("disk", free >= thresholds.DISK_FREE_BYTES_MIN, f"{_bytes(free)} free below {settings.root}")


def _takes_files(directory: Path) -> bool:
    """False on a read-only disk, which is found out by trying: ext4 that protects itself after an error has no flag
    that says so (since Linux 6.15).
    """
    try:
        os.close(os.open(directory, os.O_TMPFILE | os.O_WRONLY, 0o600))  # has no name, and is gone at once
    except OSError as error:
        return error.errno != errno.EROFS
    return True


def _packages(store: Store) -> Iterator[Line]:
    """Only if there is a fault: packages that a database which somebody put back does not know."""
    if number := len(leftovers.unnamed(store)):
        text = (
            f"{number} are not in the database, which is older: `mosis restore --replace-database` brings the newer one"
            " back, if need be with --at and a time before this one was put here"
        )
        yield Line("packages", False, f"{text}, else `mosis rebuild --replace-database --ignore-copies`")


def _store(store: Store, names: Collection[str] = ()) -> Iterator[Line]:
    """All parts, or those with these names."""
    parts = {"versions": _versions, "storage": _storage, "audit": _audit}
    if not store.settings.follow:  # the rest is the work of the store that this host follows
        parts |= {
            "packages": _packages,
            "retention": _retention,
            "tokens": _tokens,
            "clock": _clock,
            "replica": _litestream,
            "snapshots": _snapshots,
            "generations": _generations,
            "copies": _copies,
            "jobs": _jobs,
            "recovery": _recovery,
            "bucket": _bucket,
            "access keys": _access_keys,
            "signatures": _signatures,
        }
    for name, part in parts.items():
        if names and name not in names:
            continue
        try:
            yield from part(store)
        except (Fault, OSError, sqlite3.Error) as error:
            yield Line(name, False, str(error))


def _versions(store: Store) -> Iterator[Line]:
    counts = versions.count(store.db.read())
    yield Line("versions", True, ", ".join(f"{n} {name}" for name, n in sorted(counts.items())) or "none")


def _retention(store: Store) -> Iterator[Line]:
    if number := len(retention.needed(store.db.read(), now())):
        text = f"superseded versions kept because devices of lower API levels install no newer one: {number}"
        yield Line("retention", True, f"{text}; `mosis cleanup --dry-run` names them")


def _tokens(store: Store) -> Iterator[Line]:
    """Only if some end soon; their owners see it at /api/me."""
    if ending := tokens.ending(store.db.read(), TOKEN_DAYS):
        named = ", ".join(
            f"{one.token_id} of {one.developer_id} {_time(one.expires_at)}" for one in ending[:TOKENS_NAMED]
        )
        more = f", and {len(ending) - TOKENS_NAMED} more" if ending[TOKENS_NAMED:] else ""
        yield Line("tokens", True, f"in use and about to end: {named}{more}; `mosis token create` makes others")


def _storage(store: Store) -> Iterator[Line]:
    used = files.disk_usage([store.layout.area(area) for area in USED])
    budget = store.settings.storage_budget_bytes
    text = f"{_bytes(used.bytes)} of {_bytes(budget)}"
    if used.unreadable:
        text += f", without {', '.join(map(str, used.unreadable))}, which cannot be read"
    yield Line("storage", used.bytes <= thresholds.STORAGE_NEARLY_FULL * budget, text)


def _audit(store: Store) -> Iterator[Line]:
    faults = list(audit.recent_faults(store))
    verified = " ".join(filter(None, ("log verifies.", audit.left_out(store)))).rstrip(".")
    yield Line("audit", not faults, " ".join(faults) or verified)


def _clock(store: Store) -> Iterator[Line]:
    doubt = clock_trust.look(store.db.directory, store.db.read()).doubt
    yield Line("clock", not doubt, doubt or ("synchronized" if clock.synchronized() else "keeps its pace"))


def _litestream(store: Store) -> Iterator[Line]:
    if store.settings.litestream:
        yield _replica(store.layout)


def _snapshots(store: Store) -> Iterator[Line]:
    if found := generations.listed(store.layout.root):
        yield Line("snapshots", True, f"{len(found)} of the root (Btrfs), the oldest {_oldest(found)}")


def _generations(store: Store) -> Iterator[Line]:
    if store.settings.backup is None:
        return
    directory = drive.require(store.settings.backup)
    ownership.require(store, directory)
    found = generations.listed(directory)
    kind = "of what runs replaced, beside the newest tree" if generations.flat(directory) else "on the drive"
    text = f"{len(found)} {kind}, the oldest {_oldest(found)}"
    if wrong := generations.misdated(found):
        text += f"; {wrong.path} is dated later than the newest, so none is deleted: if its date is wrong, rename it"
        text += f" to {wrong.number:06}-{generations.UNDATED}"
    yield Line("generations", wrong is None, text)


def _copies(store: Store) -> Iterator[Line]:
    """Only if there is a fault: copies of the database that were made under a clock ahead of this one."""
    latest = f"portal-{datetime.fromtimestamp(now() + SKEW_SECONDS, UTC):%Y%m%dT%H%M%SZ}.db"
    found = [*copies.snapshots(store.layout.snapshots), *ownership.snapshots(store)]
    if ahead := [str(path) for path in found if path.name > latest]:
        text = f"{', '.join(ahead[:COPIES_NAMED])} from the future, {len(ahead)} in all"
        remedy = "if it was then, rename them to a time that has passed: only their content decides which one is newest"
        yield Line("copies", False, f"{text}: the clock was wrong then, or is now; {remedy}")


def _oldest(found: list[Generation]) -> str:
    return next((_time(int(one.at.timestamp())) for one in reversed(found) if one.at), "never")


def _jobs(store: Store) -> Iterator[Line]:
    yield from (line for _, line in jobs(store))


def _recovery(store: Store) -> Iterator[Line]:
    figures = recovery_figures.read(store.db.read())
    yield Line("recovery", True, recovery_figures.sentence(figures) or "not rehearsed yet")


def _replica(layout: Layout) -> Line:
    state, wal = replica.read(layout), replica.size(layout.wal)
    if not replica.kept(layout):
        return Line("replica", False, "`mosis replicate` does not run: the database is not replicated")
    age = now() - (state.verified_at or state.started_at or 0)
    verified = "not proved yet" if state.verified_at is None else f"proved {_time(state.verified_at)}"
    faults = [
        (age > state.max_age, "overdue for a proof"),
        (state.failure, f"the last proof failed: {state.failure}"),
        (_lag(state) > thresholds.REPLICA_LAG_SECONDS_MAX, f"{_lag(state)} s behind the database"),
        (wal > thresholds.WAL_BYTES_MAX, f"the WAL has {_bytes(wal)}"),
    ]
    found = [text for fault, text in faults if fault]
    return Line("replica", not found, "; ".join([verified, *found]))


def _lag(state: State) -> int:
    return 0 if state.behind_since is None else now() - state.behind_since


def _bucket(store: Store) -> Iterator[Line]:
    """What the bucket lacks; `mirror` is the line of the job itself."""
    if store.settings.mirror is None:
        return
    bucket, (number, since) = store.settings.mirror.bucket, scan.pending(store.db.read(), store.layout)
    if not number:
        yield Line("bucket", True, f"{bucket} has every published file")
        return
    late = now() - since > table.max_age(store.settings, "mirror")
    yield Line("bucket", not late, f"{bucket} lacks {number} published files, the oldest since {_time(since)}")


def _access_keys(store: Store) -> Iterator[Line]:
    """Only if there is a fault. Whether the access key of jobs works, their runs say; here it may not be readable."""
    if (mirror := store.settings.mirror) is None:
        return
    faults = [f"{path} is readable by others: run `chmod 600` on it" for path in _shown(mirror)]
    if mirror.private:
        try:
            client.access_key_of(mirror.signing.credentials)
        except MirrorError as error:
            faults.append(f"uploads through {mirror.private_bucket} answer 503: {str(error).rstrip('.')}")
    if faults:
        yield Line("access keys", False, "; ".join(faults))


def _shown(mirror: S3) -> Iterator[Path]:
    """Files of access keys that anybody on this host may read."""
    for path in sorted({mirror.credentials, mirror.signing.credentials}):
        with suppress(OSError):  # not there, or not for this user
            if path.stat().st_mode & stat.S_IROTH:
                yield path


def _signatures(store: Store) -> Iterator[Line]:
    """Until when devices accept the catalogue; `catalogue` is the line of the job itself."""
    if state := states.read(store.layout.catalogue_state):
        left = {role: at - now() for role, at in state.expires.items()}
        due = [role for role in left if left[role] < thresholds.CATALOGUE_SECONDS_LEFT_MIN.get(role, 0)]
        first = min(left, key=lambda role: left[role])
        text = f"valid until {_time(state.expires[first])} ({first})"
        if due:
            text += f"; {', '.join(due)} should have been signed anew, root and targets by `mosis catalogue renew`"
        if os.access(root_key := store.settings.catalogue_key_directory / "root.pem", os.F_OK):
            text += f"; move {root_key} to two places off this host"
        if damaged := intact.fault(store.layout):
            text += f"; {damaged}, which the next `mosis catalogue` mends"
        yield Line("signatures", not (due or damaged), text)


def _job(job: Job, run: job_runs.Run | None, since: int) -> Line:
    """The state of a job that has been expected `since`, in seconds since 1970."""
    if run is None:
        if since > now() + SKEW_SECONDS:
            return Line(job.name, False, f"has never run, and is expected since {_time(since)}, in the future")
        return Line(job.name, now() - since <= job.max_age, "has never run")
    last = "never" if run.success_at is None else _time(run.success_at)
    if run.success_at is None or run.failure:
        failed = "" if run.failure_at is None else f" {_time(run.failure_at)}"
        return Line(job.name, False, f"last success {last}; failed{failed}: {run.failure}")
    age = now() - run.success_at
    if age < -SKEW_SECONDS:
        return Line(job.name, False, f"last success {last} is in the future: the clock was wrong then, or is now")
    overdue = age > job.max_age
    return Line(job.name, not overdue, f"{'overdue, ' if overdue else ''}last success {last}")


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
