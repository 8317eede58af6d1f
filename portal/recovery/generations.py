"""Dated generations of the store's files on the external drive.

They are numbered, and the number is their order: a clock that was wrong for a night must not decide what is deleted.
A generation is a whole tree that shares the files it has in common with the one before. Where the drive cannot share
files, the tree is directly in the directory, as releases before generations had it, and a generation holds the files
that one run replaced or deleted there.
"""

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from portal.settings import Backup
from portal.store import files

PARTS = ("packages", "assets", "backups/snapshots")
"""Copied by each backup, below the root and below each tree: the drive alone brings a lost store back."""
DIRECTORY = "generations"
PARTIAL = ".partial"  # the run that was interrupted continues with it
EXPIRED = ".expired"
STAMP = "%Y%m%dT%H%M%SZ"
NAME = re.compile(r"(\d{6,})-(\d{8}T\d{6}Z)")


@dataclass(frozen=True)
class Generation:
    """`at` is what the clock said when it was made."""

    number: int
    at: datetime
    path: Path


def listed(directory: Path) -> list[Generation]:
    """The finished generations, newest first."""
    found = [_parse(path) for path in (directory / DIRECTORY).glob("*-*")]
    return sorted((one for one in found if one), key=lambda one: one.number, reverse=True)


def _parse(path: Path) -> Generation | None:
    if (name := NAME.fullmatch(path.name)) is None:
        return None
    return Generation(int(name[1]), datetime.strptime(name[2], STAMP).replace(tzinfo=UTC), path)


def trees(directory: Path) -> list[Path]:
    """Everything that may have files of the store, the newest first; the run that was interrupted is the last."""
    flat = [directory] if any((directory / part).is_dir() for part in PARTS) else []
    partial = directory / DIRECTORY / PARTIAL
    found = flat + [one.path for one in listed(directory)] + ([partial] if partial.is_dir() else [])
    return found or [directory]


def following(directory: Path, at: datetime | None = None) -> Generation:
    """The generation after the last one, which does not exist yet; dated now unless `at` is given."""
    number, at = max((one.number for one in listed(directory)), default=0) + 1, at or datetime.now(UTC)
    return Generation(number, at.replace(microsecond=0), directory / DIRECTORY / f"{number:06}-{at:{STAMP}}")


def adopt(directory: Path) -> None:
    """Move the tree of an older release, directly in the directory, into a generation.

    If that is interrupted, each part is in one place or the other, and the next run moves the rest.
    """
    present = [part for part in PARTS if (directory / part).is_dir()]
    if not present:
        return
    newest = next(iter(listed(directory)), None)
    if newest is None or any((newest.path / part).exists() for part in present):
        changed = max((directory / part).stat().st_mtime for part in present)
        newest = following(directory, min(datetime.fromtimestamp(changed, UTC), datetime.now(UTC)))
    for part in present:
        files.make_directory((newest.path / part).parent)
        (directory / part).rename(newest.path / part)
        files.flush_directory((newest.path / part).parent)


def _day(one: Generation, newer: Generation | None) -> Hashable:
    # Dated no earlier than the one after it: the clock was wrong, and that is a night of its own.
    return one.number if newer and one.at >= newer.at else one.at.date()


def _week(one: Generation, _newer: Generation | None) -> Hashable:
    return one.at.isocalendar()[:2]


SLOTS: dict[str, Callable[[Generation, Generation | None], Hashable]] = {"keep_daily": _day, "keep_weekly": _week}
"""The setting that says how many are kept, each the last one of its day or week."""


def expired(found: list[Generation], keep: Backup, *, whole: bool) -> list[Generation]:
    """Those of `found`, newest first, that the settings no longer keep; never the newest.

    None while an older one is dated later than the newest: then the clock is wrong now, or was. Those that are not
    `whole` trees are needed back to the oldest one that is kept: what a run replaced is in that one alone.
    """
    if not found or max(one.at for one in found) > found[0].at:
        return []
    kept = {found[0].number} | {number for rule in SLOTS for number in _kept(found, rule, getattr(keep, rule))}
    oldest = min(kept)
    return [one for one in found if (one.number not in kept if whole else one.number < oldest)]


def _kept(found: list[Generation], rule: str, count: int) -> list[int]:
    newest: dict[Hashable, int] = {}
    for newer, one in zip([None, *found], found, strict=False):
        newest.setdefault(SLOTS[rule](one, newer), one.number)
    return list(newest.values())[:count]


def delete(generation: Generation) -> None:
    """Take a generation off the drive. If that is interrupted, `discard_expired` finishes it."""
    gone = generation.path.with_name(f"{EXPIRED}-{generation.path.name}")
    generation.path.rename(gone)
    files.discard(gone)


def discard_expired(directory: Path) -> None:
    for path in (directory / DIRECTORY).glob(f"{EXPIRED}-*"):
        files.discard(path)
