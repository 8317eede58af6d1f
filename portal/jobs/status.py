"""What the store is like right now, line by line, for an operator and for monitoring."""

import errno
import http.client
import json
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from pathlib import Path

from portal import __version__, thresholds
from portal.faults import Fault
from portal.jobs import audit, standby, status_copies, table
from portal.jobs.status_line import SKEW_SECONDS, Line, shown
from portal.jobs.table import Job
from portal.recovery.initialize import lost_store
from portal.settings import Follow, Settings
from portal.sizes import size
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
TOKENS_NAMED = 3
TOKEN_DAYS = 14  # before its end a token in use is named
GLANCE = ("tokens", "clock", "replica", "jobs", "recovery", "bucket", "access keys", "signatures")
"""Parts that read only rows and small files."""


def status(settings: Settings) -> list[Line]:
    """All facts that are available; a part that fails leaves the others."""
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
        text += f"; failed {shown(copy.failure_at)}: {copy.failure}"
    return Line("standby", age is not None and age <= table.max_age(settings, "follow"), text)


def _database(settings: Settings) -> Line:
    layout = Layout(settings.root)
    try:
        if not layout.database.exists():
            return Line("database", False, f"{layout.database} is missing, {_remedy(settings)}")
        found = schema.require(layout.database)
    except (DatabaseUnusable, OSError) as error:  # a share may let nobody in
        return Line("database", False, str(error))
    own = len(schema.migrations())
    beside = f" beside this release's {own}" if found.number > own else ""
    return Line("database", True, f"schema {found.number}{beside}, {size(layout.database.stat().st_size)}")


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
    return Line("disk", free >= thresholds.DISK_FREE_BYTES_MIN, f"{size(free)} free below {settings.root}")


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
    parts = OF_ANY_HOST if store.settings.follow else OF_ANY_HOST | OF_A_STORE
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
    """Only if some end soon, which their owners see at /api/me, or if nobody can sign in to administer."""
    if tokens.is_without_admin(store.db.read()):
        yield Line("tokens", True, "no admin token is valid: deploy, or run `mosis token create admin --scope admin`")
    if ending := tokens.ending(store.db.read(), TOKEN_DAYS):
        named = ", ".join(
            f"{one.token_id} of {one.developer_id} {shown(one.expires_at)}" for one in ending[:TOKENS_NAMED]
        )
        more = f", and {len(ending) - TOKENS_NAMED} more" if ending[TOKENS_NAMED:] else ""
        yield Line("tokens", True, f"in use and about to end: {named}{more}; `mosis token create` makes others")


def _storage(store: Store) -> Iterator[Line]:
    used = files.disk_usage([store.layout.area(area) for area in USED])
    budget = store.settings.storage_budget_bytes
    text = f"{size(used.bytes)} of {size(budget)}"
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


def _jobs(store: Store) -> Iterator[Line]:
    yield from (line for _, line in jobs(store))


def _job(job: Job, run: job_runs.Run | None, since: int) -> Line:
    """The state of a job that has been expected `since`, in seconds since 1970."""
    if run is None:
        if since > now() + SKEW_SECONDS:
            return Line(job.name, False, f"has never run, and is expected since {shown(since)}, in the future")
        return Line(job.name, now() - since <= job.max_age, "has never run")
    last = "never" if run.success_at is None else shown(run.success_at)
    if run.success_at is None or run.failure:
        failed = "" if run.failure_at is None else f" {shown(run.failure_at)}"
        return Line(job.name, False, f"last success {last}; failed{failed}: {run.failure}")
    age = now() - run.success_at
    if age < -SKEW_SECONDS:
        return Line(job.name, False, f"last success {last} is in the future: the clock was wrong then, or is now")
    overdue = age > job.max_age
    return Line(job.name, not overdue, f"{'overdue, ' if overdue else ''}last success {last}")


Part = Callable[[Store], Iterator[Line]]
OF_ANY_HOST: dict[str, Part] = {"versions": _versions, "storage": _storage, "audit": _audit}
OF_A_STORE: dict[str, Part] = {
    "packages": _packages,
    "retention": _retention,
    "tokens": _tokens,
    "clock": _clock,
    "replica": status_copies.replicated,
    "snapshots": status_copies.snapshots,
    "generations": status_copies.kept,
    "copies": status_copies.ahead,
    "jobs": _jobs,
    "recovery": status_copies.rehearsed,
    "bucket": status_copies.bucket,
    "access keys": status_copies.access_keys,
    "signatures": status_copies.signatures,
}
"""What a host that follows a store leaves to that one."""
