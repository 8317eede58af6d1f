"""A clock that is wrong deletes nothing that the right one would keep, and a run that would delete very much asks."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from bench import scale
from portal.jobs import cleanup, status
from portal.jobs.cleanup import CleanupError, Deletion
from portal.jobs.status_line import Line
from portal.metrics import Metrics
from portal.store import apps, audit, clock, files, job_runs, proposals, signed_uploads, uploads, versions
from portal.store.clock_trust import DAY, HOUR
from portal.store.store import Store
from tests.packages.samples import APP_ID, make_package
from tests.support.clock import move
from tests.support.portal import MOSIS, add_developer, environ

YEAR = 365 * DAY
JUMPS = (DAY, 10 * YEAR, -DAY, -10 * YEAR)
DEVELOPER = audit.Actor("acme", "developer", None, "test")
FAKETIME = shutil.which("faketime")


def kept(store: Store) -> set[tuple[str, bool]]:
    """Every version, and whether its package is there."""
    rows = store.db.read().execute("SELECT version_id, developer_id, app_id, version_code FROM versions")
    return {(row[0], row[3] is not None and store.layout.package(row[1], row[2], row[3]).exists()) for row in rows}


def cleaned(store: Store, *, dry_run: bool = False, force: bool = False) -> list[Deletion]:
    deletions: list[Deletion] = []
    cleanup.cleanup(store, dry_run=dry_run, force=force, report=deletions.append)
    return deletions


def metrics(store: Store) -> str:
    return Metrics(store).exposition().decode()


@pytest.fixture
def filled(store: Store) -> Store:
    """A store in which a part of each kind is due, and the rest within a day or a year."""
    scale.fill(store, 400)
    (store.layout.staging("left-over")).mkdir()
    return store


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("runs_before", [0, 1])
def test_a_moved_clock_deletes_nothing_and_the_right_one_what_is_due(
    filled: Store, jump: int, runs_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(runs_before):
        cleaned(filled)
    due, before = cleaned(filled, dry_run=True), kept(filled)
    move(monkeypatch, jump)
    assert "mosis_clock_trusted 0.0" in metrics(filled)
    for dry_run in (False, True, False):
        with pytest.raises(CleanupError, match=r"^Nothing was deleted\. The clock is .*run `mosis cleanup --force`\.$"):
            cleaned(filled, dry_run=dry_run)
    assert kept(filled) == before
    assert filled.layout.staging("left-over").exists()
    move(monkeypatch, 0)
    assert "mosis_clock_trusted 1.0" in metrics(filled)
    assert cleaned(filled) == due


@pytest.mark.parametrize("jump", JUMPS)
def test_what_is_written_under_a_moved_clock_is_not_too_old_on_the_right_one(
    store: Store, tmp_path: Path, jump: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_developer(store, "acme")
    with store.db.write() as tx:
        app = apps.add(tx, DEVELOPER, APP_ID, "Reader", "")
    cleaned(store)
    move(monkeypatch, jump)
    for code in (1, 2, 3):
        upload(store, app, code, tmp_path)
    for code, actions in ((1, ["submit", "reject"]), (2, ["submit", "publish"]), (3, ["submit", "publish"])):
        for action in actions:
            with store.db.write() as tx:
                versions.change(tx, DEVELOPER, apps.get(tx, APP_ID), code, action, "So.")
    uploads.begin(store, uploads.new(store, app))
    before = kept(store)
    move(monkeypatch, 0)
    assert cleaned(store) == []
    assert kept(store) == before


def upload(store: Store, app: apps.App, code: int, tmp_path: Path) -> None:
    with uploads.receiving(store, app) as incoming:
        make_package(tmp_path / "p.mosis", version_code=code)
        sink = files.Sink(incoming.package, 1 << 20)
        sink.write((tmp_path / "p.mosis").read_bytes())
        uploads.complete(store, DEVELOPER, incoming, sink.finish())


def test_doubt_is_no_failure_until_it_has_lasted_a_day(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned(filled)

    def line(name: str) -> Line:
        return next(line for line in status.status(filled.settings) if line.name == name)

    move(monkeypatch, 10 * YEAR)
    with pytest.raises(CleanupError):
        cleaned(filled)
    assert job_runs.every(filled.db.read())["cleanup"].failure is None
    assert not line("clock").ok and "10 years ahead" in line("clock").text
    note = filled.db.directory / "clock.json"
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    doubted = clock_seen_a_day_ago(note.read_text(), uptime)
    note.write_text(doubted)
    with pytest.raises(CleanupError):
        cleaned(filled)
    assert "10 years ahead" in line("cleanup").text
    assert "10 years ahead" in str(job_runs.every(filled.db.read())["cleanup"].failure)
    assert cleaned(filled, force=True)
    assert line("clock").ok


def clock_seen_a_day_ago(note: str, uptime: float) -> str:
    """The note of a run that began to doubt the clock a day ago."""
    witness = json.loads(note)
    witness["doubted"] |= {"uptime": uptime - DAY, "time": clock.now() - DAY}
    return json.dumps(witness)


@pytest.mark.parametrize("jump", ["+1 day", "+10 years", "-1 day", "-10 years"])
def test_the_command_under_another_clock(filled: Store, jump: str) -> None:
    if FAKETIME is None:
        pytest.skip("faketime is not installed")
    before = kept(filled)

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*words, MOSIS, "cleanup"], env=environ(filled), capture_output=True, text=True, timeout=120
        )

    refused = run(FAKETIME, "-f", jump.replace(" day", "d").replace("10 years", "3650d"))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Nothing was deleted. The clock is ")
    assert kept(filled) == before
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("deleted ") == 100


@pytest.mark.parametrize(
    ("number", "of", "refused"), [(100, 200, False), (101, 200, True), (299, 1000, True), (250, 1000, False)]
)
def test_a_run_that_would_delete_a_great_part_is_refused(store: Store, number: int, of: int, refused: bool) -> None:
    scale.fill(store, of)
    db = store.db.read()
    db.execute("DELETE FROM versions WHERE version_code IS NULL")
    db.execute("UPDATE versions SET status = 'in_review', status_at = 0, superseded_at = NULL")
    due = "SELECT version_id FROM versions ORDER BY version_code LIMIT ?"
    db.execute(f"UPDATE versions SET status = 'draft' WHERE version_id IN ({due})", (number,))
    placed = db.execute("SELECT count(*) FROM versions").fetchone()[0]
    assert (number > max(100, 0.3 * placed)) == refused, "the case is not what it should be"
    before = kept(store)
    if refused:
        for dry_run in (True, False):
            with pytest.raises(CleanupError, match=f"^{number} of {placed} versions are due, more than 30% at once"):
                cleaned(store, dry_run=dry_run)
        assert kept(store) == before
        assert "versions are due" in str(job_runs.every(db)["cleanup"].failure)
        assert len(cleaned(store, dry_run=True, force=True)) == number
    assert len(cleaned(store, force=refused)) == number


@pytest.fixture
def idle(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose last change was 40 days ago, and whose last run has seen the right clock."""
    move(monkeypatch, -40 * DAY)
    add_developer(store, "acme")
    with store.db.write() as tx:
        apps.add(tx, DEVELOPER, APP_ID, "Reader", "")
    move(monkeypatch, 0)
    assert cleaned(store, force=True) == []
    return store


def write_everything(store: Store, tmp_path: Path) -> None:
    app = apps.get(store.db.read(), APP_ID)
    upload(store, app, 1, tmp_path)
    uploads.begin(store, uploads.new(store, app))
    signed_uploads.issue(store, app, 10, None)
    with store.db.write() as tx:
        tx.execute("INSERT INTO proposals (app_id, changed_at) VALUES (?, 0)", (APP_ID,))
        proposals.reject(tx, audit.OPERATOR, app, proposals.digest([]), "So.")


def ages(store: Store) -> list[int]:
    times = "SELECT status_at FROM versions UNION ALL SELECT rejected_at FROM proposals"
    return [clock.now() - row[0] for row in store.db.read().execute(times)]


@pytest.mark.parametrize("jump", [-DAY, -39 * DAY, -10 * YEAR])
def test_what_is_written_under_a_clock_that_is_behind_has_the_right_time_even_after_weeks(
    idle: Store, tmp_path: Path, jump: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(monkeypatch, jump)
    write_everything(idle, tmp_path)
    move(monkeypatch, 0)
    assert max(map(abs, ages(idle))) < HOUR / 2
    before = kept(idle)
    assert cleaned(idle) == []
    assert kept(idle) == before


def test_what_is_written_before_the_clock_is_set_after_a_long_stop_is_kept_as_long_as_ever(
    idle: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host without a battery was off for 40 days: nobody knows the time until NTP sets the clock."""
    note = idle.db.directory / "clock.json"
    witness = json.loads(note.read_text())
    witness["trusted"] |= {"boot": "the boot before", "time": clock.now() - 40 * DAY}
    note.write_text(json.dumps(witness))
    move(monkeypatch, -10 * YEAR)
    write_everything(idle, tmp_path)
    with pytest.raises(CleanupError):
        cleaned(idle)
    move(monkeypatch, 0)
    assert min(ages(idle)) > 30 * DAY
    before = kept(idle)
    assert cleaned(idle, force=True) == []  # NTP vouches for the clock
    assert kept(idle) == before
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert max(map(abs, ages(idle))) < uptime + HOUR
    moved = ages(idle)
    assert cleaned(idle) == [] and moved == pytest.approx(ages(idle), abs=60), "once"
    [leap] = [row for row in audit.entries(idle.db.read()) if row.action == "clock.leap"]
    assert json.loads(leap.detail)["seconds"] > 39 * DAY
