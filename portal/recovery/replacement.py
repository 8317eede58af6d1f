"""The database that takes the place of a lost one: the newest copy that can be used, prepared beside it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from portal.recovery import copies, lineage, ownership, replica, set_aside
from portal.recovery.errors import BackupError
from portal.recovery.lineage import Copy, Found, Point
from portal.settings import Settings
from portal.store import schema
from portal.store.clock import rfc3339
from portal.store.database import connect
from portal.store.layout import Layout

NONE = "There is none: attach the drive that has one, or run `mosis rebuild`."
MINUTE, HOUR = 60, 3600
ENDINGS = (
    "token.revoke", "passkey.remove", "key.revoke", "developer.disable", "publisher.remove", "version.unshare",
    "webhook.delete",
)  # fmt: skip
"""What ends access, as the audit log names it."""
ENDINGS_NAMED = 20
BACK = (1, 10, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, 24 * HOUR, 48 * HOUR)
"""How long before its newest file a replica is tried whose newest state cannot be used, seconds."""


@dataclass(frozen=True)
class Replacement:
    """The database `path`, a copy of `name` with every change up to row `seq` of the log, written `at`.

    `notes` are sentences on what is not in it. Litestream cannot continue a `broken_replica`.
    """

    path: Path
    name: str
    seq: int
    at: int
    notes: tuple[str, ...]
    broken_replica: bool


def prepare(settings: Settings, place: Path, until: int | None = None, *, adopt: bool = False) -> Replacement:
    """Write the newest usable copy, or the newest without a change made after `until`, below `place`.

    `adopt`: of the store whose drive is attached, though it is not this host's. It has this release's schema, and a row
    of its log says that a restore began a timeline. Raises BackupError.
    """
    layout, target = Layout(settings.root), place / "restored.db"
    every = _with_earlier_replica(lineage.find(copies.sources(settings), place), layout, place)
    every = _with_set_aside(every, layout, place)
    own = _origins(settings, every, adopt=adopt)
    found = lineage.of_store(every, own)
    eligible = found if until is None else lineage.of_store(_as_of(found, layout, place, until), own)
    chosen, unusable = _take_newest(eligible, target, until)
    current = _current(layout)
    notes = (*_notes(found, eligible, chosen, unusable, current), *_in_force_again(layout, found, chosen, current))
    broken = _is_broken(found, chosen, until)
    reached = [copy.point.timeline for copy in every.copies] + [current.timeline if current else 0]
    _begin_timeline(target, max(reached) + 1, chosen.name)
    return Replacement(target, chosen.name, chosen.point.head.seq, chosen.point.at, notes, broken)


def _origins(settings: Settings, found: Found, *, adopt: bool) -> set[str | None]:
    """Of the store to restore: this host's, which the copies on its own disk name, else the database that is there.

    Raises BackupError if there are only copies of another one.
    """
    on_drive = [copy for copy in found.copies if copy.source.kind == "drive"]
    if adopt and on_drive:
        return {*ownership.noted_origins(settings)} or {on_drive[0].point.origin}
    local = next((copy for copy in found.copies if copy.source.kind in lineage.LOCAL), None)
    here = Layout(settings.root).database
    own: set[str | None] = {local.point.origin} if local else {*lineage.origins_of(here, live=True)}
    if found.copies and not any(copy.point.origin in own for copy in found.copies):
        stranger, whose = found.copies[0], "another store" if own else "a store that this host does not know"
        raise BackupError(
            f"{stranger.name} is of {whose} ({lineage.described(stranger)}): attach the drive of this host's store, or"
            " add --adopt to restore that one here."
        )
    return own


def _with_earlier_replica(found: Found, layout: Layout, place: Path) -> Found:
    """Where the newest state of the replica cannot be used, add an earlier one: it may be newer than every snapshot."""
    if not copies.has_replica(layout) or any(_is_sound(copy) for copy in found.copies if copy.source.kind == "replica"):
        return found
    written = max(path.stat().st_mtime for path in layout.replica.rglob("*.ltx"))
    for back in BACK:
        then = _replica_until(layout.replica, int(written) - back, place)
        if any(_is_sound(copy) for copy in then.copies):
            return Found(lineage.newest_first([*found.copies, *then.copies]), found.faults)
    return found


def _with_set_aside(found: Found, layout: Layout, place: Path) -> Found:
    """Add replicas that were set aside: one may be newer than a database that somebody put back.

    That some cannot be restored is why they were set aside, and no news.
    """
    for directory in replica.set_asides(layout):
        source = copies.replica(directory, where=f" in {directory}")
        then = lineage.find([source], Path(mkdtemp(dir=place)))
        found = Found(lineage.newest_first([*found.copies, *then.copies]), found.faults)
    return found


def _replica_until(directory: Path, until: int, place: Path, where: str = "") -> Found:
    before = Path(mkdtemp(dir=place))
    return lineage.find([copies.replica(directory, until, f"{where} until {rfc3339(until)}")], before)


def _is_sound(copy: Copy) -> bool:
    try:
        copies.check(copy.path)
        lineage.require_whole_log(copy)
    except BackupError:
        return False
    return True


def _as_of(found: Found, layout: Layout, place: Path, until: int) -> Found:
    """The copies without a change made later, and the replica as it was then.

    Where that does not reach back so far, one may that was set aside, by a restore or when it was begun anew.
    """
    then, faults = Found([], {}), found.faults
    for directory in _replicas(layout):
        then = _replica_until(directory, until, place, "" if directory == layout.replica else f" in {directory}")
        faults = faults | then.faults
        if then.copies:
            break
    earlier = [copy for copy in (*found.copies, *then.copies) if copy.point.at <= until]
    return Found(lineage.newest_first(earlier), faults)


def _replicas(layout: Layout) -> list[Path]:
    """The replica, then those set aside, the newest first."""
    aside = [*replica.set_asides(layout), *(path / "backups/portal" for path in set_aside.directories(layout))]
    return [path for path in (layout.replica, *sorted(aside, key=_since, reverse=True)) if copies.is_replica(path)]


def _since(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _take_newest(found: Found, target: Path, until: int | None) -> tuple[Copy, dict[Copy, str]]:
    """The newest copy that can be used, now in `target`, and why each newer one cannot.

    A log that was tampered with in every copy must not keep a store from coming back.
    """
    unusable: dict[Copy, str] = {}
    for whole_log in (True, False):
        unusable = {}
        for copy in found.copies:
            try:
                lineage.take(copy, target)
                if whole_log:
                    lineage.require_whole_log(copy)
            except BackupError as error:
                unusable[copy] = str(error)
            else:
                return copy, unusable
    reasons = [*unusable.values(), *found.faults.values()]
    if until is not None:
        reasons = reasons or [f"Every copy has changes made after {rfc3339(until)}."]
    raise BackupError(f"No copy of the database can be restored. {' '.join(reasons) or NONE}")


def _current(layout: Layout) -> Point | None:
    """How far the database reaches that is to be replaced, as far as it can be read."""
    if not layout.database.exists():
        return None
    try:
        return lineage.point_of(layout.database, live=True)
    except BackupError:
        return None


def _notes(
    found: Found, eligible: Found, chosen: Copy, unusable: dict[Copy, str], current: Point | None
) -> Iterator[str]:
    for fault in eligible.faults.values():
        yield f"not used: {fault}"
    for copy, reason in unusable.items():
        yield f"not used: {reason}{_later(copy.point, chosen)}"
    for copy in found.copies:
        if copy.point.timeline >= chosen.point.timeline and lineage.parted(copy, chosen):
            yield (
                f"not used: {copy.name} has another history: neither has the last change of the other."
                " To restore that one instead, move the other copies away."
            )
    if current and (later := _later(current, chosen)):
        yield f"The database that was there is set aside.{later}"


def _later(point: Point, chosen: Copy) -> str:
    """What is lost with that copy, as a sentence; empty if nothing."""
    number = point.head.seq - chosen.point.head.seq
    if point.timeline < chosen.point.timeline or number <= 0:
        return ""
    return f" It has {number} later {'change' if number == 1 else 'changes'}, the last made {rfc3339(point.at)}."


def _in_force_again(layout: Layout, found: Found, chosen: Copy, current: Point | None) -> Iterator[str]:
    """A sentence for each access that was ended later, as the database that was there has it, or the newest copy."""
    newest = [copy for copy in found.copies if copy.point.reach > chosen.point.reach][:1]
    later = [(layout.database, True)] if current else [(copy.path, False) for copy in newest]
    for path, live in later:
        ended = lineage.entries_after(path, chosen.point, ENDINGS, live=live)
        for entry in ended[:ENDINGS_NAMED]:
            what = f"{entry.action} {entry.subject} {entry.detail}, made {rfc3339(entry.at)}"
            yield f"In force again: what this change ended, unless you repeat it: {what}"
        if more := ended[ENDINGS_NAMED:]:
            yield f"In force again: what {len(more)} more such changes ended."


def _is_broken(found: Found, chosen: Copy, until: int | None) -> bool:
    """Whether the replica cannot be read, or is older than another copy: Litestream had stopped keeping up."""
    if until is None:
        return chosen.name != copies.REPLICA
    return not any(_is_sound(copy) for copy in found.copies if copy.name == copies.REPLICA)


def _begin_timeline(path: Path, timeline: int, name: str) -> None:
    try:
        schema.migrate(path, litestream=False)
        with closing(connect(path, litestream=False)) as tx:
            tx.execute("BEGIN IMMEDIATE")
            lineage.begin(tx, lineage.RESTORED, name, timeline)
            tx.execute("COMMIT")
    except sqlite3.Error as error:
        raise BackupError(f"{name} cannot be brought to this release: {error}.") from error
    with path.open("rb+") as file:
        os.fsync(file.fileno())
