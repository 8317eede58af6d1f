"""What `mosis status` reports about the jobs of a host, its replica, and a store that it cannot read."""

import dataclasses
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portal import thresholds
from portal.jobs import catalogue_keys, status, status_copies, table
from portal.jobs.catalogue import catalogue
from portal.jobs.status_line import Line
from portal.jobs.table import Job
from portal.recovery import copies, replica
from portal.recovery.replica import State
from portal.settings import parse
from portal.store import audit, job_runs, tokens
from portal.store.clock import now
from portal.store.store import Store
from tests.packages.samples import KEY
from tests.support.clock import move
from tests.support.portal import add_developer, free_port, make_store
from tests.support.small_disk import SmallDisk

OF_A_STORE = [job for job in table.JOBS if job.needs == "a store"]


def line_of(store: Store, name: str) -> Line:
    return lines_of(store)[name]


def lines_of(store: Store) -> dict[str, Line]:
    return {line.name: line for line in status.status(store.settings)}


def clock(monkeypatch: pytest.MonkeyPatch, ahead: int) -> None:
    at = now() + ahead
    for module in (status, status_copies):
        monkeypatch.setattr(module, "now", lambda: at)


@pytest.mark.parametrize("job", OF_A_STORE, ids=lambda job: job.name)
def test_a_job_is_overdue_when_it_has_not_run_in_its_time(
    job: Job, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with job_runs.recorded(store.db, job.name):
        pass
    clock(monkeypatch, job.max_age - 60)
    assert line_of(store, job.name).ok
    clock(monkeypatch, job.max_age + 60)
    line = line_of(store, job.name)
    assert not line.ok and line.text.startswith("overdue, last success 2")


@pytest.mark.parametrize("job", OF_A_STORE, ids=lambda job: job.name)
def test_a_job_that_never_ran_is_a_fault_once_the_store_is_older_than_it_may_be(
    job: Job, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert line_of(store, job.name).ok  # nothing has happened in this store
    add_developer(store, "acme")
    clock(monkeypatch, job.max_age - 60)
    assert line_of(store, job.name).ok
    clock(monkeypatch, job.max_age + 60)
    line = line_of(store, job.name)
    assert (line.ok, line.text) == (False, "has never run")


@pytest.mark.parametrize("content", [None, "", "one-line"])
def test_an_access_key_for_uploads_that_is_of_no_use_is_a_fault(content: str | None, tmp_path: Path) -> None:
    """Every upload through the bucket answers 503 then, and no job notices."""
    store, jobs, uploads = mirrored(tmp_path)
    assert "access keys" not in lines_of(store)
    uploads.unlink()
    if content is not None:
        uploads.write_text(content)
    line = line_of(store, "access keys")
    assert not line.ok and "uploads through mosis-private answer 503" in line.text and str(uploads) in line.text
    jobs.unlink()
    assert str(jobs) not in line_of(store, "access keys").text, "the portal's container does not have it"


def test_an_access_key_that_others_may_read_is_a_fault(tmp_path: Path) -> None:
    store, jobs, _ = mirrored(tmp_path)
    jobs.chmod(0o644)
    line = line_of(store, "access keys")
    assert (line.ok, line.text) == (False, f"{jobs} is readable by others: run `chmod 600` on it")


def mirrored(place: Path) -> tuple[Store, Path, Path]:
    """A store with both buckets, and the files of their access keys."""
    files = place / "jobs", place / "uploads"
    for file in files:
        file.write_text("access\nsecret\n")
        file.chmod(0o600)
    mirror = {"endpoint": "http://127.0.0.1:9", "bucket": "mosis", "private_bucket": "mosis-private"}
    paths = {"credentials": str(files[0]), "upload_credentials": str(files[1])}
    return make_store(place / "store", mirror=mirror | paths), *files


@pytest.mark.parametrize("name", ["timestamp.json", "*.snapshot.json", "*.targets.json"])
@pytest.mark.parametrize("harm", [Path.unlink, Path.touch])
def test_a_catalogue_that_is_cut_is_a_fault(store: Store, name: str, harm: Callable[[Path], None]) -> None:
    """Also while the record of the last run says that everything is signed for weeks."""
    catalogue_keys.make(store, [KEY])
    catalogue(store)
    (store.settings.catalogue_key_directory / "root.pem").unlink(missing_ok=True)
    assert line_of(store, "signatures").ok
    for path in store.layout.catalogue.glob(f"metadata/{name}"):
        path.unlink()
        if harm is Path.touch:
            path.touch()
    line = line_of(store, "signatures")
    assert not line.ok and "which the next `mosis catalogue` mends" in line.text
    catalogue(store)
    assert line_of(store, "signatures").ok


def test_a_success_in_the_future_is_a_fault(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with job_runs.recorded(store.db, "drill"):
        pass
    clock(monkeypatch, -86400)
    line = line_of(store, "drill")
    assert not line.ok and "is in the future: the clock was wrong then, or is now" in line.text


def test_a_job_that_is_expected_in_the_future_is_a_fault(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would never become overdue."""
    move(monkeypatch, 10 * 365 * 86400)
    job_runs.expect(store.db, ["drill"])
    move(monkeypatch, 0)
    line = line_of(store, "drill")
    assert not line.ok and "in the future" in line.text


def test_a_copy_of_the_database_from_the_future_is_a_fault(store: Store) -> None:
    path = copies.write(store.db.read(), store.layout.snapshots, "portal")
    assert "copies" not in {line.name for line in status.status(store.settings)}
    path.rename(path.with_name(path.name.replace("portal-20", "portal-21")))
    line = line_of(store, "copies")
    assert (
        not line.ok
        and "portal-21" in line.text
        and "from the future, 1 in all" in line.text
        and "rename them" in line.text
    )


def test_a_failure_stands_until_the_next_success(store: Store) -> None:
    with pytest.raises(OSError), job_runs.recorded(store.db, "cleanup"):
        raise OSError("the disk is full")
    line = line_of(store, "cleanup")
    assert not line.ok and "last success never" in line.text and "the disk is full" in line.text
    with job_runs.recorded(store.db, "cleanup"):
        pass
    assert line_of(store, "cleanup").ok


def test_a_store_that_may_not_be_read_still_gets_its_lines(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    exists = Path.exists

    def refused(path: Path) -> bool:
        if path.is_relative_to(store.settings.root):
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", refused)
    line = line_of(store, "database")
    assert not line.ok and "Permission denied" in line.text
    assert line_of(store, "disk").ok


@pytest.mark.parametrize("socket", [True, False])
def test_a_portal_that_does_not_run_is_said_not_to(tmp_path: Path, socket: bool) -> None:
    place = {"socket": str(tmp_path / "portal.sock")} if socket else {"port": free_port()}
    [line] = [line for line in status.status(parse({"root": str(tmp_path), **place})) if line.name == "portal"]
    assert not line.ok and "does not run" in line.text and "Errno" not in line.text


def test_a_disk_that_is_read_only_is_a_fault(small_disk: SmallDisk) -> None:
    settings = parse({"root": str(small_disk.seen)})
    small_disk.run("mount", "-o", "remount,ro", small_disk.path)
    [line] = [line for line in status.status(settings) if line.name == "disk"]
    assert not line.ok and "is read-only" in line.text


def test_a_disk_that_refuses_writes_without_the_flag_of_a_read_only_one_is_a_fault(small_disk: SmallDisk) -> None:
    data = small_disk.path / "data"
    small_disk.run("mkdir", data)
    small_disk.run("mount", "--bind", data, data)
    small_disk.run("mount", "-o", "remount,bind,ro", data)
    [line] = [line for line in status.status(parse({"root": str(small_disk.seen)})) if line.name == "disk"]
    assert not line.ok and "is read-only" in line.text


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[Store]:
    """A store whose replica was proved just now, and whose `mosis replicate` runs."""
    store = make_store(tmp_path / "store", litestream=True)
    replica.write(store.layout, State(started_at=now(), verified_at=now(), head=1))
    with store.layout.replicate_lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield store


def test_a_replica_that_was_proved_is_good_until_proofs_are_missing(
    replicated: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock(monkeypatch, State().max_age - 10)
    assert line_of(replicated, "replica").ok
    clock(monkeypatch, State().max_age + 10)
    assert not line_of(replicated, "replica").ok


def test_a_replica_need_not_be_proved_in_the_first_minutes(replicated: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    replica.write(replicated.layout, State(started_at=now()))
    assert line_of(replicated, "replica").text == "not proved yet"
    assert line_of(replicated, "replica").ok
    clock(monkeypatch, State().max_age + 10)
    assert not line_of(replicated, "replica").ok


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"failure": "row 3 is not this store's"}, "the last proof failed: row 3 is not this store's"),
        ({"behind_since": now() - thresholds.REPLICA_LAG_SECONDS_MAX - 5}, "s behind the database"),
    ],
)
def test_what_is_known_of_a_bad_replica_is_a_fault(replicated: Store, state: dict[str, object], text: str) -> None:
    replica.write(replicated.layout, dataclasses.replace(replica.read(replicated.layout), **state))
    line = line_of(replicated, "replica")
    assert not line.ok and text in line.text


def test_a_wal_that_grows_without_end_is_a_fault(replicated: Store) -> None:
    add_developer(replicated, "acme")  # the connection keeps the WAL
    with replicated.layout.wal.open("ab") as wal:
        wal.truncate(thresholds.WAL_BYTES_MAX + 1)
    line = line_of(replicated, "replica")
    assert not line.ok and "the WAL has 268 MB" in line.text


def test_a_store_that_nobody_replicates_is_a_fault(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", litestream=True)
    replica.write(store.layout, State(started_at=now(), verified_at=now(), head=1))
    line = line_of(store, "replica")
    assert not line.ok and "does not run" in line.text


def test_a_store_whose_admin_tokens_have_ended_says_so(store: Store) -> None:
    assert "tokens" not in lines_of(store)  # this one never had any
    add_developer(store, "olga", None, "admin")
    assert "tokens" not in lines_of(store)
    with store.db.write() as tx:
        tx.execute("UPDATE tokens SET expires_at = 1")
    line = line_of(store, "tokens")
    assert line.ok and "no admin token is valid" in line.text
    add_developer(store, "ola", None, "admin")
    assert "tokens" not in lines_of(store)


def test_a_token_in_use_is_named_before_it_ends(store: Store) -> None:
    text = add_developer(store, "acme", key=None)  # for a day
    token = tokens.authenticate(store.db.read(), text)
    assert token is not None
    assert "tokens" not in {line.name for line in status.status(store.settings)}
    tokens.note_use(store.db.read(), token)
    line = line_of(store, "tokens")
    assert line.ok
    assert f"{token.token_id} of acme" in line.text
    with store.db.write() as tx:
        tokens.revoke(tx, audit.OPERATOR, "acme", token.token_id)
    assert "tokens" not in {line.name for line in status.status(store.settings)}
