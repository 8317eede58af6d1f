"""Where a secret may not be found: in what a run prints, among a host's processes and logs, in files for everybody."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from shlex import quote
from tempfile import TemporaryFile

from tests.hosts.machine import Machine

SECONDS = 0.02  # between two looks
LENGTH_MIN = 16  # of a line that is a secret
DECOY, SHOWN = "what everybody may see", "/tmp/decoy"
WATCH = f"""
import pathlib, time
seen = set()
while True:
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(bytes(1), b" ").decode(errors="replace")
        except OSError:
            continue
        if words not in seen:
            seen.add(words)
            print(words, flush=True)
    time.sleep({SECONDS})
"""


@contextmanager
def process_list(machine: Machine) -> Iterator[list[str]]:
    """The command lines of what the host runs inside, all that are there at one look; complete when the block ends.

    Raises AssertionError if it tells none.
    """
    lines: list[str] = []
    with TemporaryFile("w+", errors="replace") as output:
        watch = machine.started(f"sudo python3 -c {quote(WATCH)}", output)
        try:
            yield lines
        finally:
            watch.terminate()
            watch.wait(timeout=10)
            output.seek(0)
            lines += output.read().splitlines()
    if not lines:
        raise AssertionError(f"{machine.name} has not told its processes")


def secrets_of(machine: Machine, *directories: str) -> set[str]:
    """What the store keeps in files of its own. Raises AssertionError if that is nothing."""
    files = machine.ssh(f"sudo find {' '.join(directories)} -type f ! -name '*.pub' -exec cat {{}} +")
    found = {line.strip() for line in files.splitlines() if len(line) >= LENGTH_MIN and not line.startswith("-----")}
    if not found:
        raise AssertionError(f"{machine.name} has no secrets below {', '.join(directories)}")
    return found


def untold(secrets: Iterable[str], told: Iterable[str]) -> None:
    """Raises AssertionError, without the secret, where one stands in a text."""
    texts = list(told)
    for number, secret in enumerate(secrets):
        for text in texts:
            if secret in text:
                where = text.index(secret)
                raise AssertionError(f"secret {number} was told after {text[max(0, where - 200) : where]!r}")


def unreadable(machine: Machine, secrets: Iterable[str], *places: str) -> None:
    """Raises AssertionError where anybody may read a file with one below these places, or could not look."""
    machine.ssh(f"echo {DECOY} >{SHOWN}")
    grep = f"sudo -u nobody grep -rsl --fixed-strings --file=- {SHOWN} {' '.join(places)}"
    found = machine.try_ssh(grep, stdin="\n".join([DECOY, *secrets])).stdout.split("\n")[:-1]
    if found != [SHOWN]:
        raise AssertionError(
            f"{machine.name} shows everybody {', '.join(found) or 'nothing'}, where {SHOWN} has a decoy"
        )
