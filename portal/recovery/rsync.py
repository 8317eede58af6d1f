"""Runs rsync, and says in one sentence why it failed."""

import subprocess
import tempfile
from collections.abc import Callable, Sequence

from portal.recovery.errors import BackupError
from portal.store.layout import SYSTEM_NAMES

INCOMPLETE = 23  # exit code where some files could not be read or written
VANISHED = 24  # exit code where a file was deleted after rsync had listed it
TRIES = 3
FULL = "No space left on device"  # among its errors
EXCLUDES = ("--exclude=.*", *(f"--exclude={name}" for name in sorted(SYSTEM_NAMES)))
"""What is in the store's directories but is not the store's: unfinished files, and those of a NAS."""


class Incomplete(BackupError):
    """Everything was copied but some files, of which the message names one."""


def run(
    what: str, arguments: Sequence[str], printed: Callable[[str], object] = lambda line: None, *, umask: int = -1
) -> None:
    """Copy `what`, up to TRIES times while files are deleted meanwhile; `printed` receives each line.

    In a store that changes all the time some file always is. So that is no failure: callers compare what they have with
    the database, which names what must be there. `umask` is that of the new files, -1: this process's.
    Raises Incomplete, BackupError.
    """
    code, errors = VANISHED, ""
    for _ in range(TRIES):
        code, errors = _run(arguments, printed, umask)
        if code != VANISHED:
            break
    if code not in (0, VANISHED):
        kind = Incomplete if code == INCOMPLETE else BackupError
        raise kind(f"rsync of {what} ended with {code}: {_reason(errors)}")


def _run(arguments: Sequence[str], printed: Callable[[str], object], umask: int) -> tuple[int, str]:
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            ["rsync", *arguments], stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace", umask=umask
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                printed(line.rstrip("\n"))
            code = process.wait()
        except BaseException:
            process.kill()
            raise
        errors.seek(0)
        return code, errors.read().decode(errors="replace")


def _reason(errors: str) -> str:
    """The first error and the number of others: rsync writes a line per file, and a summary as the last one."""
    lines = [line for line in errors.splitlines() if line.strip() and not line.startswith("rsync error: ")]
    first, *others = lines or errors.splitlines() or ["no reason given"]
    return first + (f" (and {len(others)} more)" if others else "")
