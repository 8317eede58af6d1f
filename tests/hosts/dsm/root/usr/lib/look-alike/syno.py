"""What the stubs share: state in JSON files, and a loud refusal of everything that they do not know."""

import fcntl
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NoReturn

STATE = Path("/var/lib/syno-stub")
REAL = Path("/usr/lib/look-alike/real")
VOLUME = Path("/volume1")
CALLS = Mapping[str, tuple[range, Callable[..., None]]]


@contextmanager
def state(name: str) -> Iterator[dict]:
    """The state called `name`, saved when the block has changed it; one process at a time."""
    path = STATE / f"{name}.json"
    with path.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = path.read_text() if path.exists() else "{}"
        values = json.loads(before)
        yield values
        if (after := json.dumps(values, indent=1)) != before:
            path.write_text(after)


def log_refusal(reason: str) -> None:
    """Note a call that DSM would not understand; the tests expect this log to be empty."""
    with (STATE / "refused.log").open("a") as log:
        log.write(f"{datetime.now():%H:%M:%S} {' '.join(sys.argv)!r}: {reason}\n")


def refuse(reason: str) -> NoReturn:
    """End as a command that was called wrongly."""
    log_refusal(reason)
    sys.exit(f"{Path(sys.argv[0]).name}: {reason}")


def fail(reason: str) -> NoReturn:
    """End as a command that was called rightly and cannot do it."""
    print(reason, file=sys.stderr)
    sys.exit(255)


def dispatch(calls: CALLS) -> None:
    """Call the verb of the command line with its arguments, if verb and number of arguments are known."""
    verb, *words = sys.argv[1:] or [""]
    if verb not in calls:
        refuse(f"unknown option {verb!r}, known are {' '.join(calls)}")
    counts, function = calls[verb]
    if len(words) not in counts:
        refuse(f"{verb} takes {counts.start} to {counts.stop - 1} arguments, got {words}")
    function(*words)


def run(*words: object) -> str:
    """Standard output of a program. Raises CalledProcessError."""
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout


def one_of(value: str, allowed: tuple[str, ...], what: str) -> str:
    if value not in allowed:
        refuse(f"{what} must be one of {' '.join(allowed)}, got {value!r}")
    return value
