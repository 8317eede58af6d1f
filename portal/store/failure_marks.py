"""Failures of jobs that the database could not record: it was full, locked or damaged.

A mark is a file `data/JOB.failed`, for an empty file can be created on a full disk as well.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".failed"
UNKNOWN = "The reason could not be written, because the disk was full."


@dataclass(frozen=True)
class Mark:
    """`failure_at` is in seconds since 1970."""

    failure_at: int
    failure: str


def write(directory: Path, job: str, failure: str) -> None:
    """Mark the job as failed now; a failure is one line. Where even that fails, there is nothing left to try."""
    with suppress(OSError):
        _path(directory, job).write_text(failure)


def read(directory: Path, job: str) -> Mark | None:
    """The failure that the database lacks."""
    try:
        with _path(directory, job).open() as file:
            return Mark(int(os.fstat(file.fileno()).st_mtime), file.read().strip() or UNKNOWN)
    except OSError:
        return None


def every(directory: Path) -> dict[str, Mark]:
    """The marks of all jobs."""
    found = {path.stem: read(directory, path.stem) for path in directory.glob(f"*{SUFFIX}")}
    return {job: mark for job, mark in found.items() if mark}


def clear(directory: Path, job: str) -> None:
    """Remove the mark: the database has a newer run of this job."""
    _path(directory, job).unlink(missing_ok=True)


def forget(directory: Path) -> None:
    """Remove all marks: they were about a database that is being replaced."""
    for path in directory.glob(f"*{SUFFIX}"):
        path.unlink(missing_ok=True)


def _path(directory: Path, job: str) -> Path:
    return directory / f"{job}{SUFFIX}"
