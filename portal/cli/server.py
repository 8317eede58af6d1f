"""`mosis init`, `serve` and `status`: what a host runs."""

import ctypes
import fcntl
import json
import os
import signal
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from portal import settings
from portal.cli.metrics_directory import metrics_directory
from portal.http import idempotency
from portal.jobs import backup, restore
from portal.jobs import status as status_job
from portal.store import files, presign, schema
from portal.store.errors import DatabaseUnusable
from portal.store.layout import AREAS, Layout
from portal.store.store import open_store

if TYPE_CHECKING:
    from portal.app import Wsgi

# Connections a worker holds. An idle one of nginx holds a place too, and a worker that is full leaves what the kernel
# gave it (SO_REUSEPORT) waiting even while another has room: with a place a thread, 300 of 500 downloads hung for 20 s.
CONNECTIONS = 4096
# Bytes a connection may take for a head, and for a body that comes faster than it is read; with 64 KiB an upload is
# handed from thread to thread twice as often.
BUFFER = 256 * 1024
# Set, because glibc would learn to keep large blocks with the thread that freed them: 345 MB, not 115, after 64 icons.
# Above the pieces of a body, which would be mapped, zeroed and unmapped each: 25,000 page faults in an upload, not 200.
M_MMAP_THRESHOLD, MMAP_THRESHOLD = -3, 1024 * 1024  # mallopt(3), bytes
PR_SET_PDEATHSIG = 1  # prctl(2)


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command()(init)
    app.command()(serve)
    app.command()(status)


def init(
    check: Annotated[bool, typer.Option("--check", help="Only print, as JSON, what there is to do.")] = False,
) -> None:
    """Create the store's directories, database and URL keys, or bring the database to this version's schema.

    Refuses to start an empty database where a backup of a lost one exists.
    """
    chosen = settings.load()
    layout, wanted = Layout(chosen.root), len(schema.migrations())
    found = schema.found(layout.database)
    if check:
        pending = found is None or found.number < wanted or not layout.presign_keys.exists()
        there = {"schema": found and found.number, "compatible_from": found and found.compatible_from}
        print(json.dumps({"pending": pending, "wanted": wanted, **there}))
        return
    _require_store(chosen)
    if found is None and restore.has_backup(chosen):
        raise DatabaseUnusable(f"{layout.database} is missing, but there are backups of it: run `mosis restore`.")
    for area in AREAS:
        files.make_directory(layout.area(area))
    if found is None:
        schema.migrate(layout.database, litestream=chosen.litestream)
    _migrate(chosen, layout)
    presign.create(layout.presign_keys)


def _require_store(chosen: settings.Settings) -> None:
    if chosen.follow:
        raise DatabaseUnusable(f"This host is a standby of {chosen.follow.store}: its data comes from there.")


def _migrate(chosen: settings.Settings, layout: Layout) -> None:
    found, wanted = schema.usable(layout.database), len(schema.migrations())
    if found.number < wanted:
        print(f"before the migration: {backup.before_migration(layout, wanted)}", flush=True)
        schema.migrate(layout.database, litestream=chosen.litestream)
        print(f"{layout.database}: schema {found.number} → {wanted}", flush=True)


def serve() -> None:
    """Run the portal in the foreground until SIGTERM.

    It migrates an older database first: a host may go down while it is upgraded and come up with the new release.
    """
    chosen = settings.load()
    layout = Layout(chosen.root)
    _require_store(chosen)
    schema.usable(layout.database)
    with restore.lock_file(layout).open("a") as lock, metrics_directory() as shared:
        alone = _share(lock)
        _migrate(chosen, layout)
        store = open_store(chosen)
        if alone:  # else another portal may be answering them, in an exchange
            idempotency.forget_unanswered(store.db)
        store.db.close()
        # Before anything imports the client library, which looks at it only then.
        os.environ[settings.METRICS_VARIABLE] = shared
        if chosen.socket:
            chosen.socket.unlink(missing_ok=True)  # a killed portal leaves it
        _granian(chosen)


def _share(lock: TextIO) -> bool:
    """Hold the lock that portals share and a restore has alone; whether no other portal holds it.

    Raises DatabaseUnusable.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except BlockingIOError:
        alone = False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DatabaseUnusable("A restore is running: start the portal when it has ended.") from None
    return alone


def _granian(chosen: settings.Settings) -> None:
    from granian import Granian  # here, because no other command needs it
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings

    # A worker is forked with the server's handler, which does nothing in it: until it had its own, none could stop it.
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    Granian(
        "portal.cli.server:worker",
        factory=True,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,  # what nginx speaks; HTTP/2 in clear text is a second parser for strangers only
        uds=chosen.socket,
        uds_permissions=0o660,  # nginx is in the store's group
        address=chosen.host,
        port=chosen.port,
        workers=chosen.workers,
        blocking_threads=chosen.threads,
        backpressure=CONNECTIONS,
        backlog=CONNECTIONS,
        websockets=False,
        http1_settings=HTTP1Settings(max_buffer_size=BUFFER),
        respawn_failed_workers=True,
        respawn_interval=1,
        workers_kill_timeout=30,
    ).serve()


def worker() -> "Wsgi":
    """The application, as the server makes it in each worker process."""
    # A worker that outlives a killed server would keep the port, and its restart would fail.
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
    from portal.app import create_app  # here: it imports the metrics, which look at the environment then
    from portal.http import stalled

    chosen = settings.load()
    stalled.start(chosen.port, chosen.stall_seconds)
    return create_app(chosen)


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    wait: Annotated[float, typer.Option(help="Only wait for the portal to be ready, at most this many seconds.")] = 0,
) -> None:
    """Show what the store is like; exit 1 when anything needs attention."""
    chosen = settings.load()
    if wait:
        if not status_job.wait_ready(chosen, wait):
            raise DatabaseUnusable(f"The portal was not ready within {wait:g} s.")
        return
    lines = status_job.status(chosen)
    if as_json:
        print(status_job.to_json(lines))
    else:
        for line in lines:
            print(f"{'ok   ' if line.ok else 'FAULT'} {line.name:16} {line.text}")
    if not all(line.ok for line in lines):
        raise typer.Exit(1)
