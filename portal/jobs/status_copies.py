"""What `mosis status` reports about copies of the store: each part yields its lines, none where it does not apply."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from portal import thresholds
from portal.catalogue import intact
from portal.catalogue import state as states
from portal.jobs import recovery_figures, table
from portal.jobs.status_line import SKEW_SECONDS, Line, shown
from portal.mirror import client, scan
from portal.mirror.client import MirrorError
from portal.recovery import copies, drive, generations, ownership, replica
from portal.recovery.generations import Generation
from portal.recovery.replica import State
from portal.settings import S3
from portal.sizes import size
from portal.store.clock import now
from portal.store.layout import Layout
from portal.store.store import Store

COPIES_NAMED = 3


def replicated(store: Store) -> Iterator[Line]:
    if store.settings.litestream:
        yield _replica(store.layout)


def snapshots(store: Store) -> Iterator[Line]:
    if found := generations.listed(store.layout.root):
        yield Line("snapshots", True, f"{len(found)} of the root (Btrfs), the oldest {_oldest(found)}")


def kept(store: Store) -> Iterator[Line]:
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


def ahead(store: Store) -> Iterator[Line]:
    """Only if there is a fault: copies of the database that were made under a clock ahead of this one."""
    latest = f"portal-{datetime.fromtimestamp(now() + SKEW_SECONDS, UTC):%Y%m%dT%H%M%SZ}.db"
    found = [*copies.snapshots(store.layout.snapshots), *ownership.snapshots(store)]
    if ahead := [str(path) for path in found if path.name > latest]:
        text = f"{', '.join(ahead[:COPIES_NAMED])} from the future, {len(ahead)} in all"
        remedy = "if it was then, rename them to a time that has passed: only their content decides which one is newest"
        yield Line("copies", False, f"{text}: the clock was wrong then, or is now; {remedy}")


def _oldest(found: list[Generation]) -> str:
    return next((shown(int(one.at.timestamp())) for one in reversed(found) if one.at), "never")


def rehearsed(store: Store) -> Iterator[Line]:
    figures = recovery_figures.read(store.db.read())
    yield Line("recovery", True, recovery_figures.sentence(figures) or "not rehearsed yet")


def _replica(layout: Layout) -> Line:
    state, wal = replica.read(layout), replica.size(layout.wal)
    if not replica.kept(layout):
        return Line("replica", False, "`mosis replicate` does not run: the database is not replicated")
    age = now() - (state.verified_at or state.started_at or 0)
    verified = "not proved yet" if state.verified_at is None else f"proved {shown(state.verified_at)}"
    faults = [
        (age > state.max_age, "overdue for a proof"),
        (state.failure, f"the last proof failed: {state.failure}"),
        (_lag(state) > thresholds.REPLICA_LAG_SECONDS_MAX, f"{_lag(state)} s behind the database"),
        (wal > thresholds.WAL_BYTES_MAX, f"the WAL has {size(wal)}"),
    ]
    found = [text for fault, text in faults if fault]
    return Line("replica", not found, "; ".join([verified, *found]))


def _lag(state: State) -> int:
    return 0 if state.behind_since is None else now() - state.behind_since


def bucket(store: Store) -> Iterator[Line]:
    """What the bucket lacks; `mirror` is the line of the job itself."""
    if store.settings.mirror is None:
        return
    bucket, (number, since) = store.settings.mirror.bucket, scan.pending(store.db.read(), store.layout)
    if not number:
        yield Line("bucket", True, f"{bucket} has every published file")
        return
    late = now() - since > table.max_age(store.settings, "mirror")
    yield Line("bucket", not late, f"{bucket} lacks {number} published files, the oldest since {shown(since)}")


def access_keys(store: Store) -> Iterator[Line]:
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


def signatures(store: Store) -> Iterator[Line]:
    """Until when devices accept the catalogue; `catalogue` is the line of the job itself."""
    if state := states.read(store.layout.catalogue_state):
        left = {role: at - now() for role, at in state.expires.items()}
        due = [role for role in left if left[role] < thresholds.CATALOGUE_SECONDS_LEFT_MIN.get(role, 0)]
        first = min(left, key=lambda role: left[role])
        text = f"valid until {shown(state.expires[first])} ({first})"
        if due:
            text += f"; {', '.join(due)} should have been signed anew, root and targets by `mosis catalogue renew`"
        if os.access(root_key := store.settings.catalogue_key_directory / "root.pem", os.F_OK):
            text += f"; move {root_key} to two places off this host"
        if damaged := intact.fault(store.layout):
            text += f"; {damaged}, which the next `mosis catalogue` mends"
        yield Line("signatures", not (due or damaged), text)
