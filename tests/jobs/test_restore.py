"""A restore takes the newest copy that can be used, whatever its name or kind, and says what is not in it."""

import fcntl
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

import pytest

from portal.images.dimensions import ICON_SIZES
from portal.jobs import alone as jobs_alone
from portal.jobs import backup, catalogue_keys, cleanup, mirror, rebuild, restore, scrub, table
from portal.jobs.alone import RunningError, alone
from portal.jobs.catalogue import catalogue
from portal.packages.manifest import PATH as MANIFEST
from portal.recovery import copies, drive, lineage, offline, records, replica
from portal.recovery.errors import BackupError
from portal.recovery.lineage import Point
from portal.server import lock
from portal.settings import S3, Follow
from portal.store import apps, assets, developers, failure_marks, known_files, locks, sessions, tokens, writing
from portal.store.audit import OPERATOR
from portal.store.clock import rfc3339
from portal.store.errors import DatabaseBusy
from portal.store.layout import PROPOSED, Layout
from portal.store.store import Store, open_store
from tests.http.test_images import png
from tests.packages.samples import APP_ID, KEY
from tests.support import publishing, tampering
from tests.support.litestream import replicate, replicating
from tests.support.many import OWNER, fill
from tests.support.portal import MOSIS, Publisher, add_developer, environ, make_store, mosis
from tests.support.unprivileged import NOBODY, unreadable


def change(store: Store, developer_id: str) -> None:
    """One more row of the audit log."""
    with store.db.write() as tx:
        developers.add(tx, OPERATOR, developer_id, developer_id.title())


def names(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT developer_id FROM developers ORDER BY developer_id")]


def lose_database(store: Store) -> None:
    store.db.close()
    for path in store.layout.area("data").glob("portal.db*"):
        path.unlink()


def restored(store: Store, **options: object) -> restore.Report:
    store.db.close()
    return restore.restore(store.settings, **options)


def snapshot(store: Store, name: str) -> Path:
    """A nightly copy under a name that a wrong clock could give it."""
    return backup.database(store).rename(store.layout.snapshots / f"portal-{name}.db")


def damage_table(path: Path, table: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        [page] = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        [size] = db.execute("PRAGMA page_size").fetchone()
    with path.open("rb+") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))


def in_replica(store: Store, tmp_path: Path) -> Point:
    target = tmp_path / "from-replica.db"
    copies.discard(target)
    copies.from_replica(store.layout.replica, target)
    return lineage.point_of(target)


def next_second() -> int:
    """A time after every change so far and before every later one, as far as whole seconds tell."""
    now = int(time.time()) + 1
    time.sleep(now + 1.05 - time.time())
    return now


def local(at: int) -> str:
    return datetime.fromtimestamp(at).isoformat(" ")  # noqa: DTZ006 - as an operator writes it


def test_a_snapshot_from_the_future_does_not_win(store: Store) -> None:
    snapshot(store, "20361126T023000Z")
    change(store, "later")
    newest = backup.database(store)
    lose_database(store)
    report = restored(store)
    assert report.database.name == f"snapshot {newest.name}"
    assert names(store.layout.database) == ["later"]


def test_a_snapshot_just_made_stays(store: Store) -> None:
    for night in range(1, backup.SNAPSHOTS_KEPT + 2):
        change(store, f"night-{night}")
        snapshot(store, f"203601{night:02}T023000Z")
    change(store, "tonight")
    made = [backup.database(store) for _ in range(2)][-1]
    kept = copies.snapshots(store.layout.snapshots)
    assert made.exists()
    assert len(kept) == backup.SNAPSHOTS_KEPT
    assert "portal-20360101T023000Z.db" not in [path.name for path in kept]  # the oldest, by what is in it


@pytest.mark.parametrize("fault", ["it stood still", "its files are damaged", "it was emptied"])
def test_a_replica_that_was_not_good_enough_gives_way_and_litestream_starts_a_new_one(
    store: Store, tmp_path: Path, fault: str
) -> None:
    replicate(store.layout)
    if fault == "its files are damaged":
        for path in store.layout.replica.rglob("*.ltx"):
            path.write_bytes(path.read_bytes()[:-8])
    elif fault == "it was emptied":
        shutil.rmtree(store.layout.replica / "ltx")
        (store.layout.replica / "ltx").mkdir()
    change(store, "later")
    backup.database(store)
    lose_database(store)
    report = restored(store)
    assert report.database.name.startswith("snapshot")
    assert (report.set_aside / "backups/portal").is_dir()
    again = open_store(store.settings)
    change(again, "after")
    replicate(store.layout)
    assert in_replica(store, tmp_path) == lineage.point(again.db.read())


def test_litestream_continues_a_replica_that_was_restored_from(store: Store, tmp_path: Path) -> None:
    change(store, "first")
    replicate(store.layout)
    lose_database(store)
    report = restored(store)
    assert (report.database.name, report.database.notes) == ("Litestream replica", ())
    assert report.set_aside / ".portal.db-litestream" in list(report.set_aside.iterdir())
    again = open_store(store.settings)
    replicate(store.layout)
    change(again, "after")
    replicate(store.layout)
    assert in_replica(store, tmp_path) == lineage.point(again.db.read())
    lose_database(again)
    restored(again)
    assert names(store.layout.database) == ["after", "first"]


def test_newer_copies_that_cannot_be_used_are_named_with_what_is_lost(store: Store) -> None:
    change(store, "first")
    backup.database(store).rename(store.layout.snapshots / "portal-20260101T000000Z.db")
    change(store, "second")
    change(store, "third")
    damaged = snapshot(store, "20260102T000000Z")
    damage_table(damaged, "apps")
    (store.layout.snapshots / "portal-20260103T000000Z.db").write_bytes(b"no database")
    lose_database(store)
    ran = mosis(store, "restore")
    assert ran.returncode == 0, ran.stderr
    first, *notes = ran.stdout.splitlines()
    assert first.startswith("database restored from snapshot portal-20260101T000000Z.db, up to row ")
    assert any("portal-20260103T000000Z.db cannot be read" in note for note in notes)
    [lost] = [note for note in notes if "portal-20260102T000000Z.db" in note]
    assert "It has 2 later changes, the last made 2" in lost


def test_what_the_replaced_database_had_beyond_the_copy_is_said(store: Store) -> None:
    change(store, "first")
    backup.database(store)
    change(store, "second")
    report = restored(store, replace_database=True)
    assert [note for note in report.database.notes if "It has 1 later change, the last made 2" in note]
    assert names(report.set_aside / "portal.db") == ["first", "second"]


def test_a_restore_signs_everybody_out(store: Store) -> None:
    """Who signed out since the copy was made would be signed in again."""
    change(store, "dev")
    with store.db.write() as tx:
        token, _ = tokens.issue(tx, OPERATOR, "dev", "developer", 1)
        secret = sessions.start(tx, OPERATOR, token)
    backup.database(store)
    lose_database(store)
    restored(store)
    db = open_store(store.settings).db.read()
    assert sessions.token_of(db, secret) is None
    assert tokens.get(db, token.token_id).is_valid


def test_what_a_restore_left_out_never_wins_again(store: Store) -> None:
    change(store, "zero")
    snapshot(store, "20260101T000000Z")
    for name in ("one", "two", "three"):
        change(store, name)
    left_out = snapshot(store, "20260102T000000Z")
    left_out.rename(store.layout.root / "away.db")
    lose_database(store)
    restored(store)
    again = open_store(store.settings)
    change(again, "new")
    backup.database(again)
    (store.layout.root / "away.db").rename(left_out)
    lose_database(again)
    report = restored(again)
    assert names(store.layout.database) == ["new", "zero"]
    assert report.database.notes == ()


def test_a_copy_of_another_store_is_reported(store: Store, tmp_path: Path) -> None:
    change(store, "first")
    change(store, "second")
    own = backup.database(store)
    other = make_store(tmp_path / "other")
    change(other, "foreign")
    shutil.copyfile(backup.database(other), store.layout.snapshots / "portal-20990101T000000Z.db")
    lose_database(store)
    report = restored(store)
    assert report.database.name == f"snapshot {own.name}"
    [note] = report.database.notes
    assert "portal-20990101T000000Z.db is of another store" in note


def test_a_log_that_was_tampered_with_gives_way_but_is_better_than_nothing(store: Store) -> None:
    change(store, "first")
    older = snapshot(store, "20260101T000000Z")
    change(store, "second")
    tampered = snapshot(store, "20260102T000000Z")
    tampering.rewrite_history(tampered)
    lose_database(store)
    report = restored(store)
    assert report.database.name == f"snapshot {older.name}"
    assert "row 2 of its audit log" in report.database.notes[0]
    older.unlink()
    assert restored(store, replace_database=True).database.name == f"snapshot {tampered.name}"


def test_a_replica_whose_end_is_damaged_is_restored_as_it_was_before(store: Store, tmp_path: Path) -> None:
    backup.database(store)
    with replicating(store.layout) as synced:
        change(store, "before")
        synced()
        next_second()
        change(store, "after")
        synced()
    newest = max(store.layout.replica.rglob("*.ltx"), key=lambda path: path.stat().st_mtime)
    newest.write_bytes(newest.read_bytes()[:-8])
    lose_database(store)
    report = restored(store)
    assert report.database.name.startswith("Litestream replica until ")
    assert names(store.layout.database) == ["before"]
    assert (report.set_aside / "backups/portal").is_dir()
    replicate(store.layout)
    assert in_replica(store, tmp_path) == lineage.point(open_store(store.settings).db.read())


def test_a_time_is_reached_by_the_replica(store: Store, tmp_path: Path) -> None:
    with replicating(store.layout) as synced:
        change(store, "before")
        synced()
        until = next_second()
        change(store, "after")
        synced()
    backup.database(store)
    lose_database(store)
    ran = mosis(store, "restore", "--at", local(until))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(
        f"database restored from Litestream replica until {rfc3339(until)}, up to row 1 of its log"
    )
    assert names(store.layout.database) == ["before"]
    assert store.layout.replica.exists()
    again = open_store(store.settings)
    change(again, "anew")
    replicate(store.layout)
    assert in_replica(store, tmp_path) == lineage.point(again.db.read())
    lose_database(again)
    restored(again)
    assert names(store.layout.database) == ["anew", "before"]


@pytest.mark.parametrize("keeper", [True, False], ids=["when it was begun anew", "by a restore"])
def test_a_time_is_reached_by_a_replica_that_was_set_aside(store: Store, keeper: bool) -> None:
    with replicating(store.layout) as synced:
        change(store, "before")
        synced()
        until = next_second()
        change(store, "after")
        synced()
    if keeper:
        replica.set_aside(store.layout)
    else:
        change(store, "not-replicated")
        backup.database(store)
        lose_database(store)
        restored(store)
    again = open_store(store.settings)
    replicate(store.layout)
    lose_database(again)
    report = restored(again, until=until)
    assert report.database.name.startswith("Litestream replica in ")
    assert names(store.layout.database) == ["before"]


def test_where_the_replica_does_not_reach_a_snapshot_does(store: Store) -> None:
    change(store, "before")
    backup.database(store)
    until = next_second()
    change(store, "after")
    replicate(store.layout)
    backup.database(store)
    lose_database(store)
    ran = mosis(store, "restore", "--at", rfc3339(until))
    assert ran.returncode == 0, ran.stderr
    assert "database restored from snapshot" in ran.stdout
    assert (
        f"not used: Litestream replica until {rfc3339(until)}: it does not reach back to {rfc3339(until)}."
        in ran.stdout
    )
    assert names(store.layout.database) == ["before"]


def test_a_time_after_the_last_change_takes_all_of_it(store: Store) -> None:
    change(store, "only")
    replicate(store.layout)
    until = next_second()
    lose_database(store)
    report = restored(store, until=until)
    assert (report.database.name, names(store.layout.database)) == ("Litestream replica", ["only"])


def test_a_time_before_every_copy_is_refused(store: Store) -> None:
    change(store, "first")
    backup.database(store)
    lose_database(store)
    with pytest.raises(BackupError, match="Every copy has changes made after 2001-09-09T01:46:40Z"):
        restored(store, until=10**9)


def test_a_time_needs_a_database_that_may_be_replaced(store: Store) -> None:
    change(store, "first")
    backup.database(store)
    ran = mosis(store, "restore", "--at", "2026-01-01")
    assert (ran.returncode, "add --replace-database" in ran.stderr) == (1, True)


@pytest.mark.parametrize("value", ["yesterday", "2999-01-01 00:00", "2026-13-01"])
def test_what_is_no_time_in_the_past_is_wrong_usage(store: Store, value: str) -> None:
    assert mosis(store, "restore", "--at", value).returncode == 2


def test_without_any_copy_the_reason_is_one_sentence(store: Store) -> None:
    lose_database(store)
    with pytest.raises(BackupError, match=r"No copy of the database can be restored\. There is none: attach the drive"):
        restored(store)


APP = "packages/acme/org.example.app"


def contents(store: Store) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in store.layout.root.rglob("*") if path.is_file()}


def test_packages_that_the_restored_database_does_not_name_are_set_aside_and_found_again(published: Publisher) -> None:
    store = published.portal.store
    backup.database(store)
    published.publish(4)
    uploaded = store.layout.package("acme", "org.example.app", 4).read_bytes()
    published.portal.stop()
    backup.packages(store)
    replicate(store.layout)
    replica = store.layout.replica.rename(store.layout.root / "away")
    lose_database(store)
    ran = mosis(store, "restore")
    assert ran.returncode == 0, ran.stderr
    assert "set aside, not deleted: 1 version that is on the disk and not in this database" in ran.stdout
    [aside] = store.layout.area("data").glob("before-restore-*")
    assert (aside / APP / "4/package.mosis").read_bytes() == uploaded
    assert not (store.layout.root / APP / "4").exists()
    shutil.rmtree(store.settings.backup.directory / "generations")  # only what was set aside has it now
    shutil.rmtree(store.layout.snapshots)
    replica.rename(store.layout.replica)
    ran = mosis(store, "restore", "--replace-database")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{APP}/4/package.mosis restored" in ran.stdout
    assert (store.layout.root / APP / "4/package.mosis").read_bytes() == uploaded


def test_images_that_the_restored_database_does_not_name_are_set_aside_and_found_again(published: Publisher) -> None:
    store = published.portal.store
    backup.database(store)
    icon = {"icon": png(256, 256)}
    published.client.post(f"/api/apps/{published.app_id}/icon", files=icon).raise_for_status()
    published.portal.stop()
    replicate(store.layout)
    replica = store.layout.replica.rename(store.layout.root / "away")
    named = [file for file in known_files.every(store.db.read(), store.layout) if not file.manifest]
    lose_database(store)
    restored(store)
    published.portal.start().stop()  # it removes what a crash left
    replica.rename(store.layout.replica)
    restored(store, replace_database=True)
    assert [file.is_good(store.layout.root) for file in named] == [True] * 3


def test_what_was_deleted_since_comes_back_from_the_drive(published: Publisher) -> None:
    store = published.portal.store
    uploaded = store.layout.package("acme", "org.example.app", 3).read_bytes()
    with store.db.write() as tx:
        tx.execute("UPDATE versions SET status_at = 0 WHERE status = 'draft'")
    backup.database(store)
    backup.packages(store)
    until = next_second()
    cleanup.cleanup(store, force=True)
    backup.packages(store)
    published.portal.stop()
    assert not (store.layout.root / APP / "3").exists()
    ran = mosis(store, "restore", "--replace-database", "--at", rfc3339(until))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{APP}/3/package.mosis restored" in ran.stdout
    assert (store.layout.root / APP / "3/package.mosis").read_bytes() == uploaded


def test_a_standby_is_restored_by_following(store: Store) -> None:
    follow = Follow(store="store.example.org", ssh_config="/none")
    with pytest.raises(BackupError, match="`mosis follow` copies it"):
        restore.restore(store.settings.model_copy(update={"follow": follow}))


def test_a_dry_run_of_a_lost_database_names_every_file_and_changes_nothing(published: Publisher) -> None:
    store = published.portal.store
    backup.database(store)
    published.upload(published.package(4)).raise_for_status()
    published.portal.stop()
    backup.packages(store)
    (store.layout.root / APP / "1/package.mosis").unlink()
    (store.layout.root / APP / "2/package.mosis").unlink()
    [tree] = drive.trees(store.settings.backup)
    (tree / APP / "2/package.mosis").unlink()
    lose_database(store)
    mosis(store, "status")  # writes its settings
    for name in ("replicate", *(job.name for job in table.JOBS)):
        (store.layout.area("data") / f"{name}.lock").touch()  # a lock is no change
    (store.layout.area("data") / "portal.db-writing").touch()
    before = contents(store)
    dry = mosis(store, "restore", "--dry-run")
    assert contents(store) == before
    real = mosis(store, "restore")
    assert dry.returncode == real.returncode == 1
    assert dry.stdout.replace("would be ", "").splitlines() == real.stdout.splitlines()[:-1]
    assert f"{APP}/1/package.mosis would be restored" in dry.stdout
    assert f"{APP}/2/package.mosis MISSING: in no backup" in dry.stdout
    assert "1 files good, 1 would be restored, 1 missing" in dry.stdout


def test_a_damaged_package_is_set_aside_for_good(published: Publisher) -> None:
    store = published.portal.store
    published.portal.stop()
    backup.packages(store)
    (store.layout.root / APP / "1/package.mosis").write_bytes(b"bit rot")
    report = restored(store)
    assert (report.set_aside / APP / "1/package.mosis").read_bytes() == b"bit rot"
    records.catch_up(open_store(store.settings))
    assert (store.layout.root / APP / "1/version.json").exists()
    cleanup.cleanup(open_store(store.settings))
    assert (report.set_aside / APP / "1/package.mosis").exists()


def test_a_manifest_is_restored_from_the_database(published: Publisher) -> None:
    store = published.portal.store
    published.portal.stop()
    path = store.layout.root / APP / "1/manifest.json"
    good = path.read_bytes()
    path.write_bytes(b"bit rot")
    ran = mosis(store, "restore")
    assert (ran.returncode, f"{APP}/1/manifest.json restored" in ran.stdout) == (0, True)
    assert path.read_bytes() == good


@pytest.mark.parametrize(
    ("config", "booted", "command"),
    [
        ("store/etc/mosis.toml", True, "`make down`"),
        ("etc/mosis.toml", True, "`sudo systemctl stop mosis-portal mosis-litestream`"),
        ("etc/mosis.toml", False, "`docker stop mosis-portal-1 mosis-litestream-1`"),
        (
            "/volume1/@mosis/etc/mosis.toml",
            False,
            "`sudo /usr/local/bin/docker stop mosis-portal-1 mosis-litestream-1`",
        ),
    ],
)
def test_while_the_portal_runs_the_command_that_stops_it_is_named(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str, booted: bool, command: str
) -> None:
    monkeypatch.setenv("MOSIS_CONFIG", str(tmp_path / config))
    monkeypatch.setattr(offline, "SYSTEMD", tmp_path if booted else tmp_path / "none")
    with store.layout.serve_lock.open("a") as shared:
        lock.share(shared)
        with pytest.raises(BackupError, match="The portal is running") as refused:
            restored(store)
    assert command in str(refused.value)
    with store.layout.replicate_lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BackupError, match="Litestream is running") as refused:
            restored(store)
    assert command in str(refused.value)


@pytest.mark.parametrize("job", [job.name for job in table.JOBS])
def test_a_job_and_a_restore_never_run_at_once(store: Store, monkeypatch: pytest.MonkeyPatch, job: str) -> None:
    """A job that began before would delete, quarantine and copy by the database that was."""
    monkeypatch.setattr(jobs_alone, "WAIT_SECONDS", 0.0)
    with alone(store, job):
        for refuse in (restore.restore, rebuild.rebuild):
            with pytest.raises(
                RunningError, match=rf"{job} is running \(process {os.getpid()}\): .* `kill {os.getpid()}`"
            ):
                refuse(store.settings, replace_database=True)


def test_a_restore_waits_for_a_job_that_is_about_to_end(store: Store) -> None:
    change(store, "acme")
    backup.database(store)
    with (store.layout.area("data") / "mirror.lock").open("a+") as job:
        assert locks.lock(job)  # as `alone` does, which only a main thread may leave
        waiting = threading.Timer(0.2, job.close)
        waiting.start()
        assert restored(store, replace_database=True).database
        waiting.join()


WRITERS = (
    "developer add late Late",
    "token create acme",
    "token revoke acme 0123456789abcdef",
    "developer revoke-key acme 0123456789abcdef0123456789abcdef",
    "cleanup",
    "scrub --repair",
    "drill",
    "backup database",
    "backup packages",
    "mirror",
    "setup",
)


def test_no_command_writes_during_a_restore(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    change(store, "acme")
    backup.database(store)
    environment, failures = environ(store), dict[str, str]()

    def write(_layout: Layout) -> None:
        running = [
            Popen([MOSIS, *command.split()], env=environment, stdout=DEVNULL, stderr=PIPE, text=True)
            for command in WRITERS
        ]
        failures.update(zip(WRITERS, [process.communicate(timeout=120)[1].strip() for process in running], strict=True))

    monkeypatch.setattr(records, "forget", write)
    restored(store, replace_database=True)
    assert failures == dict.fromkeys(WRITERS, writing.RESTORING)
    assert names(store.layout.database) == ["acme"]


def test_what_jobs_reported_of_a_damaged_database_ends_with_it(store: Store) -> None:
    change(store, "acme")
    backup.database(store)
    failure_marks.write(store.db.directory, "drill", "portal.db cannot be read")
    restored(store, replace_database=True)
    assert failure_marks.every(store.db.directory) == {}


def test_a_restore_refuses_while_a_command_writes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BARRED_SECONDS", 0.0)
    with store.db.write(), pytest.raises(BackupError, match="A command is writing to the database"):
        restore.restore(store.settings, replace_database=True)


def test_a_command_that_has_the_replaced_database_open_writes_nothing(store: Store) -> None:
    change(store, "acme")
    backup.database(store)
    before = open_store(store.settings)
    before.db.read().execute("SELECT 1 FROM developers").fetchall()
    restored(store, replace_database=True)
    with pytest.raises(DatabaseBusy, match="was replaced"):
        change(before, "late")
    before.db.close()
    change(before, "again")
    assert names(store.layout.database) == ["acme", "again"]


def test_a_job_does_not_begin_during_a_restore(store: Store) -> None:
    change(store, "acme")
    backup.database(store)

    def begin(_path: Path) -> None:
        cleanup.cleanup(store)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(RunningError, match="cleanup is running already"):
        patch.setattr(records, "forget", begin)
        restored(store)


def test_a_drive_that_may_not_be_read_stops_no_restore_that_can_do_without(drive: Path) -> None:
    with tempfile.TemporaryDirectory(dir=drive) as place:
        store = make_store(Path(place) / "store", backup={"mount": "/dev/shm", "directory": str(Path(place) / "drive")})
        (Path(place) / "drive").mkdir()
        (Path(place) / "drive/.mosis-backup").touch()
        change(store, "first")
        backup.database(store)
        lose_database(store)
        give_to_nobody(drive, Path(place))
        with unreadable(Path(place) / "drive"):
            report = restored(store)
        assert names(store.layout.database) == ["first"]
        assert "cannot be read: Permission denied" in report.drive_fault


def give_to_nobody(*places: Path) -> None:
    if os.geteuid() == 0:
        for place in places:
            for path in (place, *place.rglob("*")):
                os.chown(path, NOBODY, NOBODY)


@pytest.fixture
def mirrored(tmp_path: Path, empty: S3) -> Store:
    """A store without a drive, whose published files are in a bucket."""
    own = tmp_path / "credentials"  # a test may take them away
    shutil.copy(empty.credentials, own)
    store = make_store(tmp_path / "store", mirror=empty.model_dump(mode="json") | {"credentials": str(own)})
    fill(store, 2, 3)
    mirror.mirror(store)
    return store


def test_yanks_that_an_older_database_does_not_know_are_named(store: Store) -> None:
    """The portal would offer these versions again; the catalogue on the disk knows better."""
    signed_with_versions(store, 1, 2)
    backup.database(store)
    publishing.change(store, APP_ID, 2, "yank", "It lost files.")
    catalogue(store)
    ran = mosis(store, "restore", "--replace-database", "--dry-run")
    assert f"{APP_ID} 2 was yanked, which this database does not know: yank it again" in ran.stdout
    assert restored(store, replace_database=True).yanks_lost == [f"{APP_ID} 2"]


def test_a_yank_that_was_undone_is_not_named(store: Store) -> None:
    signed_with_versions(store, 1, 2)
    publishing.change(store, APP_ID, 2, "yank", "It lost files.")
    catalogue(store)
    publishing.change(store, APP_ID, 2, "unyank")
    backup.database(store)
    assert restored(store, replace_database=True).yanks_lost == []


def test_access_that_was_ended_later_is_named_because_it_is_in_force_again(store: Store) -> None:
    """A thief's token is revoked; a week later somebody restores the database of before."""
    add_developer(store, "acme")
    with store.db.write() as tx:
        before, stolen = (tokens.issue(tx, OPERATOR, "acme", "developer", 90)[0].token_id for _ in range(2))
        tokens.revoke(tx, OPERATOR, "acme", before)
    backup.database(store)
    with store.db.write() as tx:
        tokens.revoke(tx, OPERATOR, "acme", stolen)
    [again] = in_force_again(mosis(store, "restore", "--replace-database", "--dry-run").stdout)
    assert "token.revoke" in again and stolen in again
    assert restored(store, replace_database=True).database.notes[-1] == again


def test_access_that_was_ended_after_the_time_of_a_restore_is_named_without_the_database(store: Store) -> None:
    add_developer(store, "acme")
    with store.db.write() as tx:
        stolen = tokens.issue(tx, OPERATOR, "acme", "developer", 90)[0].token_id
    backup.database(store)
    then = next_second()
    with store.db.write() as tx:
        tokens.revoke(tx, OPERATOR, "acme", stolen)
    snapshot(store, "29990101T000000Z")
    lose_database(store)
    assert stolen in "".join(in_force_again("\n".join(restored(store, until=then).database.notes)))


def in_force_again(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("In force again: ")]


def signed_with_versions(store: Store, *codes: int) -> None:
    catalogue_keys.make(store, [KEY])
    add_developer(store, "acme")
    publishing.add_app(store, APP_ID)
    for code in codes:
        publishing.publish(store, APP_ID, code)
    catalogue(store)


def every_file(store: Store) -> dict[str, bytes]:
    """Every file, by its path, but for the plain names of images."""
    named = known_files.every(store.db.read(), store.layout)
    paths = [
        path for file in named for path in (file.path, *([file.path.with_name(MANIFEST)] if file.manifest else []))
    ]
    return {str(path): (store.layout.root / path).read_bytes() for path in paths}


def test_what_is_nowhere_else_comes_from_the_bucket(mirrored: Store) -> None:
    before = every_file(mirrored)
    for area in ("packages", "assets"):
        shutil.rmtree(mirrored.layout.area(area))
    planned = restored(mirrored, dry_run=True)
    assert not any(mirrored.layout.area(area).exists() for area in ("packages", "assets"))
    report = restored(mirrored)
    assert len(planned.restored) == len(report.restored) == 2 * 4 and not report.missing and not report.bucket_fault
    assert every_file(mirrored) == before
    assert not list(mirrored.layout.area("temp").iterdir())


def test_a_bucket_that_does_not_answer_is_named(mirrored: Store) -> None:
    shutil.rmtree(mirrored.layout.area("packages"))
    mirrored.settings.mirror.credentials.unlink()
    ran = mosis(mirrored, "restore")
    assert ran.returncode == 1 and f"not used: the mirror: {mirrored.settings.mirror.credentials} cannot" in ran.stdout
    assert "6 missing" in ran.stdout


def test_images_that_wait_for_a_review_come_back(saved: Store) -> None:
    """From the drive, and from where a restore by an older release, which knows none, has set them aside."""
    fill(saved, 1, versions_each=1)
    add_developer(saved, "second", None, "reviewer")
    with saved.db.write() as tx:
        tx.execute("UPDATE apps SET published_code = 1")
    [app] = apps.of_developer(saved.db.read(), OWNER.developer_id)
    assets.put_icon(saved, OWNER, app, dict.fromkeys(ICON_SIZES, b"png"))
    backup.packages(saved)
    proposed = saved.layout.area("assets") / app.app_id / PROPOSED
    shutil.rmtree(proposed)
    scrub.scrub(saved, report=lambda _: None, repair=True)
    assert len([*proposed.iterdir()]) == len(ICON_SIZES)
    shutil.rmtree(drive.trees(saved.settings.backup)[0] / "assets")
    aside = saved.layout.area("data") / "before-restore-20260101T000000Z" / proposed.relative_to(saved.layout.root)
    aside.parent.mkdir(parents=True)
    proposed.rename(aside)
    report = restored(saved)
    assert len(report.restored) == len([*proposed.iterdir()]) == len(ICON_SIZES) and not report.missing
