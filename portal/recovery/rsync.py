"""Runs rsync, and says in one sentence why it failed."""

import subprocess
from collections.abc import Sequence

from portal.recovery.errors import BackupError
from portal.store.layout import SYSTEM_NAMES

VANISHED = 24  # exit code where a file was deleted after rsync had listed it
TRIES = 3
FULL = "No space left on device"  # among its errors
EXCLUDES = ("--exclude=.*", *(f"--exclude={name}" for name in sorted(SYSTEM_NAMES)))
"""What is in the store's directories but is not the store's: unfinished files, and those of a NAS."""


def run(what: str, arguments: Sequence[str]) -> None:
    """Copy `what`, once more if a file was deleted meanwhile. Raises BackupError."""
    for _ in range(TRIES):
        # The modes are those that the source has, or that an option asks for.
        done = subprocess.run(
            ["rsync", *arguments], check=False, capture_output=True, text=True, errors="replace", umask=0
        )
        if done.returncode != VANISHED:
            break
    if done.returncode != 0:
        raise BackupError(f"rsync of {what} ended with {done.returncode}: {_reason(done.stderr)}")


def _reason(errors: str) -> str:
    """The first error and the number of others: rsync writes a line per file, and a summary as the last one."""
    lines = [line for line in errors.splitlines() if line.strip() and not line.startswith("rsync error: ")]
    first, *others = lines or errors.splitlines() or ["no reason given"]
    return first + (f" (and {len(others)} more)" if others else "")
