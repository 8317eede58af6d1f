"""Keeps Litestream running and its replica proved.

Litestream always starts over an empty WAL and without what it remembered, so that it begins with a full copy of the
database: a start mends whatever a dying writer, a hang or a lost file did to the replica. What decides about a start is
one table of faults. Between starts the replica is proved every few minutes; one that fails twice is set aside.
"""

import fcntl
import json
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TextIO

from portal import thresholds
from portal.faults import Fault
from portal.jobs.child import Forked, Program
from portal.recovery import replica
from portal.recovery.replica import Position, State
from portal.store import checkpoint, writing
from portal.store.clock import now
from portal.store.errors import DatabaseUnusable
from portal.store.layout import Layout

TICK_SECONDS = 1.0
FAILURES_MAX = 2  # proofs in a row, after which the replica is set aside
LAG_SECONDS = 5  # that Litestream may take to copy a write
HANGING_SECONDS = 30  # for which Litestream may be suspended, or copy nothing of what was written
LOST_SECONDS = 2  # for which a listing of the replica may show no full copy
SETTLED_SECONDS = 60  # after which a start is a success
DELAY_SECONDS_MAX = 60  # between two starts, doubled from one second after each that was none
PROOF_DELAY_SECONDS = 5  # after a start
PROOF_SECONDS_MAX = 900
PROOF_SHARE = 0.02  # of the time, that proofs may take


class ReplicaError(Fault):
    """There is no store to replicate."""


def replicate(root: Path, config: Path) -> None:
    """Run Litestream with its configuration `config` for the store below `root` until SIGTERM. Raises ReplicaError."""
    layout, stopping = Layout(root), threading.Event()
    if not layout.area("data").is_dir():
        raise ReplicaError(f"{layout.area('data')} is missing: mount the volume, or deploy first.")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with layout.replicate_lock.open("a") as lock:
        if not _locked(lock, stopping):
            return
        keeper = Keeper(layout, config, lock.fileno())
        try:
            while not stopping.wait(TICK_SECONDS):
                keeper.look()
        finally:
            keeper.end()


def _locked(lock: TextIO, stopping: threading.Event) -> bool:
    """Wait for a Litestream of before, or a restore, to end. Whether it has."""
    waited = False
    while not stopping.is_set():
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not waited:
                _report("waiting: another Litestream, or a restore, is at work on this store")
            waited = True
            stopping.wait(TICK_SECONDS)
        else:
            return True
    return False


class Keeper:
    """Litestream and what is known about its replica; `look` is called about once a second."""

    def __init__(self, layout: Layout, config: Path, lock: int) -> None:
        self._layout, self._lock = layout, lock
        self._command = (Path(sys.executable).with_name("litestream"), "replicate", "-config", config)
        self._save(replace(replica.read(layout), started_at=now(), behind_since=None))
        self._litestream: Program | None = None
        self._start_due = self._started = time.monotonic()
        self._delay = 1.0
        self._continued: tuple[int, int] | None = None  # the database file whose replica may be continued
        self._comparison: Forked | None = None
        self._comparison_began = 0.0
        self._proof: Forked | None = None
        self._proof_due = self._proof_began = 0.0
        self._failures = 0  # proofs that have failed in a row
        self._progress = Progress()
        self._complete = False  # the replica has been, since the start
        self._found: dict[str, float] = {}  # symptom to the time since when it has been found

    def look(self) -> None:
        """Start Litestream, restart it for a symptom, or continue with the proof."""
        if self._litestream is None:
            self._start()
            return
        self._measure(self._litestream)
        for symptom in SYMPTOMS:
            if self._lasts(symptom.text) >= symptom.seconds:
                self._restart(symptom.text, urgent=symptom.urgent, anew=symptom.anew)
                return
        self._prove()

    def end(self) -> None:
        """Let Litestream copy the rest, and end."""
        self._end_proof()
        if self._comparison:
            self._comparison.kill()
        if self._litestream:
            self._litestream.end()

    def _measure(self, litestream: Program) -> None:
        """Note since when each symptom has been found without a break, and whether the replica lags."""
        sight = self._sight(litestream)
        for symptom in SYMPTOMS:
            if symptom.found(sight):
                self._found.setdefault(symptom.text, time.monotonic())
            else:
                self._found.pop(symptom.text, None)
        lag = self._lasts(STALLED)
        if lag >= LAG_SECONDS and self._state.behind_since is None:
            self._save(replace(self._state, behind_since=now() - int(lag)))
        elif lag < 0 and self._state.behind_since is not None:
            self._save(replace(self._state, behind_since=None))

    def _sight(self, litestream: Program) -> "Sight":
        copied = replica.copied(self._layout)
        advances = self._progress.advances(copied, replica.under_way(self._layout))
        complete = replica.complete(self._layout)
        self._complete = self._complete or complete
        return Sight(
            ended=litestream.ended is not None,
            suspended=litestream.suspended,
            writer_died=writing.died(self._layout.database),
            stalled=replica.behind(self._layout, copied) and not advances,
            lost=self._complete and not complete,
            replaced=_file(self._layout.database) not in (self._continued, None),
            wal_bytes=replica.size(self._layout.wal),
        )

    def _lasts(self, symptom: str) -> float:
        """For how many seconds the symptom has been found; negative where it is not."""
        return time.monotonic() - self._found[symptom] if symptom in self._found else -1.0

    def _start(self) -> None:
        if time.monotonic() < self._start_due or not self._layout.database.exists() or not self._may_continue():
            return
        try:
            if not checkpoint.empty(self._layout.database) and writing.died(self._layout.database):
                raise OSError("a reader keeps the WAL, which a dying writer left, in use")
            replica.forget(self._layout)
            self._litestream = Program(self._command, keeps=self._lock)
        except (OSError, sqlite3.Error) as error:
            _report(f"cannot start Litestream: {error}")
            self._postpone()
            return
        self._started = time.monotonic()
        self._proof_due = max(self._proof_due, self._started + PROOF_DELAY_SECONDS)

    def _may_continue(self) -> bool:
        """Whether Litestream may continue the replica; one with changes that the database lacks is set aside first.

        Only a database file that is new to this process is compared: a start between is a matter of a second.
        """
        file = _file(self._layout.database)
        if file == self._continued or not replica.complete(self._layout):
            self._continued = file
            return True
        if self._comparison is None:
            self._comparison_began = time.monotonic()
            self._comparison = Forked(lambda: _ahead(self._layout))
        text = self._comparison.result()
        if text is None and time.monotonic() - self._comparison_began < PROOF_SECONDS_MAX:
            return False
        if text is None:
            self._comparison.kill()
        self._comparison, self._continued = None, file
        if text and (aside := replica.set_aside(self._layout)):
            _report(f"the database lacks changes that the replica has, which is now in {aside}: see `mosis restore`")
        return True

    def _restart(self, why: str, *, urgent: bool = False, anew: bool = False) -> None:
        """End Litestream, so that `_start` starts it: at once if that is urgent, else after a delay that grows.

        `anew`: with a new replica.
        """
        _report(f"starting Litestream anew: {why}")
        self._end_proof()
        if self._litestream:
            self._litestream.kill()  # what it has not copied yet is in the database
            self._litestream = None
        if anew and (aside := replica.set_aside(self._layout)):
            _report(f"the replica so far is in {aside}")
        self._found.clear()
        self._complete = False
        self._save(replace(self._state, restarts=self._state.restarts + 1))
        if time.monotonic() - self._started > SETTLED_SECONDS:
            self._delay = 1.0
        self._start_due = time.monotonic()
        if not urgent:
            self._postpone()
        self._proof_due = 0.0
        self._start()

    def _postpone(self) -> None:
        self._start_due = time.monotonic() + self._delay
        self._delay = min(2 * self._delay, DELAY_SECONDS_MAX)

    def _prove(self) -> None:
        if self._proof is None:
            if time.monotonic() >= self._proof_due and not 0 <= self._lasts(STALLED) < HANGING_SECONDS / 2:
                self._proof_began = time.monotonic()
                self._proof = Forked(lambda: _proved(self._layout))
            return
        took = time.monotonic() - self._proof_began
        text = self._proof.result()
        if text is None and took < PROOF_SECONDS_MAX:
            return
        if text is None:
            self._end_proof()
        self._proof = None
        self._judge(Outcome(**json.loads(text)) if text else Outcome("unknown", "The proof was interrupted."), took)

    def _judge(self, outcome: "Outcome", seconds: float) -> None:
        every = max(thresholds.REPLICA_PROOF_SECONDS, round(seconds / PROOF_SHARE))
        self._proof_due = time.monotonic() + every
        if outcome.kind == "good":
            self._failures = 0
            head = outcome.head
            self._save(replace(self._state, verified_at=now(), head=head, failure=None, proof_seconds=every))
            return
        _report(f"proof failed: {outcome.text}")
        self._save(replace(self._state, failure=outcome.text))
        if outcome.kind == "unknown":
            return
        self._failures += outcome.kind == "bad"
        due = self._proof_due
        self._restart(f"the replica is {outcome.kind}", anew=outcome.kind == "bad" and self._failures == FAILURES_MAX)
        if self._failures > FAILURES_MAX or outcome.kind == "old":
            self._proof_due = due

    def _end_proof(self) -> None:
        if self._proof:
            self._proof.kill()
            self._proof = None

    def _save(self, state: State) -> None:
        """A disk that is full keeps Litestream from nothing."""
        self._state = state
        with suppress(OSError):
            replica.write(self._layout, state)


@dataclass
class Progress:
    """Tells a copy that takes long from one that fails again and again: what is `copied` up to now, and the `most`
    bytes that were under way since.
    """

    copied: Position | None = None
    most: int = 0

    def advances(self, copied: Position | None, under_way: int) -> bool:
        """Whether more is copied, or under way, than ever before."""
        same = copied == self.copied
        result = not same or under_way > self.most
        self.copied, self.most = copied, max(under_way, self.most) if same else under_way
        return result


@dataclass(frozen=True)
class Sight:
    """What is seen at one look."""

    ended: bool
    suspended: bool
    writer_died: bool
    stalled: bool
    lost: bool
    replaced: bool
    wal_bytes: int


@dataclass(frozen=True)
class Symptom:
    """Why Litestream is started anew: what was `found` for that many seconds.

    `urgent`: without a delay. `anew`: with a new replica.
    """

    text: str
    found: Callable[[Sight], bool]
    seconds: float = 0
    urgent: bool = False
    anew: bool = False


STALLED = "it copies nothing of what was written"
SYMPTOMS = (
    Symptom("it ended", lambda sight: sight.ended),
    Symptom("a writer died in its COMMIT", lambda sight: sight.writer_died, urgent=True),
    Symptom("it is suspended", lambda sight: sight.suspended, HANGING_SECONDS),
    Symptom(STALLED, lambda sight: sight.stalled, HANGING_SECONDS),
    Symptom("the replica was lost", lambda sight: sight.lost, LOST_SECONDS, anew=True),
    Symptom("the database was replaced", lambda sight: sight.replaced, LOST_SECONDS, urgent=True),
    Symptom("the WAL is too large", lambda sight: sight.wal_bytes > thresholds.WAL_BYTES_MAX, SETTLED_SECONDS),
)


@dataclass(frozen=True)
class Outcome:
    """Of a proof; `unknown`: it says nothing about the replica."""

    kind: Literal["good", "bad", "old", "unknown"]
    text: str = ""
    head: int = 0


def _proved(layout: Layout) -> str:
    """The outcome of a proof, as JSON."""
    from portal.recovery import proof  # here, because it needs what `replicate` does not keep in memory
    from portal.recovery.errors import BackupError

    try:
        outcome = Outcome("good", head=proof.prove(layout).head)
    except proof.Behind as error:
        outcome = Outcome("old", str(error))
    except (proof.NoRoom, OSError) as error:
        outcome = Outcome("unknown", str(error))
    except (BackupError, DatabaseUnusable, sqlite3.Error) as error:
        outcome = Outcome("bad", str(error))
    return json.dumps(asdict(outcome))


def _ahead(layout: Layout) -> str:
    """Not empty if the replica has changes that the database lacks; empty also where that cannot be found out."""
    from portal.recovery import proof  # here, as above
    from portal.recovery.errors import BackupError

    try:
        return "ahead" if proof.is_ahead(layout) else ""
    except (BackupError, DatabaseUnusable, OSError, sqlite3.Error, LookupError, ValueError):
        return ""


def _file(path: Path) -> tuple[int, int] | None:
    """Identifies the file among others of its name; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _report(line: str) -> None:
    print(line, flush=True)
