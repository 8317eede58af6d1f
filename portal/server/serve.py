"""Serve a store until SIGTERM."""

import logging
import os
import sqlite3
from collections.abc import Collection
from contextlib import closing, suppress
from typing import TextIO

from portal.jobs import table
from portal.jobs.alone import RunningError, none_running
from portal.recovery import initialize, migration, records
from portal.server import forking, lock, place, stopping
from portal.server.metrics_directory import metrics_directory
from portal.server.options import DRAIN_SECONDS, options
from portal.server.place import Place
from portal.settings import METRICS_VARIABLE, Settings
from portal.store import job_runs, leftovers, schema, search
from portal.store.clock import now
from portal.store.errors import DatabaseBusy
from portal.store.layout import Layout
from portal.store.leftovers import Leftover
from portal.store.store import Store, open_store

APPS_MAX = 500  # whose first records are written within the time that a portal has to end
RECORDS_SECONDS = 2.0  # that a worker, or a job, may take to end what it writes of them
MARGIN_SECONDS = 5  # between the end of the last worker, killed if need be, and the server's
NOISE = ("Configuration allows spawning up to", "Granian shutdown completed")  # the threads are chosen, not an accident


def serve(settings: Settings) -> None:
    """Run the portal in the foreground until SIGTERM. Raises DatabaseUnusable, BackupError.

    It migrates an older database first: a host may go down while it is upgraded and come up with the new release. Then
    it indexes for the search what the migration has changed, also one that a crash cut off from that.
    """
    initialize.require_own_store(settings)
    layout = Layout(settings.root)
    schema.usable(layout.database)
    with place.held(settings) as held, layout.serve_lock.open("a") as shared, metrics_directory() as counted:
        lock.share(shared)
        migration.migrate(settings, _report)
        _index(settings)
        _clear_leftovers(settings, shared)
        _expect_jobs(settings)
        # Before anything imports the client library, which looks at it only then.
        if counted:
            os.environ[METRICS_VARIABLE] = str(counted)
        _run(settings, held)
        _write_records(settings)


def _index(settings: Settings) -> None:
    """Bring the search up to date. A full disk keeps no portal down; cleanup tries again."""
    with suppress(DatabaseBusy, sqlite3.Error), closing(open_store(settings).db) as db:
        search.catch_up(db)


def _expect_jobs(settings: Settings) -> None:
    """A job that is new to the store becomes overdue counting from now. A full disk keeps no portal down."""
    with suppress(DatabaseBusy, sqlite3.Error), closing(open_store(settings).db) as db:
        job_runs.expect(db, [job.name for job in table.expected(settings)])


def _write_records(settings: Settings) -> None:
    """What the workers had no time for: until the next start nobody else does it."""
    with suppress(DatabaseBusy, sqlite3.Error, OSError), closing((store := open_store(settings)).db):
        records.catch_up(store, apps_max=APPS_MAX, wait=RECORDS_SECONDS)


def _clear_leftovers(settings: Settings, shared: TextIO) -> None:
    """Remove what a crash left. Errors keep no portal down: nothing of it is ever served."""
    with suppress(DatabaseBusy, sqlite3.Error, OSError):
        store = open_store(settings)
        with closing(store.db):
            with lock.alone(shared) as is_alone:
                ownerless = _ownerless(store) if is_alone else ()
            found = leftovers.found(store, now(), ownerless)
            leftovers.sweep(store, found, _report_leftover, _report)
            leftovers.name_images(store)


def _ownerless(store: Store) -> Collection[str]:
    """What earlier portals left."""
    try:
        with none_running(store.layout, wait=0):
            return leftovers.ownerless(store, is_job_running=False)
    except RunningError:
        return leftovers.ownerless(store, is_job_running=True)


def _report_leftover(leftover: Leftover) -> None:
    _report(f"removed {leftover.path}, which a crash left ({leftover.label})")


def _report(line: str) -> None:
    print(line, flush=True)  # ahead of what the workers write


def _run(settings: Settings, held: Place) -> None:
    from granian import Granian  # here, because no other command needs it

    logging.getLogger("_granian").addFilter(lambda record: not record.getMessage().startswith(NOISE))
    server = Granian("portal.server.worker:worker", factory=True, **options(settings))
    server.on_startup(held.listening)
    server.on_shutdown(lambda: setattr(server, "bind_uds", None))  # it would remove another portal's socket too
    forking.end_with_server()
    stopping.stop_server(server.signal_handler_interrupt, within=DRAIN_SECONDS + MARGIN_SECONDS)
    server.serve()
