"""The Litestream replica: how far it is, what is known about it, and how it is begun anew.

`behind` opens a file that SQLite locks by process (fcntl(2)): only a process without a connection may call it.
"""

import fcntl
import json
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from portal import thresholds
from portal.store import files
from portal.store.layout import Layout

ASIDE_KEPT = 2  # replicas that were set aside
WAL_HEADER, FRAME_HEADER = 32, 24  # bytes (sqlite.org/fileformat2.html)
INDEX = struct.Struct("=14xHI12x8s")  # of the WAL-index: page size, last frame, salts (sqlite.org/walformat.html)
PAGE_SIZE_64K = 1  # as which 65536 is stored
LTX = struct.Struct(">4s44xQQ8s")  # of an LTX file: its magic; start, length and salts of what it copies of the WAL
LTX_MAGIC = b"LTX1"
UNFINISHED = ".tmp"
LEVEL_0, SNAPSHOTS, FIRST = "ltx/0", "ltx/9", "0000000000000001-"


@dataclass(frozen=True)
class State:
    """What `mosis replicate` knows. Times are in seconds since 1970.

    `started_at`: when it began. `verified_at`: when the replica was last restored, and was whole and equal to the store
    up to the row `head` of its audit log. `failure`: why the last proof failed. `behind_since`: since when the replica
    has lacked a write. `proof_seconds`: time until the next proof.
    """

    started_at: int | None = None
    verified_at: int | None = None
    head: int = 0
    failure: str | None = None
    behind_since: int | None = None
    restarts: int = 0
    proof_seconds: int = thresholds.REPLICA_PROOF_SECONDS

    @property
    def max_age(self) -> int:
        """Age of the last proof in seconds, beyond which somebody should act."""
        return thresholds.REPLICA_PROOFS_MISSED_MAX * self.proof_seconds


class Position(NamedTuple):
    """A place in one generation of the WAL, which its salts tell from others; bytes."""

    salts: bytes
    end: int


def read(layout: Layout) -> State:
    """What is known; as of nothing yet where that cannot be read."""
    try:
        return State(**json.loads(layout.replica_state.read_bytes()))
    except (OSError, ValueError, TypeError):
        return State()


def kept(layout: Layout) -> bool:
    """Whether `mosis replicate` runs."""
    try:
        with layout.replicate_lock.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def write(layout: Layout, state: State) -> None:
    files.write_file(layout.replica_state, json.dumps(asdict(state)).encode())


def size(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def behind(layout: Layout, copied: Position | None) -> bool:
    """Whether the replica, which is `copied` that far, lacks a commit."""
    end = _committed(layout)
    if end is None:
        return False  # nobody has the database open
    return copied is None or copied.salts != end.salts or copied.end < end.end


def _committed(layout: Layout) -> Position | None:
    """The end of the last commit in the WAL, as SQLite's index of it says."""
    with suppress(OSError, struct.error), layout.database.with_name("portal.db-shm").open("rb") as file:
        page, frames, salts = INDEX.unpack(file.read(INDEX.size))
        size = FRAME_HEADER + (65536 if page == PAGE_SIZE_64K else page)
        return Position(salts, WAL_HEADER + frames * size)
    return None


def copied(layout: Layout) -> Position | None:
    """The end of what the newest file of the replica has of the WAL; None without a readable one."""
    newest = max(_names(layout.replica / LEVEL_0), default=None)
    with suppress(OSError, struct.error):
        if newest:
            with (layout.replica / LEVEL_0 / newest).open("rb") as file:
                magic, start, length, salts = LTX.unpack(file.read(LTX.size))
                return Position(salts, start + length) if magic == LTX_MAGIC else None
    return None


def under_way(layout: Layout) -> int:
    """Bytes of files that Litestream has not finished: a full copy of a large database takes a while."""
    places = (layout.litestream_state / LEVEL_0, layout.replica / LEVEL_0)
    return sum(size(path) for place in places for path in _listed(place) if path.suffix == UNFINISHED)


def complete(layout: Layout) -> bool:
    """Whether the replica has a file that a restore can begin with; what was begun without one never gets whole."""
    levels = (LEVEL_0, "ltx/1", "ltx/2", "ltx/3")
    return any(True for _ in _names(layout.replica / SNAPSHOTS)) or any(
        name.startswith(FIRST) for level in levels for name in _names(layout.replica / level)
    )


def _names(directory: Path) -> Iterator[str]:
    return (path.name for path in _listed(directory) if path.suffix == ".ltx")


def _listed(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def set_aside(layout: Layout) -> Path | None:
    """Keep the replica, and what Litestream knew about it, out of the way, so that it is begun anew.

    Returns where it is now, None where there was none that a restore could begin with. Litestream may not run.
    """
    aside = None
    if complete(layout):
        aside = layout.replica.with_name(f"{layout.replica.name}-until-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
        layout.replica.rename(aside)
        for old in sorted(set_asides(layout), reverse=True)[ASIDE_KEPT:]:
            files.discard(old)
    files.discard(layout.replica)
    forget(layout)
    return aside


def forget(layout: Layout) -> None:
    """Let Litestream, which may not run, begin with a full copy the next time, in a directory of the store's mode.

    It numbers that copy after the newest file of level 0. A snapshot is written before the changes in it reach level 0:
    one that a killed Litestream left there has numbers that the next changes get as well, and a restore would take it
    for those. So whatever is ahead of level 0 goes.
    """
    files.discard(layout.litestream_state)
    layout.replica.mkdir(mode=0o700, parents=True, exist_ok=True)
    newest = max(map(_last, _names(layout.replica / LEVEL_0)), default="")
    if not newest and complete(layout):
        set_aside(layout)
        return
    for path in (layout.replica / "ltx").glob("[1-9]/*.ltx"):
        if _last(path.name) > newest:
            path.unlink(missing_ok=True)


def _last(name: str) -> str:
    """The number of the last change in a file, comparable."""
    return name.removesuffix(".ltx").rpartition("-")[2]


def set_asides(layout: Layout) -> list[Path]:
    """Replicas that were set aside."""
    return list(layout.replica.parent.glob(f"{layout.replica.name}-until-*"))
