"""`mosis replicate` with the real Litestream: whatever happens to it, the replica soon restores to the store again."""

import dataclasses
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import pytest

from portal import thresholds
from portal.jobs import restore
from portal.jobs.replicate import SYMPTOMS, Progress, Sight
from portal.recovery import copies, replica
from portal.recovery.errors import BackupError
from portal.recovery.replica import Position
from portal.store import audit, database, developers
from portal.store.audit import OPERATOR
from portal.store.clock import now
from portal.store.database import Database
from portal.store.layout import Layout
from portal.store.store import Store, open_store
from tests.support import dying
from tests.support.keeper import Keeper, litestream
from tests.support.portal import make_store

pytestmark = pytest.mark.seconds(400)

_names = count(1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = make_store(tmp_path / "store", litestream=True)
    write(made)
    yield made
    made.db.close()


@pytest.fixture
def keeper(store: Store) -> Iterator[Keeper]:
    """Running, with a replica that has been proved."""
    running = Keeper(store).start()
    try:
        running.await_(lambda: running.state.verified_at)
        yield running
    finally:
        running.stop()
        assert running.litestreams == []


def write(store: Store, rows: int = 1) -> None:
    with store.db.write() as tx:
        for _ in range(rows):
            name = f"dev{next(_names)}"
            developers.add(tx, OPERATOR, name, name * 50)


def die(store: Store) -> None:
    """Write as a worker does, and die inside COMMIT."""

    def work() -> None:
        with open_store(store.settings).db.write() as tx:
            for number in range(30):
                developers.add(tx, OPERATOR, f"dead{number}", "x" * 300)
            dying.at_next_flush()

    assert dying.in_child(work) == signal.SIGSYS


def content(path: Path) -> list[str]:
    """Everything in a database but Litestream's own tables."""
    with closing(database.connect(path, litestream=True)) as db:
        return [line for line in db.iterdump() if "_litestream" not in line]


def restores(layout: Layout, place: Path) -> bool:
    """Whether the replica restores to exactly the store."""
    target = place / "restored.db"
    copies.discard(target)
    try:
        copies.from_replica(layout.replica, target)
        copies.check(target)
        return content(target) == content(layout.database)
    except (BackupError, sqlite3.DatabaseError):
        return False


def test_a_replica_is_proved_at_the_start_and_is_the_store(store: Store, keeper: Keeper, tmp_path: Path) -> None:
    assert keeper.state.head == audit.head(store.db.read()).seq
    assert keeper.state.failure is None
    assert restores(store.layout, tmp_path)


def test_litestream_alone_keeps_what_a_dying_writer_left(store: Store, tmp_path: Path) -> None:
    """The fault that `mosis replicate` heals; where this fails, Litestream has learned to heal it."""
    process = subprocess.Popen(litestream(store.layout), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    keeper = Keeper(store)  # not started
    try:
        keeper.await_(lambda: restores(store.layout, tmp_path))
        write(store)
        keeper.await_(lambda: restores(store.layout, tmp_path))
        die(store)
        keeper.await_(lambda: not restores(store.layout, tmp_path))
        write(store, 3)
    finally:
        process.terminate()
        process.wait()
    subprocess.run(litestream(store.layout, "-once"), capture_output=True)
    assert not restores(store.layout, tmp_path)


def test_writers_that_die_in_their_commit_leave_a_replica_that_heals(
    store: Store, keeper: Keeper, tmp_path: Path
) -> None:
    for healed in range(1, 4):
        before = now()
        write(store)
        keeper.await_(lambda: restores(store.layout, tmp_path))
        die(store)
        if healed != 2:  # the one between is noticed without another writer
            write(store, 3)
        keeper.await_(lambda: keeper.state.restarts >= healed)  # noqa: B023 - called at once
        keeper.await_(lambda: restores(store.layout, tmp_path))
    write(store, 100)
    keeper.await_(lambda: restores(store.layout, tmp_path))
    keeper.await_(lambda: (keeper.state.verified_at or 0) > before)
    assert keeper.state.failure is None


def test_a_snapshot_that_a_killed_litestream_wrote_ahead_of_its_changes_hides_no_later_ones(
    store: Store, keeper: Keeper, tmp_path: Path
) -> None:
    """Litestream writes a snapshot before level 0 has the changes in it; `make crash` killed it in between."""
    write(store)
    keeper.await_(lambda: restores(store.layout, tmp_path))
    keeper.stop()
    shutil.rmtree(store.layout.replica / replica.SNAPSHOTS, ignore_errors=True)
    write(store)
    keeper.start()  # without a snapshot, it writes one
    keeper.await_(lambda: ends(store.layout, replica.SNAPSHOTS))
    keeper.stop(signal.SIGKILL)
    keeper.await_(lambda: not keeper.litestreams)
    (snapshot,) = ends(store.layout, replica.SNAPSHOTS)
    for end, path in ends(store.layout, replica.LEVEL_0).items():
        if end >= snapshot:
            path.unlink()
    write(store, 3)
    keeper.start()
    keeper.await_(lambda: restores(store.layout, tmp_path))
    write(store)
    keeper.await_(lambda: restores(store.layout, tmp_path))


def ends(layout: Layout, level: str) -> dict[str, Path]:
    """The files of a level of the replica, by the number of their last change."""
    return {path.stem.rpartition("-")[2]: path for path in (layout.replica / level).glob("*.ltx")}


def test_a_litestream_that_is_killed_is_started_anew(store: Store, keeper: Keeper, tmp_path: Path) -> None:
    """Without a write, which would show that nothing is copied."""
    (old,) = keeper.litestreams
    os.kill(old, signal.SIGKILL)
    keeper.await_(lambda: keeper.litestreams not in ([], [old]))
    write(store)
    keeper.await_(lambda: restores(store.layout, tmp_path))


def test_a_litestream_that_hangs_is_started_anew(store: Store, keeper: Keeper, tmp_path: Path) -> None:
    (old,) = keeper.litestreams
    os.kill(old, signal.SIGSTOP)
    write(store)
    keeper.await_(lambda: keeper.state.behind_since)
    keeper.await_(lambda: restores(store.layout, tmp_path))
    keeper.await_(lambda: keeper.state.behind_since is None)
    assert old not in keeper.litestreams


def test_a_suspended_litestream_is_noticed_without_a_write(keeper: Keeper) -> None:
    (old,) = keeper.litestreams
    os.kill(old, signal.SIGSTOP)
    keeper.await_(lambda: keeper.litestreams not in ([], [old]))


@pytest.mark.parametrize("what", ["removed", "emptied", "truncated"])
def test_a_replica_that_is_lost_is_begun_anew(store: Store, keeper: Keeper, tmp_path: Path, what: str) -> None:
    lose(store.layout.replica, what)
    write(store)
    if what == "truncated":  # nothing but a proof notices; the next one comes with a start
        os.kill(keeper.litestreams[0], signal.SIGKILL)
    keeper.await_(lambda: restores(store.layout, tmp_path))
    write(store)
    keeper.await_(lambda: restores(store.layout, tmp_path))


def lose(path: Path, what: str) -> None:
    if what == "removed":
        shutil.rmtree(path)
        return
    for file in path.rglob("*.ltx"):
        file.unlink() if what == "emptied" else os.truncate(file, 50)


def test_a_replica_that_cannot_be_restored_is_set_aside(store: Store, keeper: Keeper, tmp_path: Path) -> None:
    lose(store.layout.replica, "truncated")
    os.kill(keeper.litestreams[0], signal.SIGKILL)
    keeper.await_(lambda: keeper.state.failure)
    keeper.await_(lambda: replica.set_asides(store.layout))
    keeper.await_(lambda: keeper.state.failure is None)
    assert restores(store.layout, tmp_path)


def test_a_keeper_that_is_killed_takes_litestream_along(store: Store, keeper: Keeper, tmp_path: Path) -> None:
    keeper.stop(signal.SIGKILL)
    keeper.await_(lambda: keeper.litestreams == [])
    write(store)
    keeper.start()
    keeper.await_(lambda: restores(store.layout, tmp_path))


def test_there_is_one_keeper_at_a_time(store: Store, keeper: Keeper) -> None:
    second = Keeper(store).start()
    try:
        second.await_(lambda: "waiting" in second.log.read_text())
        assert len(keeper.litestreams) == 1
    finally:
        second.stop()
    assert len(keeper.litestreams) == 1


def test_what_was_written_last_is_copied_before_a_keeper_ends(store: Store, keeper: Keeper, tmp_path: Path) -> None:
    write(store)
    keeper.stop()
    assert restores(store.layout, tmp_path)


def test_a_wal_that_a_reader_holds_is_not_begun_over(store: Store, tmp_path: Path) -> None:
    """What a dying writer left must not be copied; the start waits until the reader has ended."""
    write(store)
    with closing(database.connect(store.layout.database, litestream=True)) as reader:
        die(store)
        write(store)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM audit").fetchone()
        keeper = Keeper(store).start()
        try:
            keeper.await_(lambda: "in use" in keeper.log.read_text())
            assert keeper.litestreams == []
            reader.execute("COMMIT")
            keeper.await_(lambda: restores(store.layout, tmp_path))
        finally:
            keeper.stop()


def test_faults_while_the_portal_writes_leave_nothing_out(store: Store, keeper: Keeper, tmp_path: Path) -> None:
    done = threading.Event()

    def write_on() -> None:
        while not done.wait(0.02):
            write(store)

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        for healed, happen in enumerate((die_beside, die_beside, kill_litestream), start=1):
            keeper.await_(lambda: keeper.litestreams)
            happen(store, keeper)
            keeper.await_(lambda: keeper.state.restarts >= healed)  # noqa: B023 - called at once
        shutil.rmtree(store.layout.replica)  # while the new Litestream may have looked at it, or not
    finally:
        done.set()
        writer.join()
    keeper.await_(lambda: restores(store.layout, tmp_path))


def die_beside(store: Store, keeper: Keeper) -> None:
    """As `die`, in a process that has no thread which holds a lock."""
    code = f"from tests.jobs.test_replicate import die_alone; die_alone({str(store.layout.root)!r})"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == -signal.SIGSYS


def die_alone(root: str) -> None:
    with Database(Layout(Path(root)).database, litestream=True).write() as tx:
        developers.add(tx, OPERATOR, f"dead{time.time_ns()}", "x" * 9000)
        dying.at_next_flush()


def kill_litestream(store: Store, keeper: Keeper) -> None:
    os.kill(keeper.litestreams[0], signal.SIGKILL)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which needs root")
def test_a_replica_whose_disk_was_full_catches_up(tmp_path: Path) -> None:
    """Litestream tries again after up to five minutes; a start does so at once."""
    store = make_store(tmp_path / "store", litestream=True)
    backups = store.layout.area("backups")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", backups], check=True)
    keeper = Keeper(store).start()
    try:
        keeper.await_(lambda: keeper.state.verified_at)
        with (backups / "filler").open("wb") as filler, suppress(OSError):
            while True:
                filler.write(os.urandom(1 << 16))
                filler.flush()
        write(store, 200)
        keeper.await_(lambda: keeper.state.behind_since)
        (backups / "filler").unlink()
        keeper.await_(lambda: restores(store.layout, tmp_path))
        keeper.await_(lambda: keeper.state.behind_since is None)
    finally:
        keeper.stop()
        subprocess.run(["umount", backups], check=True)


def test_a_copy_that_fails_again_and_again_makes_no_progress() -> None:
    progress, start, later = Progress(), Position(b"salt", 32), Position(b"salt", 4152)
    assert progress.advances(start, 0)
    assert [progress.advances(start, under_way) for under_way in (0, 4096, 8192, 0, 4096, 8192, 0)] == [
        False, True, True, False, False, False, False,
    ]  # fmt: skip
    assert progress.advances(later, 0)


def put_back(store: Store, old: Path) -> None:
    """As an operator does with a copy that he made himself."""
    store.db.close()
    for path in store.layout.area("data").glob("portal.db*"):
        path.unlink()
    shutil.copyfile(old, store.layout.database)


@pytest.mark.parametrize("stopped", [True, False])
def test_what_an_old_database_lacks_is_kept_and_restored(store: Store, tmp_path: Path, stopped: bool) -> None:
    with closing(database.connect(store.layout.database, litestream=True)) as db:
        db.execute("VACUUM INTO ?", (str(tmp_path / "old.db"),))
    keeper = Keeper(store).start()
    try:
        keeper.await_(lambda: keeper.state.verified_at)
        write(store, 5)
        keeper.await_(lambda: restores(store.layout, tmp_path))
        lost = content(store.layout.database)
        if stopped:
            keeper.stop()
        put_back(store, tmp_path / "old.db")
        keeper.start() if stopped else None
        keeper.await_(lambda: replica.set_asides(store.layout))
        write(store)
        keeper.await_(lambda: restores(store.layout, tmp_path))
        store.db.close()
    finally:
        keeper.stop()
    report = restore.restore(store.settings, replace_database=True)
    assert report.database and "portal-until-" in report.database.name
    assert any("has another history" in note for note in report.database.notes)
    restored = content(store.layout.database)
    assert set(lost) - set(restored) <= {line for line in lost if "sqlite_sequence" in line}
    keeper.start()
    try:
        keeper.await_(lambda: restores(store.layout, tmp_path))
    finally:
        keeper.stop()


@pytest.mark.parametrize("why", ["a stop", "a kill", "a restore of an earlier time"])
def test_a_replica_without_changes_that_the_store_lacks_is_continued(store: Store, tmp_path: Path, why: str) -> None:
    keeper = Keeper(store).start()
    try:
        keeper.await_(lambda: keeper.state.verified_at)
        until = now()
        while now() <= until + 1:
            time.sleep(0.1)
        write(store)
        keeper.await_(lambda: restores(store.layout, tmp_path))
        keeper.stop(signal.SIGKILL if why == "a kill" else signal.SIGTERM)
        store.db.close()
        if why.startswith("a restore"):
            assert restore.restore(store.settings, replace_database=True, until=until).database
        began = keeper.state.verified_at or 0
        write(store)
        keeper.start()
        keeper.await_(lambda: (keeper.state.verified_at or 0) > began)
        assert restores(store.layout, tmp_path)
        assert replica.set_asides(store.layout) == []
    finally:
        keeper.stop()


def test_what_starts_litestream_anew() -> None:
    """A WAL that grows, whatever Litestream reports, is one of the symptoms."""
    well = Sight(
        ended=False, suspended=False, writer_died=False, stalled=False, lost=False, replaced=False, wal_bytes=0
    )
    assert [symptom.text for symptom in SYMPTOMS if symptom.found(well)] == []
    ill = dataclasses.replace(well, wal_bytes=thresholds.WAL_BYTES_MAX + 1)
    assert [symptom.text for symptom in SYMPTOMS if symptom.found(ill)] == ["the WAL is too large"]
