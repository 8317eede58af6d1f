"""Compare the store with the record of the bucket, and note what has to be copied and what deleted.

The audit log is the outbox: each change of what devices may download appends a row in its own transaction, so nothing
is forgotten, and a run reads only the apps that rows since the last run name. A log that does not contain the last row
read, after a restore, has everything compared.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing

from portal.mirror import catalogue, wanted
from portal.mirror.record import Pending, Record
from portal.mirror.wanted import Wanted
from portal.store import audit
from portal.store.clock import now
from portal.store.layout import Layout


def scan(db: sqlite3.Connection, layout: Layout, record: Record) -> None:
    """Bring the record up to date with the database.

    An object whose version is gone is deleted only if the log says so: one that a restored database does not name may
    be the last copy of what devices have.
    """
    head, at = audit.head(db), now()
    changed = _changed(db, record)
    with record.at_once():
        for app_id, since in (_every(db, record, at) if changed is None else changed).items():
            found = wanted.of_app(db, layout, app_id)
            record.keep(app_id, found)
            for one in _missing(found, record, app_id):
                record.want(one.key, app_id, since, is_document=one.is_document)
            if changed is not None:
                record.unwant(record.objects(app_id).keys() - found.keys())
        record.head = head


def pending(db: sqlite3.Connection, layout: Layout) -> Pending:
    """What the bucket lacks at this moment, also of what was published since the last run."""
    with closing(Record.read(layout)) as record:
        changed = _changed(db, record)
        if changed is None:
            changed = _every(db, record, now())
        number, since = record.pending()
        for app_id, at in changed.items():
            more = len(_missing(wanted.of_app(db, layout, app_id), record, app_id)) - record.pending_of(app_id)
            number, since = number + more, min(since or at, at) if more > 0 else since
        return Pending(number, since if number else 0)


def _missing(found: Mapping[str, Wanted], record: Record, app_id: str) -> list[Wanted]:
    there = record.objects(app_id)
    return [one for one in found.values() if there.get(one.key) != one.sha256]


def _changed(db: sqlite3.Connection, record: Record) -> dict[str, int] | None:
    """Apps that rows since the last run name, and when the first did, in seconds since 1970; None: perhaps any.

    The subject of a row begins with the app; of a row about something else it names no app, which costs nothing.
    """
    last = record.head
    if last is None or not audit.contains(db, last):
        return None
    apps: dict[str, int] = {}
    for subject, at in db.execute("SELECT subject, at FROM audit WHERE seq > ? ORDER BY seq", (last.seq,)):
        apps.setdefault(subject.partition("/")[0], at)
    return apps


def _every(db: sqlite3.Connection, record: Record, at: int) -> dict[str, int]:
    apps = {row[0] for row in db.execute("SELECT app_id FROM apps")} | record.apps()
    return dict.fromkeys(apps - {catalogue.APP_ID}, at)
