"""Retention, exactly as the contract's table says."""

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from bench import scale
from portal.jobs import backup, cleanup, status
from portal.jobs.cleanup import CleanupError, Deletion
from portal.recovery.errors import BackupError
from portal.settings import Follow
from portal.store import (
    apps,
    assets,
    audit,
    ballast,
    failure_marks,
    files,
    job_runs,
    proposals,
    retention,
    uploads,
    versions,
)
from portal.store.clock import now
from portal.store.database import Database
from portal.store.layout import Layout
from portal.store.store import Store
from portal.store.versions import Version
from tests.packages.samples import APP_ID, make_package
from tests.support.portal import MOSIS, add_developer, make_store, mosis
from tests.support.small_disk import SmallDisk
from tests.support.volumes import MIB, mounted

HOUR, DAY = 3600, 86400
DEVELOPER = audit.Actor("acme", "developer", None, "test")


@pytest.fixture
def app(store: Store) -> apps.App:
    add_developer(store, "acme")
    with store.db.write() as tx:
        return apps.add(tx, DEVELOPER, APP_ID, "Reader", "")


def upload(store: Store, app: apps.App, code: int, tmp_path: Path, **described: object) -> Version:
    with uploads.receiving(store, app) as incoming:
        make_package(tmp_path / "p.mosis", version_code=code, **described)
        sink = files.Sink(incoming.package, 1 << 20)
        sink.write((tmp_path / "p.mosis").read_bytes())
        return uploads.complete(store, DEVELOPER, incoming, sink.finish())


def move(store: Store, app: apps.App, code: int, *actions: str) -> None:
    for action in actions:
        with store.db.write() as tx:
            versions.change(tx, DEVELOPER, apps.get(tx, app.app_id), code, action, "So.")


def age(store: Store, column: str, seconds: int, where: str = "1") -> None:
    store.db.read().execute(f"UPDATE versions SET {column} = {now()} - {seconds} WHERE {where}")


def cleaned(store: Store, *, dry_run: bool = False) -> list[Deletion]:
    """What a run deletes, or would."""
    deletions: list[Deletion] = []
    cleanup.cleanup(store, dry_run=dry_run, report=deletions.append)
    return deletions


def left(store: Store) -> list[int | None]:
    return [row[0] for row in store.db.read().execute("SELECT version_code FROM versions ORDER BY version_code")]


@pytest.mark.parametrize(
    ("actions", "seconds", "label"),
    [((), 30 * DAY, "draft"), (("submit", "reject"), 7 * DAY, "rejected")],
)
def test_drafts_and_rejected_versions_end_on_time(
    store: Store, app: apps.App, tmp_path: Path, actions: tuple[str, ...], seconds: int, label: str
) -> None:
    upload(store, app, 1, tmp_path)
    move(store, app, 1, *actions)
    age(store, "status_at", seconds - 60)
    assert cleaned(store) == []
    age(store, "status_at", seconds)
    due = [Deletion(label, f"{APP_ID}/1")]
    assert cleaned(store, dry_run=True) == due
    assert left(store) == [1]
    assert cleaned(store) == due
    assert left(store) == []
    assert not list(store.layout.area("packages").rglob("*.mosis"))
    assert list(store.layout.area("temp").iterdir()) == []
    assert job_runs.counters(store.db.read(), "cleanup_deleted") == {label: 1}
    assert audit.first_fault(store.db.read()) is None


def test_rejected_images_end_as_rejected_versions_do(store: Store, app: apps.App, tmp_path: Path) -> None:
    upload(store, app, 1, tmp_path)
    move(store, app, 1, "submit", "publish")
    add_developer(store, "second", None, "reviewer")
    reviewer = audit.Actor("second", "reviewer", None, "test")
    assets.put_icon(store, DEVELOPER, app, {32: b"icon"})
    store.db.read().execute(f"UPDATE proposals SET changed_at = {now() - 20 * 365 * DAY}")
    assert cleaned(store) == []
    with store.db.write() as tx:
        proposals.reject(tx, reviewer, app, proposals.digest(proposals.applied(tx, APP_ID)), "It is blurred.")
    store.db.read().execute(f"UPDATE proposals SET rejected_at = {now() - 7 * DAY + 60}")
    assert cleaned(store) == []
    store.db.read().execute(f"UPDATE proposals SET rejected_at = {now() - 7 * DAY}")
    due = [Deletion("images", APP_ID)]
    assert (cleaned(store, dry_run=True), cleaned(store), cleaned(store)) == (due, due, [])
    assert proposals.find(store.db.read(), APP_ID) is None
    assert list(store.layout.area("assets").rglob("*.png")) == []
    assert job_runs.counters(store.db.read(), "cleanup_deleted") == {"images": 1}


def test_the_current_version_stays_for_good_and_a_superseded_one_for_a_year(
    store: Store, app: apps.App, tmp_path: Path
) -> None:
    for code in (1, 2):
        upload(store, app, code, tmp_path)
        move(store, app, code, "submit", "publish")
    age(store, "status_at", 20 * 365 * DAY)
    age(store, "published_at", 20 * 365 * DAY)
    age(store, "superseded_at", 365 * DAY - 60, "version_code = 1")
    assert cleaned(store) == []
    age(store, "superseded_at", 365 * DAY, "version_code = 1")
    assert cleaned(store) == [Deletion("superseded", f"{APP_ID}/1")]
    assert left(store) == [2]
    assert store.layout.package("acme", APP_ID, 2).exists()


def test_a_superseded_version_that_devices_still_install_is_kept_and_its_reason_shown(
    store: Store, app: apps.App, tmp_path: Path
) -> None:
    for code, min_api in ((1, None), (2, 3)):
        upload(store, app, code, tmp_path, min_api=min_api)
        move(store, app, code, "submit", "publish")
    age(store, "superseded_at", 2 * 365 * DAY, "version_code = 1")
    assert cleaned(store) == []
    assert left(store) == [1, 2]
    dry_run = mosis(store, "cleanup", "--dry-run")
    assert (dry_run.returncode, dry_run.stderr) == (0, "")
    reason = f"{APP_ID}/1: devices of API levels below 3 install no newer version"
    assert dry_run.stdout == f"would keep {reason} (superseded)\n"
    [line] = [line for line in status.status(store.settings) if line.name == "retention"]
    assert line.ok and "install no newer one: 1" in line.text


@pytest.mark.parametrize("actions", [("submit",), ("submit", "publish"), ("submit", "publish", "yank")])
def test_what_the_table_does_not_name_is_kept(
    store: Store, app: apps.App, tmp_path: Path, actions: tuple[str, ...]
) -> None:
    upload(store, app, 1, tmp_path)
    move(store, app, 1, *actions)
    age(store, "status_at", 20 * 365 * DAY)
    assert cleaned(store) == []
    assert left(store) == [1]


def test_uploads_never_completed_and_failed_ones(store: Store, app: apps.App, tmp_path: Path) -> None:
    stale, fresh = uploads.new(store, app), uploads.new(store, app)
    for upload in (stale, fresh):
        uploads.begin(store, upload)
    age(store, "status_at", HOUR, f"version_id = '{stale.upload_id}'")
    assert cleaned(store) == [Deletion("uploading", f"{APP_ID}/{stale.upload_id}")]
    assert [path.name for path in store.layout.area("temp").iterdir()] == [fresh.upload_id]
    store.db.read().execute("UPDATE versions SET status = 'failed'")
    age(store, "status_at", 24 * HOUR - 60)
    assert cleaned(store) == []
    age(store, "status_at", 24 * HOUR)
    assert [deletion.label for deletion in cleaned(store)] == ["failed"]


def test_what_a_crash_left_under_temp_goes_after_an_hour(store: Store) -> None:
    for name, seconds in (("old", HOUR), ("new", HOUR - 60), ("@eaDir", 10 * HOUR)):
        path = store.layout.staging(name)
        path.mkdir()
        os.utime(path, (now() - seconds, now() - seconds))
    assert cleaned(store) == [Deletion("temp", "temp/old")]
    assert sorted(path.name for path in store.layout.area("temp").iterdir()) == ["@eaDir", "new"]


def test_the_table_is_the_contract_s() -> None:
    kept = {rule.label: rule.seconds for rule in retention.RULES}
    assert kept == {"superseded": 365 * DAY, "draft": 30 * DAY, "rejected": 7 * DAY, "failed": DAY, "uploading": HOUR}


def test_nothing_to_do_is_silent(store: Store) -> None:
    for arguments in (("cleanup",), ("cleanup", "--dry-run")):
        ran = mosis(store, *arguments)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def stale(store: Store, name: str) -> Path:
    """A directory under `temp/` that a crash left long ago."""
    path = store.layout.staging(name)
    path.mkdir()
    (path / "package.mosis").write_bytes(b"x")
    os.utime(path, (now() - DAY, now() - DAY))
    return path


def test_a_dry_run_names_exactly_what_a_run_deletes(store: Store) -> None:
    scale.fill(store, 1000)
    for name in ("b", "a"):
        stale(store, name)
    due = cleaned(store, dry_run=True)
    assert {deletion.label for deletion in due} == {"temp", *(rule.label for rule in retention.RULES)}
    assert cleaned(store) == due
    assert cleaned(store) == cleaned(store, dry_run=True) == []
    left_on_disk = {path.parent for path in store.layout.area("packages").rglob("package.mosis")}
    assert left_on_disk == {
        store.layout.package_directory(version.developer_id, version.app_id, version.version_code)
        for version in versions.every_placed(store.db.read())
    }
    counted = job_runs.counters(store.db.read(), "cleanup_deleted")
    assert counted == {label: [d.label for d in due].count(label) for label in counted}
    assert audit.first_fault(store.db.read()) is None


def instructions(store: Store, work: Callable[[], object]) -> int:
    """Instructions of SQLite's machine, in hundreds: what work costs on a machine of any speed."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    store.db.read().set_progress_handler(count, 100)
    work()
    store.db.read().set_progress_handler(None, 0)
    return steps


@pytest.mark.parametrize("dry_run", [True, False])
def test_four_times_as_many_versions_cost_four_times_as_much(tmp_path: Path, dry_run: bool) -> None:
    def cost(number: int) -> int:
        store = make_store(tmp_path / str(number))
        scale.fill(store, number)
        return instructions(store, lambda: cleanup.cleanup(store, dry_run=dry_run))

    assert cost(2000) < 5 * cost(500)


def test_versions_of_one_second_are_each_read_once(store: Store) -> None:
    """Such as those of an import."""
    scale.fill(store, 1000)
    age(store, "status_at", 40 * DAY)
    [rule] = [rule for rule in retention.RULES if rule.status == "draft"]
    found = [version.version_id for version in retention.due(store.db.read(), rule, now())]
    drafts = store.db.read().execute("SELECT count(*) FROM versions WHERE status = 'draft'").fetchone()[0]
    assert len(found) == len(set(found)) == drafts > 2 * retention.PAGE


@pytest.mark.parametrize(("seconds", "most"), [(0, 1), (60, 8)])
def test_a_turn_to_write_ends_after_so_much_time_and_a_batch_after_so_many_versions(
    store: Store, monkeypatch: pytest.MonkeyPatch, seconds: float, most: int
) -> None:
    scale.fill(store, 400)
    monkeypatch.setattr(cleanup, "TURN_SECONDS", seconds)
    monkeypatch.setattr(cleanup, "BATCH", 8)
    statements: list[str] = []
    store.db.read().set_trace_callback(statements.append)
    cleaned(store)
    store.db.read().set_trace_callback(None)
    longest = number = 0
    for statement in statements:
        number = 0 if statement == "COMMIT" else number + statement.startswith("INSERT INTO audit ")
        longest = max(longest, number)
    assert longest == most


def test_a_database_without_room_keeps_every_version_with_its_files(
    store: Store, app: apps.App, tmp_path: Path
) -> None:
    upload(store, app, 1, tmp_path)
    age(store, "status_at", 31 * DAY)
    left_over = stale(store, "left")
    store.db.read().execute("PRAGMA max_page_count = 1")  # SQLite takes the number of pages that there are
    with pytest.raises(sqlite3.OperationalError, match="full"):
        while True:
            with store.db.write() as tx:
                audit.append(tx, audit.OPERATOR, "fill", "")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        cleanup.cleanup(store)
    assert not left_over.exists()
    assert left(store) == [1]
    assert store.layout.package("acme", APP_ID, 1).exists()
    store.db.read().execute("PRAGMA max_page_count = 1000000")
    assert cleaned(store) == [Deletion("draft", f"{APP_ID}/1")]


ON_SMALL_DISK = """
import pathlib, sys
from bench import scale
from portal.store import ballast
from tests.support.portal import environ, make_store
store = make_store(pathlib.Path(sys.argv[1]))
environ(store)
scale.fill(store, 400)
with ballast.released(store.layout):
    pass
"""


@pytest.mark.parametrize("with_ballast", [True, False])
def test_a_disk_without_a_free_byte(small_disk: SmallDisk, with_ballast: bool) -> None:
    """Nobody has the database open, so that even reading it takes room."""
    root = small_disk.path / "store"
    small_disk.run(sys.executable, "-c", ON_SMALL_DISK, root)
    layout = Layout(small_disk.seen / "store")
    if not with_ballast:
        layout.ballast.unlink()
    small_disk.fill()
    assert shutil.disk_usage(small_disk.seen).free == 0

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [*small_disk.inside(), MOSIS, *arguments]
        environment = os.environ | {"MOSIS_CONFIG": str(root / "mosis.toml")}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    ran = run("cleanup")
    mark = failure_marks.read(layout.area("data"), "cleanup")
    if with_ballast:
        assert (ran.returncode, ran.stderr, mark) == (0, "", None)
        assert ran.stdout.count("deleted ") == 100
        assert shutil.disk_usage(small_disk.seen).free > 80 * len(scale.PACKAGE)
        assert run("cleanup", "--dry-run").stdout == ""
    else:
        assert ran.returncode == 1 and ran.stderr.count("\n") == 1
        assert "Traceback" not in ran.stderr
        assert mark is not None
        (small_disk.seen / "fill").unlink()
        assert "cleanup          last success never; failed 2" in run("status").stdout


def fill_disk(path: Path) -> None:
    """Take every byte that is free, in ever smaller pieces."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while file.write(b"x" * size):
                    pass
            os.fsync(file.fileno())


@pytest.mark.parametrize("kind", ["ext4", "btrfs"])
def test_what_is_deleted_is_free_space_on_the_disk_even_if_that_is_full(tmp_path: Path, kind: str) -> None:
    with mounted(kind, tmp_path) as disk, closing((store := make_store(disk / "store")).db):
        scale.fill(store, 200)
        rows = "SELECT app_id, version_code FROM versions WHERE status = 'draft' AND status_at < ?"
        app_id, code = store.db.read().execute(rows, (now() - 20 * DAY,)).fetchone()
        package = store.layout.package(scale.DEVELOPER, app_id, code)
        package.write_bytes(os.urandom(8 * MIB))
        with ballast.released(store.layout):
            pass
        assert store.layout.ballast.exists()
        due = cleaned(store, dry_run=True)
        store.db.close()
        fill_disk(disk / "fill")
        assert shutil.disk_usage(disk).free < MIB
        cleanup.run(store.settings, lambda _: None)
        os.sync()
        assert len(due) == 50 and not package.exists()
        assert shutil.disk_usage(disk).free > 7 * MIB
        assert cleaned(store, dry_run=True) == []


def test_the_rows_go_before_the_files(
    store: Store, app: apps.App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is killed between the two leaves files that no row names, which the next upload replaces."""
    upload(store, app, 1, tmp_path)
    age(store, "status_at", 31 * DAY)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cleanup, "_directory", killed)
    with pytest.raises(KeyboardInterrupt):
        cleanup.cleanup(store)
    assert left(store) == []
    assert store.layout.package("acme", APP_ID, 1).exists()
    assert upload(store, app, 1, tmp_path).version_code == 1


def test_files_stay_until_the_deletion_of_their_rows_is_on_the_disk(
    store: Store, app: apps.App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut could bring the rows back."""
    upload(store, app, 1, tmp_path)
    age(store, "status_at", 31 * DAY)

    def failing(_: Database) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Database, "flush", failing)
    with pytest.raises(OSError, match="Input/output error"):
        cleanup.cleanup(store)
    assert store.layout.package("acme", APP_ID, 1).exists()
    assert "input/output error" in str(job_runs.every(store.db.read())["cleanup"].failure)


def test_a_version_that_was_placed_meanwhile_keeps_its_files(
    store: Store, app: apps.App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a portal of an older release, which makes no claims."""
    upload(store, app, 1, tmp_path)
    row = tuple(store.db.read().execute("SELECT * FROM versions").fetchone())
    age(store, "status_at", 31 * DAY)

    def placed(_: Database) -> None:
        marks = ", ".join("?" * len(row))
        store.db.read().execute(f"INSERT INTO versions VALUES ({marks})", row)

    monkeypatch.setattr(Database, "flush", placed)
    cleaned(store)
    assert store.layout.package("acme", APP_ID, 1).exists()


def test_a_directory_that_vanishes_during_the_look_is_none_of_its_business(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale(store, "left")
    stale(store, "gone")
    scandir = os.scandir

    @contextmanager
    def vanishing(path: Path) -> Iterator[list["os.DirEntry[str]"]]:
        with scandir(path) as entries:
            found = list(entries)
        if path == store.layout.area("temp"):
            (path / "gone").rename(tmp_path / "gone")
        yield found

    monkeypatch.setattr(os, "scandir", vanishing)
    assert cleaned(store, dry_run=True) == [Deletion("temp", "temp/left")]


def test_what_cannot_be_deleted_keeps_nothing_else(
    store: Store, app: apps.App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(store, app, 1, tmp_path)
    age(store, "status_at", 31 * DAY)
    stubborn, discard = stale(store, "a"), files.discard
    stale(store, "b")

    def failing(path: Path) -> None:
        if path == stubborn:
            raise PermissionError(13, "Permission denied", str(path))
        discard(path)

    monkeypatch.setattr(files, "discard", failing)
    with pytest.raises(CleanupError, match="may not be read or written by this user") as error:
        cleanup.cleanup(store)
    assert [path.name for path in store.layout.area("temp").iterdir()] == ["a"]
    assert left(store) == []
    assert job_runs.every(store.db.read())["cleanup"].failure == str(error.value)


def test_one_runs_at_a_time(store: Store) -> None:
    stale(store, "left")
    with (store.layout.area("data") / "cleanup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BackupError, match="cleanup is running already"):
            cleanup.cleanup(store)
    assert job_runs.every(store.db.read()) == {}  # the one that runs will tell
    assert cleaned(store) == [Deletion("temp", "temp/left")]


def test_a_standby_is_left_alone(store: Store) -> None:
    left_over = stale(store, "left")
    follow = Follow(store="nas", ssh_config=Path("/etc/ssh_config"))
    standby = Store(store.settings.model_copy(update={"follow": follow}), store.db, store.layout)
    with pytest.raises(CleanupError, match="standby of nas"):
        cleanup.cleanup(standby)
    assert left_over.exists()


def test_a_disk_with_room_is_kept_some_for_later(store: Store) -> None:
    with ballast.released(store.layout):
        assert not store.layout.ballast.exists()
    assert store.layout.ballast.stat().st_blocks * 512 >= ballast.BYTES


@pytest.mark.parametrize("copy", ["good", "none", "damaged", "away"])
def test_a_package_is_deleted_only_while_the_drive_has_it_if_that_is_asked_for(
    saved: Store, tmp_path: Path, copy: str
) -> None:
    assert saved.settings.backup
    wanted = saved.settings.backup.model_copy(update={"before_cleanup": True})
    store = Store(saved.settings.model_copy(update={"backup": wanted}), saved.db, saved.layout)
    add_developer(store, "acme")
    with store.db.write() as tx:
        app = apps.add(tx, DEVELOPER, APP_ID, "Reader", "")
    upload(store, app, 1, tmp_path)
    uploads.begin(store, uploads.new(store, app))
    if copy != "none":
        backup.packages(store)
    for path in wanted.directory.rglob("package.mosis") if copy == "damaged" else []:
        path.write_bytes(b"x" * path.stat().st_size)
    if copy == "away":
        (wanted.directory / ".mosis-backup").unlink()
    age(store, "status_at", 31 * DAY)
    for dry_run in (True, False):
        deletions: list[Deletion] = []
        if copy == "good":
            cleanup.cleanup(store, dry_run=dry_run, report=deletions.append)
        else:
            with pytest.raises(CleanupError, match=f"^{APP_ID}/1 is due and stays, because the drive has no good copy"):
                cleanup.cleanup(store, dry_run=dry_run, report=deletions.append)
        assert [deletion.label for deletion in deletions] == ["draft"] * (copy == "good") + ["uploading"]
    assert left(store) == ([] if copy == "good" else [1])
    assert store.layout.package("acme", APP_ID, 1).exists() == (copy != "good")


@pytest.mark.parametrize("refused", [True, False])
def test_records_that_cannot_be_written_fail_the_run_and_hide_no_other_failure(
    store: Store, app: apps.App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    upload(store, app, 1, tmp_path)
    (store.layout.area("packages") / "acme/developer.json").mkdir()
    if refused:
        age(store, "status_at", 31 * DAY)
        monkeypatch.setattr(cleanup, "DUE_MAX", 0)
    with pytest.raises(CleanupError if refused else IsADirectoryError):
        cleanup.cleanup(store)
    if not refused:
        assert "is a directory" in job_runs.every(store.db.read())[cleanup.JOB].failure
