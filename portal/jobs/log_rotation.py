"""Rotation of the log that nginx writes where the host has no logrotate: the runtime `local`."""

import os
import signal
from pathlib import Path

BYTES_MAX = 10_000_000
KEPT = 2


def rotate(log: Path, pid_file: Path) -> bool:
    """Set the log aside as `LOG.1` if it is large and nginx runs, and let nginx open a new one; whether it did.

    A log that is missing was set aside by a run that was killed, or removed: nginx still writes to it.
    """
    pid = _nginx(pid_file)
    if pid is None or (log.exists() and log.stat().st_size <= BYTES_MAX):
        return False
    if log.exists():
        _set_aside(log)
    os.kill(pid, signal.SIGUSR1)
    return True


def _set_aside(log: Path) -> None:
    for number in reversed(range(KEPT)):
        newer = log.with_name(f"{log.name}.{number}") if number else log
        if newer.exists():
            newer.replace(log.with_name(f"{log.name}.{number + 1}"))


def _nginx(pid_file: Path) -> int | None:
    """The id of the running nginx: after a crash the file may name a process of somebody else."""
    try:
        pid = int(pid_file.read_text())
        return pid if Path(f"/proc/{pid}/comm").read_text() == "nginx\n" else None
    except (FileNotFoundError, ValueError):
        return None
