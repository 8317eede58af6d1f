"""Dated generations of the store's files on the external drive.

They are numbered, and the number is their order: a clock that was wrong for a night must not decide what is deleted.
One that was made while the clock was in doubt has no date: it counts as a day of its own.
A generation is a whole tree that shares the files it has in common with the one before. Where the drive cannot share
files, the tree is directly in the directory, as releases before generations had it, and a generation holds the files
that one run replaced or deleted there.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from portal.store import files

PARTS = ("packages", "assets", "backups/snapshots")
"""Copied by each backup, below the root and below each tree: the drive alone brings a lost store back."""
DIRECTORY = "generations"
PARTIAL = ".partial"  # the run that was interrupted continues with it
EXPIRED = ".expired"
STAMP = "%Y%m%dT%H%M%SZ"
UNDATED = "undated"
NAME = re.compile(rf"([0-9]{{6,18}})-([0-9]{{8}}T[0-9]{{6}}Z|{UNDATED})")


@dataclass(frozen=True)
class Generation:
    """`at` is when it was made, None if the clock was in doubt."""

    number: int
    at: datetime | None
    path: Path


def listed(directory: Path) -> list[Generation]:
    """The finished generations, newest first."""
    found = [_parse(path) for path in (directory / DIRECTORY).glob("*-*")]
    return sorted((one for one in found if one), key=lambda one: one.number, reverse=True)


def _parse(path: Path) -> Generation | None:
    if (name := NAME.fullmatch(path.name)) is None:
        return None
    try:
        at = None if name[2] == UNDATED else datetime.strptime(name[2], STAMP).replace(tzinfo=UTC)
    except ValueError:  # digits that are no date
        return None
    return Generation(int(name[1]), at, path)


def trees(directory: Path) -> list[Path]:
    """Everything that may have files of the store, the newest first; the run that was interrupted is the last."""
    places = [directory] if flat(directory) else []
    places += [one.path for one in listed(directory)]
    partial = directory / DIRECTORY / PARTIAL
    return places + ([partial] if partial.is_dir() else []) or [directory]


def flat(directory: Path) -> bool:
    """Whether there is a tree directly in the directory."""
    return any((directory / part).is_dir() for part in PARTS)


def following(directory: Path, at: datetime | None) -> Generation:
    """The generation after the last one, which does not exist yet."""
    number = max((one.number for one in listed(directory)), default=0) + 1
    date = format(at, STAMP) if at else UNDATED
    return Generation(number, at, directory / DIRECTORY / f"{number:06}-{date}")


def adopt(directory: Path, at: datetime | None) -> None:
    """Move the tree of an older release, directly in the directory, into a generation made before `at`.

    If that is interrupted, each part is in one place or the other, and the next run moves the rest.
    """
    present = [part for part in PARTS if (directory / part).is_dir()]
    if not present:
        return
    newest = next(iter(listed(directory)), None)
    if newest is None or any((newest.path / part).exists() for part in present):
        changed = datetime.fromtimestamp(max((directory / part).stat().st_mtime for part in present), UTC)
        newest = following(directory, changed if at and changed < at else None)
    for part in present:
        files.make_directory((newest.path / part).parent)
        (directory / part).rename(newest.path / part)
        files.flush_directory((newest.path / part).parent)


def misdated(found: list[Generation]) -> Generation | None:
    """The latest of `found`, newest first, if that is not the newest: its date, or the newest one's, is wrong."""
    dated = [(one.at, one.number, one) for one in found if one.at]
    latest = max(dated, default=None)
    return None if latest is None or latest == dated[0] else latest[2]


def expired(found: list[Generation], *, daily: int, weekly: int, whole: bool) -> list[Generation]:
    """Those of `found`, newest first, that are not the last one of one of so many days or weeks.

    Never the newest, and not the one before it: a second run on one day must not take the first with it.
    None while the newest has no date, or an older one a later date. Those that are not `whole` trees are needed back to
    the oldest one that is kept: what a run replaced is in that one alone.
    """
    if not found or found[0].at is None or misdated(found):
        return []
    days, weeks = _kept(map(_day, found), found, daily), _kept(map(_week, found), found, weekly)
    kept = {*days, *weeks, *(one.number for one in found[:2])}
    oldest = min(kept)
    return [one for one in found if (one.number not in kept if whole else one.number < oldest)]


def _day(one: Generation) -> str:
    return f"{one.at:%Y-%m-%d}" if one.at else f"night {one.number}"


def _week(one: Generation) -> str:
    return f"{one.at:%G-W%V}" if one.at else ""


def _kept(slots: Iterable[str], found: list[Generation], count: int) -> list[int]:
    """The numbers of the newest of each of the first `count` slots."""
    newest: dict[str, int] = {}
    for slot, one in zip(slots, found, strict=True):
        if slot:
            newest.setdefault(slot, one.number)
    return list(newest.values())[:count]


def delete(generation: Generation) -> None:
    """Take a generation off the drive. If that is interrupted, `discard_expired` finishes it."""
    gone = generation.path.with_name(f"{EXPIRED}-{generation.path.name}")
    generation.path.rename(gone)
    files.discard(gone)


def discard_expired(directory: Path) -> None:
    for path in (directory / DIRECTORY).glob(f"{EXPIRED}-*"):
        files.discard(path)
