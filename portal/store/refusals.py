"""Refused log-ins and actions in the audit log: enough that an operator sees an attack, too few to fill the disk."""

import sqlite3
from contextlib import closing, suppress

from portal.store import audit
from portal.store.errors import RateLimited
from portal.store.rate_limit import rate_limit
from portal.store.store import Store

LOG_IN, ACTION = "login.refuse", "access.refuse"


def stranger(address: str) -> audit.Actor:
    """Who has not proved to be anybody; no developer can have this id."""
    return audit.Actor("-", "", None, address)


def record(store: Store, actor: audit.Actor, action: str, subject: str, key: str, **detail: object) -> None:
    """Add a row, unless there were too many of this `key`, an address or a developer, or of all.

    Whatever keeps it from being written, the refusal is answered as it is.
    """
    with (
        suppress(RateLimited, OSError, sqlite3.Error),
        closing(rate_limit(store.settings, "refusals")) as of_one,
        closing(rate_limit(store.settings, "all-refusals")) as of_all,
    ):
        of_one.take(f"{action} {key}")
        of_all.take(action)
        with store.db.write(durable=False) as tx:
            audit.append(tx, actor, action, subject, **detail)
