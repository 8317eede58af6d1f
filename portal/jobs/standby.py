"""A standby's copy of another store: what is known about it, and how it becomes a store of its own."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from portal.recovery import copies
from portal.recovery.errors import BackupError
from portal.settings import Settings
from portal.store import files
from portal.store.database import connect
from portal.store.layout import Layout
from portal.store.locks import lock

PULL_SECONDS = 120  # in which a pull under way ends: its store answers, or rsync gives up on it


class FollowError(BackupError):
    """The store was not copied, or the copy may not be what is asked for; what was there before is still there."""


@dataclass(frozen=True)
class Copy:
    """Times are in seconds since 1970; `success_at` is when the last good pull began, `failure` stands until the next.

    `replica` tells one state of the store's Litestream replica from another.
    """

    store: str
    success_at: int | None = None
    failure_at: int | None = None
    failure: str | None = None
    replica: str = ""


def read(layout: Layout) -> Copy | None:
    """What is known about this host's copy; None on a host that is a store of its own, or nothing yet."""
    try:
        return Copy(**json.loads(_note(layout).read_bytes()))
    except FileNotFoundError:
        return None


def write(layout: Layout, copy: Copy) -> None:
    files.write_file(_note(layout), json.dumps(asdict(copy)).encode())


def _note(layout: Layout) -> Path:
    return layout.area("data") / "standby.json"


def require(layout: Layout, store: str) -> Copy:
    """The copy of `store` that is here or may be made here. Raises FollowError where other data would be lost."""
    copy = read(layout)
    if copy is None and layout.database.exists():
        raise FollowError(f"{layout.database} is this host's own: move it away first if it is to follow {store}.")
    if copy and copy.store != store:
        raise FollowError(f"{layout.database} is a copy of {copy.store}: move it away first to follow {store}.")
    return copy or Copy(store)


@contextmanager
def alone(layout: Layout, seconds: float = 0) -> Iterator[bool]:
    """Whether, within that time, nobody else pulls or promotes here; if so, nobody does until the block ends."""
    with (layout.area("data") / "follow.lock").open("a") as file:
        yield lock(file, wait=seconds)


@contextmanager
def promotion(settings: Settings) -> Iterator[Copy | None]:
    """The copy that is here, which is this host's own data once the block has ended without an error; None: it is.

    Raises FollowError while the host is still meant to follow, and where the copy was never whole.
    """
    layout = Layout(settings.root)
    if settings.follow:
        raise FollowError(f"This host is meant to follow {settings.follow.store}: deploy it without mosis_follows.")
    with alone(layout, PULL_SECONDS) as locked:
        if not locked:
            raise FollowError("A pull is under way and does not end: try again later.")
        copy = read(layout)
        if copy:
            if copy.success_at is None or not layout.database.exists():
                raise FollowError(
                    f"This host never had a whole copy of {copy.store}; remove {_note(layout)} to start an empty store."
                )
            copies.check(layout.database, live=True)  # a promotion that broke off may have left a WAL
            with closing(connect(layout.database, litestream=settings.litestream)) as db:
                db.execute("PRAGMA journal_mode = WAL")  # as every store has it; copies have none
        yield copy
        _note(layout).unlink(missing_ok=True)
        files.flush_directory(layout.area("data"))
