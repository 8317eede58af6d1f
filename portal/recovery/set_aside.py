"""What a restore takes out of the way goes to `data/before-restore-TIME`, under its path below the root.

While the restore is under way the directory is `before-restore-unfinished`: after a kill the next restore continues
with it, so that a database and its WAL stay together. Nothing deletes it, and a restore finds files again there.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from portal.store import files
from portal.store.layout import Layout

UNFINISHED = "before-restore-unfinished"


class SetAside:
    """The directory of one restore, made when something goes into it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._directory = layout.area("data") / UNFINISHED
        if layout.database.exists():
            self.finish()  # the restore that was killed had put its database in place

    def take(self, path: Path) -> None:
        """Move a file or directory there, if it exists."""
        if not path.exists():
            return
        data = self._layout.area("data")
        target = self._directory / path.relative_to(data if path.is_relative_to(data) else self._layout.root)
        files.make_directory(target.parent)
        _move(path, _free(target))
        files.flush_directory(target.parent)
        files.flush_directory(path.parent)

    def finish(self) -> Path | None:
        """Give the directory its name; None if nothing is in it."""
        if not self._directory.exists():
            return None
        final = _free(self._directory.with_name(f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"))
        self._directory.rename(final)
        files.flush_directory(final.parent)
        return final


def _move(path: Path, target: Path) -> None:
    """Rename it. Where an area is a disk of its own, the original goes after its copy is on the other disk."""
    try:
        path.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if not path.is_dir():
            shutil.copy2(path, target)
            files.flush_file(target)
            path.unlink()
            return
        shutil.copytree(path, target, symlinks=True)
        for directory, _, names in os.walk(target, topdown=False):
            for name in names:
                files.flush_file(Path(directory, name))
            files.flush_directory(Path(directory))
        files.discard(path)


def directories(layout: Layout) -> list[Path]:
    """What restores have set aside, the newest first."""
    return sorted(layout.area("data").glob("before-restore-*/"), reverse=True)


def _free(path: Path) -> Path:
    return next(candidate for candidate in _candidates(path) if not candidate.exists())


def _candidates(path: Path) -> Iterator[Path]:
    yield path
    number = 1
    while True:
        yield path.with_name(f"{path.name}.{number}")
        number += 1
