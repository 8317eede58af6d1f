"""The nightly copy as generations: each is whole, and nothing that happens to the store reaches an older one."""

import os
import subprocess
import time
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

import pytest

from portal.jobs import backup, drill, restore
from portal.recovery import capabilities, generations, rsync
from portal.recovery.errors import BackupError
from portal.store import clock, files, known_files
from portal.store.store import Store
from tests.support.many import fill, flip
from tests.support.portal import mosis


@pytest.fixture
def filled(saved: Store) -> Store:
    """A store with four versions and two images, not backed up yet."""
    fill(saved, 2, versions_each=2)
    backup.database(saved)
    return saved


def keeping(store: Store, daily: int, weekly: int = 0) -> Store:
    keep = store.settings.backup.model_copy(update={"keep_daily": daily, "keep_weekly": weekly})
    return replaced(store, settings=store.settings.model_copy(update={"backup": keep}))


def files_below(tree: Path) -> dict[str, bytes]:
    found = [path for part in generations.PARTS for path in (tree / part).rglob("*") if path.is_file()]
    return {str(path.relative_to(tree)): path.read_bytes() for path in found}


def long_ago(generation: Path) -> Path:
    """Give a generation another date, so that a later one of today does not replace it."""
    return generation.rename(generation.with_name(f"{generation.name[:6]}-20200101T030000Z"))


def some_package(store: Store) -> Path:
    return next(known_files.every(store.db.read(), store.layout)).path


def replace(store: Store) -> Path:
    """Replace an image by another one of the same size, later."""
    image = next(path for path in (store.layout.root / "assets").rglob("*.png"))
    later = image.stat().st_mtime + 10
    files.write_file(image, bytes(image.stat().st_size))
    os.utime(image, (later, later))
    return image.relative_to(store.layout.root)


def test_each_run_makes_a_whole_tree_that_shares_what_is_equal(filled: Store) -> None:
    first = long_ago(backup.packages(filled).generation)
    second = backup.packages(filled).generation
    assert files_below(first) == files_below(second) == files_below(filled.layout.root)
    for name in files_below(first):
        assert (first / name).samefile(second / name), name


def test_what_is_replaced_or_deleted_stays_in_the_generations_before(filled: Store) -> None:
    gone = filled.layout.root / "packages/acme/org.example.gone/1/package.mosis"
    files.write_file(gone, b"a draft that expires")
    before, first = files_below(filled.layout.root), long_ago(backup.packages(filled).generation)
    gone.unlink()
    replace(filled)
    second = backup.packages(filled).generation
    assert files_below(first) == before
    assert files_below(second) == files_below(filled.layout.root) != before


def test_rot_in_the_store_does_not_reach_the_drive(filled: Store) -> None:
    first = backup.packages(filled).generation
    before, path = files_below(first), filled.layout.root / some_package(filled)
    flip(path, 100)
    assert files_below(backup.packages(filled).generation) == before


def test_the_tree_of_an_older_release_is_taken_over_without_a_copy(filled: Store, drive: Path) -> None:
    command = ["rsync", "--recursive", "--relative", "--times", "--exclude=.*"]
    sources = [f"{filled.layout.root}/./{part}" for part in generations.PARTS]
    subprocess.run([*command, *sources, drive], check=True)
    yesterday = time.time() - 86400
    for part in generations.PARTS:
        os.utime(drive / part, (yesterday, yesterday))
    inodes = {name: (drive / name).stat().st_ino for name in files_below(drive)}
    made = backup.packages(filled).generation
    old, _ = generations.listed(drive)[::-1]
    assert {name: (old.path / name).stat().st_ino for name in files_below(old.path)} == inodes
    assert {name: (made / name).stat().st_ino for name in files_below(made)} == inodes
    assert files_below(drive) == {}


def test_an_interrupted_run_continues_with_what_it_has(
    filled: Store, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(BackupError, match="unplugged"):
        patched.setattr(capabilities, "flush", _unplugged)
        backup.packages(filled)
    assert generations.listed(drive) == []
    partial = drive / "generations/.partial"
    inodes = {name: (partial / name).stat().st_ino for name in files_below(partial)}
    assert inodes
    made = backup.packages(filled).generation
    assert {name: (made / name).stat().st_ino for name in files_below(made)} == inodes


def test_only_what_the_settings_keep_stays(filled: Store, drive: Path) -> None:
    for number, day in enumerate((1, 2, 3), start=1):
        files.write_file(drive / f"generations/00000{number}-2026010{day}T030000Z/packages/a", b"old")
    report = backup.packages(keeping(filled, 2))
    assert [path.name for path in report.deleted] == ["000002-20260102T030000Z", "000001-20260101T030000Z"]
    assert [one.path.name for one in generations.listed(drive)] == [report.generation.name, "000003-20260103T030000Z"]
    assert sorted(path.name for path in (drive / "generations").iterdir()) == sorted(
        [report.generation.name, "000003-20260103T030000Z"]
    )


def test_a_store_that_lost_files_is_a_failure_and_takes_nothing_from_the_drive(filled: Store, drive: Path) -> None:
    before = long_ago(backup.packages(filled).generation)
    lost = some_package(filled)
    content = (filled.layout.root / lost).read_bytes()
    (filled.layout.root / lost).unlink()
    for _ in range(2):
        with pytest.raises(BackupError, match=f"1 files .* {lost}.*mosis scrub"):
            backup.packages(keeping(filled, 1))
    assert (before / lost).exists()
    assert restore.restore(filled.settings).restored == [str(lost)]
    assert (filled.layout.root / lost).read_bytes() == content
    backup.packages(keeping(filled, 1))
    assert not before.exists()


def test_what_is_placed_while_the_copy_runs_is_copied_too(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run, late = rsync.run, some_package(filled)
    aside = filled.layout.root / "temp" / "late"
    (filled.layout.root / late).rename(aside)

    def place_afterwards(what: str, *arguments: Any, **options: Any) -> None:
        run(what, *arguments, **options)
        if aside.exists():
            aside.rename(filled.layout.root / late)

    monkeypatch.setattr(rsync, "run", place_afterwards)
    assert (backup.packages(filled).generation / late).exists()


def test_a_drill_looks_into_the_generations(filled: Store) -> None:
    backup.packages(filled)
    report = drill.drill(filled)
    assert report.files == known_files.count(filled.db.read())
    assert [name for name in report.copies if name.endswith(" on the drive")]


def _unplugged(_: Path) -> None:
    raise BackupError("the drive was unplugged")


def test_while_the_clock_is_in_doubt_a_generation_has_no_date_and_nothing_is_deleted(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = keeping(filled, 1)
    first = backup.packages(store).generation.name
    monkeypatch.setattr(clock, "synchronized", lambda: False)
    monkeypatch.setattr(clock, "now", lambda: 2**31)
    second = backup.packages(store)
    assert (second.generation.name, second.deleted) == ("000002-undated", ())
    monkeypatch.undo()
    third = backup.packages(store)
    assert [path.name for path in third.deleted] == [first]


def test_a_dry_run_names_what_would_be_copied_and_deleted_and_writes_nothing(filled: Store, drive: Path) -> None:
    store = keeping(filled, 2)
    long_ago(backup.packages(store).generation)
    (drive / "generations/000000-20191231T030000Z").mkdir()
    image = replace(filled)
    before = unchanged(drive)
    ran = mosis(store, "backup", "packages", "--dry-run")
    assert unchanged(drive) == before
    size = (filled.layout.root / image).stat().st_size
    first, deleted = ran.stdout.splitlines()
    assert first.startswith(f"1 files, {size} bytes, would be copied to {drive}/generations/000002-")
    assert deleted == f"{drive}/generations/000000-20191231T030000Z would be deleted"
    assert [path.name for path in backup.packages(store).deleted] == ["000000-20191231T030000Z"]


@pytest.mark.parametrize("again", [False, True])
def test_progress_ends_when_every_file_is_done(filled: Store, again: bool) -> None:
    if again:
        backup.packages(filled)
    seen: list[tuple[int, int]] = []
    tree = backup.packages(filled, progress=lambda done, total: seen.append((done, total))).generation
    total = len(files_below(tree))
    assert seen == [(done, total) for done in range(1, total + 1)]


def test_nobody_else_may_change_a_copy_of_files_whose_modes_allow_it(filled: Store) -> None:
    """A share of a NAS shows every file as 777, and leaves the rest to its ACL, which the drive does not have."""
    for path in (filled.layout.root / "packages").rglob("*"):
        path.chmod(0o777)
    tree = backup.packages(filled).generation
    assert {path.stat().st_mode & 0o022 for path in tree.rglob("*")} == {0}


def unchanged(drive: Path) -> dict[Path, tuple[int, ...]]:
    """Everything that a write would change, unlike the time of a read."""
    found = {path: path.stat() for path in [drive, *drive.rglob("*")]}
    return {
        path: (s.st_ino, s.st_mode, s.st_nlink, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for path, s in found.items()
    }
