"""Which generations stay on the drive: so many days and weeks by number, whatever a clock said."""

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from portal.recovery import generations
from portal.recovery.generations import Generation
from portal.settings import Backup
from portal.store import files

NIGHT = datetime(2026, 11, 1, 3, tzinfo=UTC)  # a Sunday
KEEP = Backup(mount=Path("/mnt"), directory=Path("/mnt"))


def nights(*days: float | None) -> list[Generation]:
    """Generations numbered from 1, so many days after the first night or without a date, newest first."""
    dates = [None if day is None else NIGHT + timedelta(days=day) for day in days]
    return [Generation(n, at, Path(str(n))) for n, at in enumerate(dates, start=1)][::-1]


def kept(found: list[Generation], *, whole: bool = True, keep: Backup = KEEP) -> list[int]:
    gone = generations.expired(found, daily=keep.keep_daily, weekly=keep.keep_weekly, whole=whole)
    return [one.number for one in reversed(found) if one not in gone]


def test_seven_days_and_the_last_of_four_weeks_stay() -> None:
    # 60 nights from a Sunday: ISO weeks end on nights 1, 8, …, 57.
    assert kept(nights(*range(60))) == [43, 50, *range(54, 61)]


def test_where_a_run_keeps_only_what_it_replaced_every_run_since_the_oldest_stays() -> None:
    assert kept(nights(*range(60)), whole=False) == list(range(43, 61))


def test_the_last_run_of_a_day_stays_and_the_one_before_the_newest() -> None:
    assert kept(nights(0, 0.1, 0.2, 1, 1.1, 1.2)) == [3, 5, 6]


def test_the_settings_say_how_many() -> None:
    keep = KEEP.model_copy(update={"keep_daily": 3, "keep_weekly": 0})
    assert kept(nights(0, 1, 2, 3), keep=keep) == [2, 3, 4]


@pytest.mark.parametrize("wrong_nights", [1, 3, 20])
def test_nights_of_a_wrong_clock_delete_nothing_that_the_right_one_would_keep(wrong_nights: int) -> None:
    for number in range(1, wrong_nights + 1):
        assert kept(nights(*range(60), *[None] * number)) == list(range(1, 61 + number))
    after = 60 + wrong_nights
    right = kept(nights(*range(after + 1)))
    assert set(kept(nights(*range(60), *[None] * wrong_nights, after))) >= set(right) - set(range(61, after))


def test_nights_without_a_date_count_as_days() -> None:
    assert kept(nights(*range(60), *[None] * 10, 70), keep=KEEP.model_copy(update={"keep_weekly": 0})) == [
        *range(65, 72)
    ]


@pytest.mark.parametrize("found", [nights(*range(60), 3650, 60), nights(*range(60), -20000)])
def test_nothing_is_deleted_while_the_newest_is_not_the_latest(found: list[Generation]) -> None:
    assert len(kept(found)) == len(found)
    assert generations.misdated(found) == max(found, key=lambda one: one.at or NIGHT)


def test_generations_are_ordered_by_number_and_nothing_else_is_one(tmp_path: Path) -> None:
    names = ["000009-20360101T000000Z", "000010-20260101T000000Z", "1000000-undated"]
    others = [".partial", ".expired-000001-20260101T000000Z", "notes-2026", "000011-20260101", "lost+found"]
    for name in (*names, *others):
        (tmp_path / "generations" / name).mkdir(parents=True)
    assert [one.path.name for one in generations.listed(tmp_path)] == names[::-1]
    assert generations.following(tmp_path, NIGHT).number == 1_000_001


def flat(directory: Path) -> dict[str, bytes]:
    content = {f"{part}/file": part.encode() for part in generations.PARTS}
    for name, data in content.items():
        files.write_file(directory / name, data)
    return content


def read(tree: Path) -> dict[str, bytes]:
    found = [path for part in generations.PARTS for path in (tree / part).rglob("*") if path.is_file()]
    return {str(path.relative_to(tree)): path.read_bytes() for path in found}


def test_the_tree_of_an_older_release_becomes_a_generation_without_a_copy(tmp_path: Path) -> None:
    content = flat(tmp_path)
    inodes = {(tmp_path / name).stat().st_ino for name in content}
    for part in generations.PARTS:
        os.utime(tmp_path / part, (1_700_000_000, 1_700_000_000))
    generations.adopt(tmp_path, NIGHT)
    [one] = generations.listed(tmp_path)
    assert one.path.name == "000001-20231114T221320Z"
    assert read(one.path) == content
    assert {(one.path / name).stat().st_ino for name in content} == inodes
    generations.adopt(tmp_path, NIGHT)
    assert generations.trees(tmp_path) == [one.path]


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_an_interrupted_adoption_is_finished(tmp_path: Path, moved: int, monkeypatch: pytest.MonkeyPatch) -> None:
    content, rename, renamed = flat(tmp_path), Path.rename, []

    def cut(path: Path, target: Path) -> Path:
        if len(renamed) == moved:
            raise OSError(errno.EIO, "the drive was unplugged")
        renamed.append(path)
        return rename(path, target)

    with monkeypatch.context() as patched, pytest.raises(OSError, match="unplugged"):
        patched.setattr(Path, "rename", cut)
        generations.adopt(tmp_path, NIGHT)
    assert sorted(name for tree in generations.trees(tmp_path) for name in read(tree)) == sorted(content)
    generations.adopt(tmp_path, NIGHT)
    [one] = generations.listed(tmp_path)
    assert read(one.path) == content


def test_a_tree_that_an_older_release_began_again_replaces_nothing(tmp_path: Path) -> None:
    flat(tmp_path)
    generations.adopt(tmp_path, NIGHT)
    newer = flat(tmp_path)
    generations.adopt(tmp_path, NIGHT)
    assert [read(one.path) for one in generations.listed(tmp_path)] == [newer, newer]


def test_the_tree_that_is_being_changed_is_the_newest_and_the_interrupted_one_the_last(tmp_path: Path) -> None:
    for name in ("generations/000001-20260101T000000Z", "generations/.partial", "packages"):
        (tmp_path / name).mkdir(parents=True)
    found = [str(path.relative_to(tmp_path)) for path in generations.trees(tmp_path)]
    assert found == [".", "generations/000001-20260101T000000Z", "generations/.partial"]


def test_an_interrupted_deletion_is_finished(tmp_path: Path) -> None:
    one = generations.following(tmp_path, NIGHT)
    files.write_file(one.path / "packages/file", b"x")
    one.path.rename(one.path.with_name(f".expired-{one.path.name}"))
    assert generations.listed(tmp_path) == []
    generations.discard_expired(tmp_path)
    assert list((tmp_path / "generations").iterdir()) == []


def test_a_name_whose_digits_are_no_date_is_no_generation(tmp_path: Path) -> None:
    for name in ("000001-99999999T999999Z", "000002-20260230T000000Z", f"{'9' * 200}-undated", "000003-undated"):
        (tmp_path / generations.DIRECTORY / name).mkdir(parents=True)
    assert [one.number for one in generations.listed(tmp_path)] == [3]
