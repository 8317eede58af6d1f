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


def run(
    store: Store, directory: Path, able: Capabilities, at: datetime | None, progress: Progress
) -> tuple[Generation, set[Path]]:
    """The new generation, and the files that the database names and that were not there to copy. Raises BackupError."""
    return (_tree if able.generations else _changes)(store, directory, able, at, progress)


def _tree(
    store: Store, directory: Path, able: Capabilities, at: datetime | None, progress: Progress
) -> tuple[Generation, set[Path]]:
    """A whole tree, whose files are hard links to those of the generation before where they are equal."""
    generations.adopt(directory, at)
    partial = directory / generations.DIRECTORY / generations.PARTIAL
    files.make_directory(partial)
    shared = [f"--link-dest={before.path}" for before in generations.listed(directory)[:1]]
    lacking = _copied(store, partial, [[*able.options, *shared]], progress)
    capabilities.flush(directory)
    made = generations.following(directory, at)
    partial.rename(made.path)
    return made, lacking


def _changes(
    store: Store, directory: Path, able: Capabilities, at: datetime | None, progress: Progress
) -> tuple[Generation, set[Path]]:
    """The one tree is brought up to date; what that replaces or deletes is moved into the generation."""
    made = generations.following(directory, at)
    files.make_directory(made.path)
    options = [*able.options, "--delete-delay", "--backup", f"--backup-dir={made.path}"]
    return made, _copied(store, directory, [[*options, *one] for one in able.passes], progress)


def _copied(store: Store, target: Path, runs: Sequence[Sequence[str]], progress: Progress) -> set[Path]:
    """Copy the store's files; those that the database names and that were not there to copy.

    What is placed while rsync runs is copied by running it once more.
    """
    lacking = _copied_once(store, target, runs, progress)
    return lacking and lacking & _copied_once(store, target, runs, progress)


def _copied_once(store: Store, target: Path, runs: Sequence[Sequence[str]], progress: Progress) -> set[Path]:
    total = sum(len(names) for source in _sources(store) for _, _, names in os.walk(source))
    for options in runs:
        try:
            rsync.run("the store", _arguments(store, target, *options, "--info=name2"), _counter(total, progress))
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


def require_all(lacking: set[Path]) -> None:
    """Raises BackupError, which names some of the files, unless there are none."""
    if not lacking:
        return
    named = ", ".join(map(str, sorted(lacking)[:NAMED]))
    raise BackupError(
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
