"""What a run of `mosis catalogue` looks at first. Mostly that is all, without loading python-tuf."""

import sqlite3

from portal.catalogue import intact
from portal.catalogue import state as states
from portal.catalogue.state import State
from portal.jobs.alone import alone
from portal.store import audit, clock_trust, job_runs
from portal.store.clock import now
from portal.store.store import Store

JOB = "catalogue"
CHECK_SECONDS = 86400
"""How often everything is compared, and what expires is signed anew."""
RECOVERED = "SELECT app_id FROM app_keys WHERE kind = 'recovery' AND effective_at BETWEEN ? AND ?"


def ran(store: Store) -> bool:
    """Whether there was nothing to do, which is recorded as a success. Raises RunningError."""
    with alone(store, JOB):
        if not _is_idle(store):
            return False
        with job_runs.recorded(store.db, JOB):
            return True


def _is_idle(store: Store) -> bool:
    db, state = store.db.read(), states.read(store.layout.catalogue_state)
    if state is None or state.retry or state.head != audit.head(db) or not _is_as_left(store, state):
        return False
    is_checked = 0 <= now() - state.checked_at < CHECK_SECONDS
    return is_checked and not _is_recovered(db, state) and not clock_trust.look(store.db.directory, db).doubt


def _is_as_left(store: Store, state: State) -> bool:
    """Whether keys and catalogue are as the last run left them."""
    keys = store.settings.catalogue_key_directory
    roots = sum(1 for _ in keys.glob("*.root.json"))
    try:
        versions = intact.read(store.layout)
    except intact.Damaged:
        return False
    return any(keys.glob("store-*.pem")) and versions == intact.Versions(state.snapshot, roots) and roots == state.root


def _is_recovered(db: sqlite3.Connection, state: State) -> bool:
    """Whether a recovered key has come into force since, of which the log has no row."""
    return db.execute(RECOVERED, (state.checked_at, now())).fetchone() is not None
