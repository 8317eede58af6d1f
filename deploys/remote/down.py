"""`python deploys/remote/down.py ROOT`: stops what a local deploy started for the store in ROOT, and nothing else.

A process is the store's if it works there, as the kernel's links to its directory and open files show, and carries a
deploy's stamp in its environment. So it is found even if its supervisor was killed, the directory was renamed, or ROOT
is a symbolic link. `--orphans NAME` kills only the programs of that name that no supervisor looks after any more.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

GRACE = 45.0  # seconds; a program may take 30 to finish its requests
POLL = 0.05
SETTINGS = "etc/mosis.toml"
PID_FILE = "run/supervisord.pid"
SUPERVISOR = "supervisord"
UNMARKED = "nginx"  # writes its title over its environment


class Process(NamedTuple):
    """One process; `parent` is a process id."""

    name: str
    parent: int


def ours(root: Path) -> dict[int, Process]:
    """Process id to process, of everything that deploys started for the store in `root`."""
    place = root.resolve()
    everything = {int(entry.name): entry for entry in Path("/proc").glob("[0-9]*")}
    pids = {pid for pid, entry in everything.items() if _store(entry) == place}
    moved = _moved(place)
    pids |= {pid for pid in everything if moved and moved in _lineage(pid)}
    found = {pid: _process(everything[pid]) for pid in pids}
    return {pid: process for pid, process in found.items() if process}


def orphans(root: Path, name: str) -> list[int]:
    """Process ids of the store's programs of that name above which no supervisor of the store runs."""
    running = ours(root)
    supervisors = {pid for pid, process in running.items() if process.name == SUPERVISOR}
    return [pid for pid, process in running.items() if process.name == name and supervisors.isdisjoint(_lineage(pid))]


def down(root: Path) -> bool:
    """Ask the topmost processes to end, which end theirs in turn; kill those that stay. Whether all are gone."""
    running = ours(root)
    for pid in [pid for pid, process in running.items() if process.parent not in running]:
        _send(pid, signal.SIGTERM)
        _send(pid, signal.SIGCONT)  # a suspended process takes the other signal only then
    if _gone(root, GRACE):
        return True
    for pid in ours(root):
        _send(pid, signal.SIGKILL)
    return _gone(root, GRACE)


def _store(process: Path) -> Path | None:
    """Real path of the store that a deploy started the process for, None if no deploy did."""
    variables = _environment(process)
    marked = {"MOSIS_CONFIG", "MOSIS_STAMP"} <= variables.keys()
    if not marked and _name(process) != UNMARKED:
        return None
    logs = [path.parents[1] for path in _links(process / "fd") if path.parent.name == "log"]
    places = [*_links(process, "cwd"), *logs] if marked else logs
    for place in places:
        if os.access(str(place / SETTINGS), os.F_OK):
            return place
    return Path(variables["MOSIS_CONFIG"]).resolve().parents[1] if marked else None


def _moved(place: Path) -> int:
    """Process id of a supervisor whose store was moved to `place` from another file system, else 0."""
    try:
        pid = int((place / PID_FILE).read_text())
    except (OSError, ValueError):
        return 0
    variables = _environment(Path(f"/proc/{pid}"))
    return pid if "MOSIS_STAMP" in variables and not Path(variables["MOSIS_CONFIG"]).exists() else 0


def _environment(process: Path) -> dict[str, str]:
    """Empty if the process is gone or another user's."""
    with suppress(OSError):
        text = (process / "environ").read_bytes().decode(errors="replace")
        return dict(variable.split("=", 1) for variable in text.split("\0") if "=" in variable)
    return {}


def _links(directory: Path, pattern: str = "*") -> Iterator[Path]:
    """What the kernel's links in a directory of /proc point to, which follows a renamed directory."""
    with suppress(OSError):
        for entry in directory.glob(pattern):
            with suppress(OSError):
                yield Path(os.readlink(str(entry)))


def _name(process: Path) -> str:
    with suppress(OSError):
        return (process / "comm").read_text().strip()
    return ""


def _process(process: Path) -> Process | None:
    with suppress(OSError):
        return Process(_name(process), int((process / "stat").read_text().rpartition(")")[2].split()[1]))
    return None


def _lineage(pid: int) -> list[int]:
    """The process and those above it."""
    found = []
    while pid:
        found.append(pid)
        process = _process(Path(f"/proc/{pid}"))
        pid = process.parent if process else 0
    return found


def _gone(root: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while ours(root):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _fault(root: Path) -> str | None:
    """Why it says nothing that no process was found, None if it does say that the store does not run."""
    try:
        if not (root / SETTINGS).exists():
            return f"{root} is not a store: it has no {SETTINGS}. Name the store's directory: make down ROOT=/path"
        pid = (root / PID_FILE).read_text().strip()
        Path(f"/proc/{pid}/environ").read_bytes()
    except PermissionError as error:
        return f"{error.filename} belongs to another user: stop the store as the user who deployed it."
    except OSError:
        return None
    return None


def stop(root: Path) -> str | None:
    """Stop the store and print how many processes it had. What went wrong, else None."""
    running = ours(root)
    if not running:
        fault = _fault(root)
        if not fault:
            print(f"The store in {root} is not running.")
        return fault
    if not down(root):
        return f"These processes of {root} did not stop: {', '.join(map(str, ours(root)))}."
    print(f"Stopped {len(running)} {'process' if len(running) == 1 else 'processes'} of {root}.")
    return None


def main(root: str, *options: str) -> str | None:
    """The command; returns what went wrong, else None."""
    if options[:1] == ("--orphans",):
        for pid in orphans(Path(root), options[1]):
            _send(pid, signal.SIGKILL)
        return None
    return stop(Path(root).absolute())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
