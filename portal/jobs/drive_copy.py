"""One copy of the store's files to the external drive by rsync, as a new generation."""

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from portal.recovery import capabilities, generations, rsync
from portal.recovery.capabilities import Capabilities
from portal.recovery.errors import BackupError
from portal.recovery.generations import Generation
from portal.store import files, known_files
from portal.store.store import Store

NAMED = 3  # files in a message
Progress = Callable[[int, int], None]


class Copying:
    """One run. `lacking` are files that the database names and that were not there to copy; `unread` is why rsync left
    something out, whether the database names it or not.
    """

    def __init__(
        self, store: Store, directory: Path, able: Capabilities, at: datetime | None, progress: Progress
    ) -> None:
        self._store, self._directory, self._able, self._at = store, directory, able, at
        self._progress = progress
        self.lacking: set[Path] = set()
        self.unread: BackupError | None = None

    def run(self) -> Generation:
        """Make the new generation, with what can be read. Raises BackupError, OSError."""
        return self._tree() if self._able.generations else self._changes()

    def require_all(self) -> None:
        """Raises BackupError unless everything was copied."""
        if self.unread:
            raise self.unread
        if self.lacking:
            raise BackupError(_sentence(self.lacking))

    def _tree(self) -> Generation:
        """A whole tree, whose files are hard links to those of the generation before where they are equal."""
        directory = self._directory
        generations.adopt(directory, self._at)
        partial = directory / generations.DIRECTORY / generations.PARTIAL
        files.make_directory(partial)
        shared = [f"--link-dest={before.path}" for before in generations.listed(directory)[:1]]
        self._copy(partial, [[*self._able.options, *shared]])
        capabilities.flush(directory)
        made = generations.following(directory, self._at)
        partial.rename(made.path)
        return made

    def _changes(self) -> Generation:
        """The one tree is brought up to date; what that replaces or deletes is moved into the generation."""
        made = generations.following(self._directory, self._at)
        files.make_directory(made.path)
        options = [*self._able.options, "--delete-delay", "--backup", f"--backup-dir={made.path}"]
        self._copy(self._directory, [[*options, *one] for one in self._able.passes])
        return made

    def _copy(self, target: Path, runs: Sequence[Sequence[str]]) -> None:
        """What is placed while rsync runs is copied by running it once more."""
        self.lacking = self._copy_once(target, runs)
        if self.lacking:
            self.lacking &= self._copy_once(target, runs)

    def _copy_once(self, target: Path, runs: Sequence[Sequence[str]]) -> set[Path]:
        store, self.unread = self._store, None
        total = sum(len(names) for source in _sources(store) for _, _, names in os.walk(source))
        for options in runs:
            arguments = _arguments(store, target, *options, "--info=name2")
            try:
                rsync.run("the store", arguments, _counter(total, self._progress), umask=self._able.umask)
            except rsync.Incomplete as error:
                self.unread = error
            except BackupError as error:
                raise BackupError(f"{error}. {capabilities.FULL}") if rsync.FULL in str(error) else error from None
        wanted = known_files.every(store.db.read(), store.layout)
        return {file.path for file in wanted if not _has(file.below(target), file.size)}


def _sources(store: Store) -> list[str]:
    return [f"{store.layout.root}/./{part}" for part in generations.PARTS if store.layout.area(part).is_dir()]


def _arguments(store: Store, target: Path, *options: str) -> list[str]:
    return ["--recursive", "--relative", *rsync.EXCLUDES, *options, "--", *_sources(store), str(target)]


def _counter(total: int, progress: Progress) -> Callable[[str], None]:
    """Counts the lines that rsync prints for files; those of directories end with a slash."""
    done = 0

    def count(line: str) -> None:
        nonlocal done
        if not line.removesuffix(" is uptodate").endswith("/"):
            done = min(done + 1, total)
            progress(done, total)

    return count


def _has(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _sentence(lacking: set[Path]) -> str:
    named = ", ".join(map(str, sorted(lacking)[:NAMED]))
    return (
        f"{len(lacking)} files that the database names are missing or damaged in the store, so they were not copied:"
        f" {named}{', …' if len(lacking) > NAMED else ''}. Nothing was deleted on the drive: `mosis scrub --repair`"
        " brings them back if an older generation has them."
    )


def lacking_sizes(store: Store, tree: Path) -> list[int]:
    """The sizes in bytes of the store's files that a tree on the drive does not have as they are. Changes nothing."""
    sizes: list[int] = []

    def add(line: str) -> None:
        change, _, size = line.partition(" ")
        if change.startswith(">f"):
            sizes.append(int(size))

    options = ["--dry-run", "--times", "--modify-window=2", "--out-format=%i %l"]
    rsync.run("the store", _arguments(store, tree, *options), add)
    return sizes
