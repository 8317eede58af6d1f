"""A drill finds what a restore would not bring back, before anybody needs it, and leaves the store alone."""

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from portal.jobs import backup, drill, table, trial_portal
from portal.recovery import copies, drive
from portal.recovery.errors import BackupError
from portal.settings import Follow
from portal.store import audit, files
from portal.store.audit import OPERATOR
from portal.store.clock import now
from portal.store.store import Store
from tests.support import tampering
from tests.support.litestream import replicate
from tests.support.patience import PATIENCE
from tests.support.portal import MOSIS, Publisher, add_developer, children, environ, make_store, mosis

pytestmark = pytest.mark.seconds(70)


@pytest.fixture
def kept(published: Publisher) -> Store:
    """A store without a portal whose three packages are in every backup there is."""
    store = published.portal.store
    published.portal.stop()
    backup.database(store)
    backup.packages(store)
    replicate(store.layout)
    return store


COST = "of changes, back in [0-9]+ s"


def later(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    at = now() + seconds
    monkeypatch.setattr(drill, "now", lambda: at)


def snapshot(store: Store) -> Path:
    return copies.snapshots(store.layout.snapshots)[0]


def content(store: Store) -> dict[Path, bytes]:
    kept = [path for area in ("packages", "assets", "backups") for path in store.layout.area(area).rglob("*")]
    return {path: path.read_bytes() for path in kept if path.is_file()}


def test_every_copy_and_every_file_is_looked_at(kept: Store) -> None:
    before = content(kept)
    ran = mosis(kept, "drill")
    assert ran.returncode == 0, ran.stderr
    name = snapshot(kept).name
    *lines, figures = ran.stdout.splitlines()
    served = lines.pop(3)
    assert lines == [
        "Litestream replica can be restored",
        f"snapshot {name} can be restored",
        f"snapshot {name} on the drive can be restored",
        "3 files on the drive are good",
    ]
    assert re.fullmatch("a portal on the newest of them served org.example.app 2", served)
    assert re.fullmatch(f"loss of the database: 0 s {COST}; .*; loss of the whole disk: 0 s {COST}", figures)
    assert content(kept) == before
    assert list(kept.layout.area("temp").glob("drill-*")) == []


def test_monitoring_knows_what_a_loss_would_cost(kept: Store, published: Publisher) -> None:
    published.portal.start()
    with kept.db.write() as tx:
        audit.append(tx, OPERATOR, "test", "test")
    drill.drill(kept)
    text = published.client.get("/metrics").text
    for kind in ("replica", "snapshot", "drive"):
        for metric in ("recovery_point", "recovery_time"):
            assert re.search(f'^mosis_restore_drill_{metric}_seconds{{kind="{kind}"}} [0-9.]+$', text, re.MULTILINE)
    status = mosis(kept, "status").stdout
    assert re.search(f"recovery +loss of the database: [0-9]+ s {COST}", status)


def test_nothing_of_the_portal_stays(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as place:  # of its own: other tests use the common one at the same time
        monkeypatch.setattr(tempfile, "tempdir", place)
        before = processes()
        assert drill.drill(kept).package == "org.example.app 2"
        assert (processes(), list(Path(place).iterdir())) == (before, [])


def test_the_portal_ends_with_a_rehearsal_that_is_killed(kept: Store) -> None:
    with tempfile.TemporaryDirectory() as place:
        running = subprocess.Popen([MOSIS, "drill"], env=environ(kept, TMPDIR=place), stdout=subprocess.DEVNULL)
        wait_for(lambda: len(descendants(running.pid)) >= 2)  # the portal and its worker
        portal = descendants(running.pid)
        running.kill()
        running.wait()
        wait_for(lambda: not any(is_alive(pid) for pid in portal))


@pytest.mark.parametrize("name", ["short", "long" * 30])
def test_a_socket_is_below_temp_unless_the_path_is_too_long(tmp_path: Path, name: str) -> None:
    with tempfile.TemporaryDirectory() as short, trial_portal._place(Path(short, name)) as place:
        assert (place == Path(short, name)) == (name == "short")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def processes() -> set[int]:
    return set(descendants(os.getpid()))


def descendants(pid: int) -> list[int]:
    try:
        own = children(pid)
    except FileNotFoundError:
        return []
    return own + [pid for child in own for pid in descendants(child)]


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_a_store_without_a_published_version_has_a_portal_that_is_ready(store: Store) -> None:
    backup.database(store)
    assert drill.drill(store).package is None


def test_monitoring_knows_when(kept: Store, published: Publisher) -> None:
    name, began = "mosis_restore_drill_last_success_timestamp_seconds", now()
    portal = published.portal.start()
    assert f"{name} 0.0" in published.client.get("/metrics").text
    drill.drill(kept)
    [line] = [line for line in published.client.get("/metrics").text.splitlines() if line.startswith(name)]
    assert began <= float(line.split()[1]) <= now()
    portal.stop()
    snapshot(kept).write_bytes(b"damaged")
    with pytest.raises(BackupError):
        drill.drill(kept)
    status = mosis(kept, "status").stdout
    [line] = [line for line in status.splitlines() if " drill " in line]
    assert "last success 2" in line and "damaged" not in line.split("failed")[0] and "cannot be read" in line


def damage_replica(store: Store) -> None:
    for path in store.layout.replica.rglob("*.ltx"):
        path.write_bytes(path.read_bytes()[:-8])


def damage_snapshot(store: Store) -> None:
    path = snapshot(store)
    path.write_bytes(path.read_bytes()[:5000])


def rewrite_history(store: Store) -> None:
    tampering.rewrite_history(snapshot(store))


def take_another_store_s(store: Store) -> None:
    other = make_store(store.layout.root.parent / "other")
    add_developer(other, "other")
    shutil.copyfile(backup.database(other), snapshot(store))


def take_a_newer_release_s(store: Store) -> None:
    with closing(sqlite3.connect(snapshot(store))) as copy:
        copy.executescript("INSERT INTO migrations VALUES (99, 99); PRAGMA user_version = 99")


def package_on_the_drive(store: Store, code: int) -> Path:
    return drive.trees(store.settings.backup)[0] / "packages/acme/org.example.app" / str(code) / "package.mosis"


def damage_package(store: Store) -> None:
    files.write_file(package_on_the_drive(store, 1), b"bit rot")


def damage_all_packages(store: Store) -> None:
    for code in (1, 2):
        files.write_file(package_on_the_drive(store, code), b"bit rot")
        files.write_file(store.layout.package("acme", "org.example.app", code), b"bit rot")


def lose_an_old_package(store: Store) -> None:
    package_on_the_drive(store, 2).unlink()
    yesterday = now() - table.BY_NAME["backup-packages"].max_age - 60
    os.utime(store.layout.package("acme", "org.example.app", 2), (yesterday, yesterday))


def pull_the_drive(store: Store) -> None:
    (store.settings.backup.directory / drive.MARKER).unlink()


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (damage_replica, "Litestream replica: litestream ended with"),
        (damage_snapshot, "snapshot .* cannot be read|snapshot .* is damaged"),
        (rewrite_history, "snapshot .*: row 2 of its audit log"),
        (take_another_store_s, "snapshot .*: its row [0-9]+ of the audit log is not this store's"),
        (take_a_newer_release_s, "upgrade the program"),
        (damage_package, "org.example.app/1/package.mosis is damaged.*`mosis scrub --repair` mends"),
        (damage_all_packages, "Of the current packages of 1 apps none has a good copy"),
        (lose_an_old_package, "org.example.app/2/package.mosis is missing"),
        (pull_the_drive, "The drive is away"),
    ],
)
def test_what_would_not_come_back_is_named(kept: Store, harm: Callable[[Store], None], reason: str) -> None:
    harm(kept)
    with pytest.raises(BackupError, match=reason):
        drill.drill(kept)
    assert list(kept.layout.area("temp").glob("drill-*")) == []


def test_a_copy_that_only_a_portal_cannot_use_is_named(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_portal, "READY_SECONDS", 10)
    shutil.rmtree(kept.layout.replica)
    for path in (snapshot(kept), *copies.on_drive(kept.settings)):
        with closing(sqlite3.connect(path)) as copy:
            copy.executescript("PRAGMA foreign_keys = OFF; DROP TABLE developers")
    with pytest.raises(BackupError, match="A portal on the restored database does not become ready"):
        drill.drill(kept)


def test_what_is_younger_than_the_last_night_is_no_fault(kept: Store) -> None:
    package_on_the_drive(kept, 3).unlink()
    assert drill.drill(kept).files == 2


@pytest.mark.parametrize(
    ("kind", "name"), [("replica", "Litestream replica"), ("snapshot", "snapshot"), ("drive", "on the drive")]
)
def test_a_copy_that_stood_still_is_a_fault(kept: Store, monkeypatch: pytest.MonkeyPatch, kind: str, name: str) -> None:
    add_developer(kept, "late", key=None)
    drill.drill(kept)
    bound = int(drill.lag_max(kept.settings)[kind])
    monkeypatch.setattr(
        drill, "lag_max", lambda _: dict.fromkeys(("replica", "snapshot", "drive"), 10**9) | {kind: bound}
    )
    later(monkeypatch, bound + 5)
    with pytest.raises(BackupError, match=f"{name}.*a change that was made [0-9]+ s ago is not in it"):
        drill.drill(kept)


def test_nothing_to_restore_is_a_fault(store: Store) -> None:
    with pytest.raises(BackupError, match="There is no copy"):
        drill.drill(store)


def test_a_standby_rehearses_nothing(store: Store) -> None:
    follow = Follow(store="store.example.org", ssh_config="/none")
    following = Store(store.settings.model_copy(update={"follow": follow}), store.layout, store.db)
    with pytest.raises(BackupError, match="follows a store"):
        drill.drill(following)
