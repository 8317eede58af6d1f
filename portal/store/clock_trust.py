"""Whether the clock may decide what is too old to keep.

A clock that is wrong for one hour must delete nothing. The kernel vouches for a clock that NTP synchronizes. Otherwise
the last run is the witness: since then the clock must have advanced as much as the time since boot, or, across a boot,
by no more than some hours. A clock that contradicts it is believed once it has kept its pace for a day, in which
somebody could notice, and then only if it is not days ahead.
"""

import json
import sqlite3
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from portal.store import clock, files

BOOT_ID, UPTIME = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/uptime")
HOUR, DAY = 3600, 86400
SKEW_SECONDS = 300  # by which a clock may be off
DRIFT = 0.001  # of the time since boot: more than any clock drifts
OFF_SECONDS = 6 * HOUR  # that a host may be switched off, unless its clock is synchronized
PROBATION_SECONDS = DAY
AHEAD_SECONDS_MAX = 7 * DAY


@dataclass(frozen=True)
class Sight:
    """The clock at one moment: `time` is in seconds since 1970, `uptime` in seconds since the boot `boot`."""

    boot: str
    uptime: float
    time: int

    def ahead(self, earlier: "Sight") -> float:
        """Seconds that the clock has advanced beyond the time that is known to have passed."""
        passed = self.uptime - earlier.uptime if self.boot == earlier.boot else 0
        return self.time - earlier.time - passed

    def known(self, earlier: "Sight") -> int:
        """The time that has come for certain: a host that was off in between only shows what passed since its boot."""
        return int(earlier.time + self.uptime - (earlier.uptime if self.boot == earlier.boot else 0))

    def agrees(self, earlier: "Sight") -> bool:
        """Whether both can be moments of one clock that is right."""
        if self.boot != earlier.boot:
            return -SKEW_SECONDS <= self.ahead(earlier) <= OFF_SECONDS
        return abs(self.ahead(earlier)) <= SKEW_SECONDS + DRIFT * (self.uptime - earlier.uptime)


@dataclass(frozen=True)
class Witness:
    """What is remembered: the last sight that was trusted, and the first one of a clock that contradicts it."""

    trusted: Sight | None = None
    doubted: Sight | None = None


@dataclass(frozen=True)
class Verdict:
    """`doubt` is a sentence, empty for a clock that is trusted; `lasting`: there has been doubt for a day.

    `leap`: the clock is trusted, and further than what is known to have passed since the last run.
    """

    witness: Witness
    doubt: str = ""
    lasting: bool = False
    leap: "Leap | None" = None


@dataclass(frozen=True)
class Leap:
    """A clock that is right has advanced by `seconds` more than is known to have passed: the host was off, or its clock
    was behind. What was written meanwhile has times from `since` to `until`, in seconds since 1970.
    """

    since: int
    until: int
    seconds: int


def judge(witness: Witness, sight: Sight, *, synchronized: bool) -> Verdict:
    """Compare what is seen now with what is remembered; see above."""
    trusted, doubted = witness.trusted, witness.doubted
    if synchronized or trusted is None or sight.agrees(trusted):
        return Verdict(Witness(sight), leap=_leap(trusted, sight))
    if doubted is None or doubted.boot != sight.boot or not sight.agrees(doubted):
        doubted = sight
    lasting = sight.uptime - doubted.uptime >= PROBATION_SECONDS
    if lasting and sight.time - trusted.time <= AHEAD_SECONDS_MAX:
        return Verdict(Witness(sight), leap=_leap(trusted, sight))
    ahead = sight.ahead(trusted)
    doubt = (
        f"The clock is {_duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} what it should be by the last"
        " run, and the kernel does not report it as synchronized: turn on time synchronization (NTP)."
    )
    return Verdict(Witness(trusted, doubted), doubt, lasting)


def _leap(trusted: Sight | None, sight: Sight) -> Leap | None:
    if trusted is None or sight.time - (known := sight.known(trusted)) <= SKEW_SECONDS:
        return None
    booted = 0 if trusted.boot == sight.boot else int(sight.time - sight.uptime)
    return Leap(trusted.time, max(known, booted), sight.time - known)


def look(directory: Path, db: sqlite3.Connection, *, confirmed: bool = False) -> Verdict:
    """Judge this host's clock by the witness in `directory`, or, where there is none yet, by the database.

    `confirmed`: somebody has checked the clock.
    """
    witness, vouched = _read(directory), confirmed or clock.synchronized()
    sight = _sight(witness.trusted if witness else None)
    if witness:
        return judge(witness, sight, synchronized=vouched)
    return replace(judge(_recorded(db, sight), sight, synchronized=vouched), leap=None)


def is_trusted(directory: Path) -> bool:
    """Whether the clock is the one that the last run trusted, or the kernel vouches for it."""
    if clock.synchronized():
        return True
    witness = _read(directory)
    return witness is not None and witness.trusted is not None and _sight(witness.trusted).agrees(witness.trusted)


def earliest(directory: Path) -> int:
    """The time that has come for certain since the last run, in seconds since 1970; 0 if there was none."""
    trusted = (_read(directory) or Witness()).trusted
    return _sight(trusted).known(trusted) if trusted else 0


def remember(directory: Path, witness: Witness) -> None:
    """Keep what was seen for the next run. A full disk keeps what there is."""
    with suppress(OSError):
        files.write_file(_path(directory), json.dumps(asdict(witness)).encode())


def _sight(last: Sight | None) -> Sight:
    """The clock now. A sandbox (ProcSubset=pid of systemd) hides which boot this is: then it is that of the `last`
    sight, unless less time has passed since boot; whoever was off in between is in doubt until a job has looked.
    """
    try:
        boot = BOOT_ID.read_text().strip()
        uptime = float(UPTIME.read_text().split()[0])
    except OSError:
        uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
        boot = last.boot if last and uptime >= last.uptime else "unknown"
    return Sight(boot, uptime, clock.now())


def _read(directory: Path) -> Witness | None:
    try:
        found = json.loads(_path(directory).read_bytes())
        return Witness(*(Sight(**found[name]) if found[name] else None for name in ("trusted", "doubted")))
    except (OSError, ValueError, TypeError, KeyError):  # none yet, or damaged
        return None


def _recorded(db: sqlite3.Connection, sight: Sight) -> Witness:
    """What the database last recorded, as if seen before this boot. A new store has nothing to contradict the clock."""
    last = db.execute(
        "SELECT max(at) FROM (SELECT at FROM audit WHERE seq = (SELECT max(seq) FROM audit)"
        " UNION ALL SELECT max(success_at) FROM job_runs UNION ALL SELECT max(failure_at) FROM job_runs)"
    ).fetchone()[0]
    return Witness(None if last is None else Sight(f"before {sight.boot}", 0, last))


def _path(directory: Path) -> Path:
    return directory / "clock.json"


def _duration(seconds: float) -> str:
    for name, size in (("year", 365 * DAY), ("day", DAY), ("hour", HOUR), ("minute", 60)):
        if number := round(seconds / size):
            return f"{number} {name}{'s' if number > 1 else ''}"
    return f"{seconds:.0f} seconds"
