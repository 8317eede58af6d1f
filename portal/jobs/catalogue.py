"""Keep the signed catalogue up to date with what is published.

The audit log is the outbox: a run makes the documents of the apps that rows since the last run name. Once a day, and
when the log does not contain the last row read, as after a restore, it makes all of them and compares.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from portal.catalogue import draft as drafts
from portal.catalogue import intact
from portal.catalogue import keys as keyring
from portal.catalogue import state as states
from portal.catalogue.documents import Author, Document, DocumentError
from portal.catalogue.draft import Change, Draft
from portal.catalogue.prune import prune
from portal.catalogue.roots import record
from portal.catalogue.state import State
from portal.catalogue.tree import Tree
from portal.faults import Fault, sentence
from portal.jobs.alone import alone
from portal.jobs.catalogue_idle import CHECK_SECONDS, JOB, RECOVERED
from portal.store import audit, clock_trust, job_runs
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.store import Store

REVOKED = """
    WITH ended AS (SELECT subject FROM audit WHERE seq > ? AND action IN ('key.revoke', 'developer.disable'))
    SELECT app_id FROM app_keys JOIN keys USING (key_id) WHERE key_id IN ended OR developer_id IN ended"""
"""The apps of keys that were revoked, alone or with their developer."""
REMOVED_MAX, REMOVED_PART_MAX = 10, 0.3  # of the apps; a run that would remove more than both writes nothing


class CatalogueError(Fault):
    """The catalogue is not up to date; the message names cause and remedy."""


@dataclass(frozen=True)
class Report:
    """Paths below the catalogue that were written, or would be, and apps whose documents went."""

    written: list[str]
    removed: list[str]


def catalogue(
    store: Store, *, verify: bool = False, force: bool = False, wrote: Callable[[str], object] = lambda path: None
) -> Report:
    """Bring the catalogue up to date; with `verify`, and once a day, compare everything. `wrote` receives each path.

    Raises CatalogueError, KeysError, RunningError while it runs, OSError.
    """
    if store.settings.follow:
        raise CatalogueError(f"This host is a standby of {store.settings.follow.store}, which signs its own catalogue.")
    with alone(store, JOB), job_runs.recorded(store.db, JOB):
        clock = clock_trust.look(store.db.directory, store.db.read(), confirmed=force)
        clock_trust.remember(store.db.directory, clock.witness)
        if clock.doubt:
            raise CatalogueError(
                f"Nothing was signed. {clock.doubt} If the clock is right, run `mosis catalogue --force`."
            )
        run = _Run(store, verify=verify)
        drafted = run.draft()
        run.require_few_removed(drafted, force=force)
        drafts.write(run.tree, drafted, wrote)
        run.finish()
        return _report(drafted)


def preview(store: Store) -> Report:
    """What a run would do; nothing is changed."""
    return _report(_Run(store, verify=False).draft())


def _report(drafted: Draft) -> Report:
    return Report([path for stage in drafted.stages for path in stage], drafted.removed)


class _Run:
    def __init__(self, store: Store, *, verify: bool) -> None:
        self._store, self._db, self._at = store, store.db.read(), now()
        self._faults: dict[str, str] = {}
        self._keys = keyring.load(store.settings.catalogue_key_directory)
        self.tree = Tree(store.layout.catalogue)
        self._head = audit.head(self._db)  # before what it covers is read
        self._before = states.read(store.layout.catalogue_state)
        self._changed = None if verify else self._changes()

    def draft(self) -> Draft:
        """What is to be written."""
        if everything := self._changed is None:
            record(self._store)
        apps = self._every() if self._changed is None else self._changed
        author = Author(self._db, self._store.layout)
        documents = {}
        for app_id in apps:
            try:
                documents[app_id] = found = self._document(author, app_id)
                if found and found.fault:
                    self._faults[app_id] = found.fault
            except (DocumentError, Refused) as error:
                self._faults[app_id] = sentence(error)
        kept = self._faults.keys() - documents.keys()
        return drafts.draft(self.tree, self._keys, Change(documents, everything, kept), self._at)

    def require_few_removed(self, drafted: Draft, *, force: bool) -> None:
        """Raises CatalogueError if so many apps would vanish that the database is more likely the wrong one."""
        number, there = len(drafted.removed), sum(1 for _ in self.tree.apps()) if drafted.removed else 0
        if number > max(REMOVED_MAX, REMOVED_PART_MAX * there) and not force:
            raise CatalogueError(
                f"{number} of {there} apps would be removed, and nothing was written: check `mosis catalogue"
                " --dry-run`, then run `mosis catalogue --force`."
            )

    def finish(self) -> None:
        """Remember what is done, and delete what nothing refers to. Raises CatalogueError if not all could be done."""
        tree, complete = Tree(self._store.layout.catalogue), self._changed is None
        if complete:
            prune(tree, self._at)
        before = self._before
        checked_at = self._at if complete or before is None else before.checked_at
        if tree.snapshot:
            versions, retry = (tree.snapshot.signed.version, self._keys.root.version), sorted(self._faults)
            state = State(*self._head, *versions, checked_at, retry, self._expires(tree))
            states.write(self._store.layout.catalogue_state, state)
        if self._faults:
            first, *more = self._faults.values()
            others = f" (and {len(more)} more)" if more else ""
            raise CatalogueError(
                f"{first}{others} Until then such an app is offered as before, without withdrawn versions."
            )

    def _expires(self, tree: Tree) -> dict[str, int]:
        """When the signatures of each role end. Bins are only read when everything is compared."""
        known = self._before.expires if self._before and self._changed is not None else {}
        signed = {"root": self._keys.root, "targets": self._keys.delegating(tree.number).signed}
        signed |= {found.signed.type: found.signed for found in (tree.timestamp, tree.snapshot) if found}
        ends = {role: int(one.expires.timestamp()) for role, one in signed.items()}
        return ends | {"bins": known["bins"] if "bins" in known else tree.first_bin_expires()}

    def _document(self, author: Author, app_id: str) -> Document | None:
        before = self.tree.document(self.tree.target(app_id))
        with _one_read(self._db):
            return author.document(app_id, before)

    def _changes(self) -> list[str] | None:
        """Apps that rows since the last run name; None: everything has to be compared.

        The subject of a row begins with the app; of a row about something else it names no app, which costs nothing.
        """
        before, snapshot = self._before, self.tree.snapshot
        if before is None or snapshot is None or before.snapshot != snapshot.signed.version:
            return None
        if intact.fault(self._store.layout):
            return None
        if before.root != self._keys.root.version or not audit.contains(self._db, before.head):
            return None
        if not 0 <= self._at - before.checked_at < CHECK_SECONDS:
            return None
        rows = self._db.execute("SELECT DISTINCT subject FROM audit WHERE seq > ?", (before.seq,))
        revoked = self._db.execute(REVOKED, (before.seq,))
        due = self._db.execute(RECOVERED, (before.checked_at, self._at))  # without a row of the log
        named = (row[0].partition("/")[0] for found in (rows, revoked, due) for row in found)
        apps = sorted({*named, *before.retry})
        return apps if all(self.tree.bin_of(app_id) for app_id in apps) else None

    def _every(self) -> Iterable[str]:
        return sorted({row[0] for row in self._db.execute("SELECT app_id FROM apps")} | set(self.tree.apps()))


@contextmanager
def _one_read(db: sqlite3.Connection) -> Iterator[None]:
    """One state of the database for several statements."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("COMMIT")
