"""Refused log-ins and actions in the audit log: enough that an operator sees an attack, too few to fill the disk."""

import sqlite3
from contextlib import closing, suppress

from portal.store import audit
from portal.store.errors import RateLimited
from portal.store.rate_limit import rate_limit
from portal.store.store import Store

LOG_IN, ACTION = "login.refuse", "access.refuse"
LEFT_OUT = "more"
"""The subject of a row that stands for refusals that have none."""


def stranger(address: str) -> audit.Actor:
    """Who has not proved to be anybody; no developer can have this id."""
    return audit.Actor("-", "", None, address)


def record(store: Store, actor: audit.Actor, action: str, subject: str, key: str, **detail: object) -> None:
    """Add a row, unless there were too many of this `key`, an address or a developer, or of all.

    Then one row an hour, of the subject LEFT_OUT, says so: an attacker can use up the rows, but not without a trace.
    Whatever keeps it from being written, the refusal is answered as it is.
    """
    with suppress(OSError, sqlite3.Error):
        if not (_has_room(store, "refusals", f"{action} {key}") and _has_room(store, "all-refusals", action)):
            if not _has_room(store, "refusals-left-out", f"{action} {LEFT_OUT}"):
                return
            actor, subject, detail = stranger(""), LEFT_OUT, {}
        with store.db.write(durable=False) as tx:
            audit.append(tx, actor, action, subject, **detail)


def _has_room(store: Store, name: str, key: str) -> bool:
    """Count a row towards a limit; False if the limit is exceeded."""
    with closing(rate_limit(store.settings, name)) as limit:
        try:
            limit.take(key)
        except RateLimited:
            return False
        return True
