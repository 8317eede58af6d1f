"""`python deploys/remote/down.py ROOT`: stops what a local deploy started for the store at ROOT, and nothing else.

Ours is what carries both this store's settings and a deploy's stamp in its environment, so that programs are found
even when their supervisor was killed. Uses the standard library only.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

GRACE = 45.0  # seconds; a program may take 30 to finish its requests
POLL = 0.05


def ours(config: str) -> dict[int, int]:
    """Process id to parent's process id of everything that a deploy with this settings file keeps up."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:  # gone meanwhile, or somebody else's
            continue
        if f"MOSIS_CONFIG={config}".encode() in variables and any(v.startswith(b"MOSIS_STAMP=") for v in variables):
            found[int(process.name)] = int(parent)
    return found


def _gone(config: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while ours(config):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def down(config: str) -> bool:
    """Ask the topmost processes to end, which end theirs in turn; kill what stays. Whether all are gone."""
    running = ours(config)
    for pid in [pid for pid, parent in running.items() if parent not in running]:
        _send(pid, signal.SIGTERM)
    if _gone(config, GRACE):
        return True
    for pid in ours(config):
        _send(pid, signal.SIGKILL)
    return _gone(config, GRACE)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(0 if down(f"{Path(sys.argv[1]).absolute()}/etc/mosis.toml") else 1)
