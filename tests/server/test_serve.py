"""The processes of `mosis serve`."""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

from portal.jobs.alone import alone
from portal.server import serve
from portal.server.options import DRAIN_SECONDS
from portal.settings import METRICS_VARIABLE
from portal.store import apps, database, developers, schema
from portal.store.store import Store
from tests.support import publishing
from tests.support.patience import PATIENCE
from tests.support.portal import (
    MOSIS,
    Portal,
    add_developer,
    children,
    environ,
    free_port,
    make_store,
    mosis,
    only_publisher,
)


@pytest.fixture
def own_portal(tmp_path: Path) -> Iterator[Portal]:
    portal = Portal(make_store(tmp_path / "store", port=free_port())).start()
    yield portal
    portal.stop(signal.SIGKILL)


def test_a_killed_server_takes_its_workers_along(own_portal: Portal) -> None:
    workers = children(own_portal.process.pid)
    assert len(workers) == own_portal.store.settings.workers
    waits = [os.pidfd_open(worker) for worker in workers]
    os.kill(own_portal.process.pid, signal.SIGKILL)
    own_portal.process.wait(30)
    for wait in waits:
        assert select.select([wait], [], [], 30)[0], "a worker outlives its server"
        os.close(wait)
    own_portal.start()


def test_a_server_that_is_still_starting_can_be_stopped(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", port=free_port())
    log = tmp_path / "log"
    with log.open("wb") as output:
        server = subprocess.Popen([MOSIS, "serve"], env=environ(store), stderr=output, stdout=output)
    try:
        while not children(server.pid):
            assert server.poll() is None, log.read_text()
        server.terminate()
        server.wait(DRAIN_SECONDS - 5)  # sooner than it would kill a worker that does not stop
    finally:
        server.kill()
    assert "Spawning worker-1" in log.read_text()
    assert "quite high" not in log.read_text() and "see ya" not in log.read_text(), "an operator cannot act on that"


def test_a_killed_worker_is_replaced(own_portal: Portal) -> None:
    first = set(children(own_portal.process.pid))
    ended = os.pidfd_open(min(first))
    os.kill(min(first), signal.SIGKILL)
    select.select([ended], [], [])  # until then it takes connections, which its end resets
    os.close(ended)
    deadline, answered = time.monotonic() + PATIENCE, False
    with own_portal.client() as client:
        while not answered or len(found := set(children(own_portal.process.pid))) < len(first) or found == first:
            assert time.monotonic() < deadline
            with suppress(httpx.TransportError):  # each worker has a listener of its own, and the killed one's is gone
                answered = client.get("/healthz").status_code == 200


def test_a_start_removes_no_file_that_a_job_is_writing(tmp_path: Path) -> None:
    """A portal that started while the cleanup wrote a record removed the record's unfinished file."""
    portal = Portal(make_store(tmp_path / "store", port=free_port()))
    unfinished, upload = (portal.store.layout.area("temp") / name for name in (".app.json.1234.0123abcd", 32 * "a"))
    unfinished.touch()
    upload.mkdir()
    try:
        with alone(portal.store, "cleanup"):
            portal.start()
            portal.stop()
        assert unfinished.exists()
        assert not upload.exists(), "no job writes uploads of forms"
        portal.start()
        assert not unfinished.exists()
    finally:
        portal.stop(signal.SIGKILL)


def test_a_store_without_database_is_not_served(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    store.db.close()
    store.layout.database.unlink()
    ran = mosis(store, "serve")
    assert ran.returncode == 1
    assert "mosis setup" in ran.stderr
    assert not store.layout.database.exists()


def later(store: Store) -> None:
    """What a newer release may do: a column more in every table, and a table more."""
    number = len(schema.migrations()) + 1
    with closing(database.connect(store.layout.database, litestream=False)) as connection:
        tables = [row["name"] for row in connection.execute("PRAGMA table_list") if row["strict"]]
        assert {"versions", "uploads", "audit", "job_runs"} <= set(tables)
        added = "".join(f"ALTER TABLE {table} ADD COLUMN later TEXT;" for table in tables if table != "migrations")
        said = f"INSERT INTO migrations VALUES ({number}, {number - 1}); PRAGMA user_version = {number};"
        connection.executescript(f"BEGIN; CREATE TABLE later (later TEXT) STRICT; {added} {said} COMMIT;")


def test_a_release_serves_and_starts_beside_what_a_newer_one_added(own_portal: Portal, tmp_path: Path) -> None:
    store = own_portal.store
    with only_publisher(own_portal, tmp_path) as publisher:
        first = publisher.package(1)
        publisher.upload(first).raise_for_status()
        later(store)
        publisher.step(1, "submit").raise_for_status()
        own_portal.stop(signal.SIGKILL)
        own_portal.start()
        publisher.reviewer = own_portal.client(add_developer(store, "reviewer", key=None, scope="reviewer"))
        with publisher.reviewer:
            publisher.step(1, "publish").raise_for_status()
            second = publisher.publish(2)
        info = publisher.client.get(f"/api/store/apps/{publisher.app_id}").raise_for_status().json()
        assert publisher.client.get(info["download_url"]).content == second.read_bytes()
    for command in (("cleanup",), ("backup", "database"), ("audit", "verify"), ("status",), ("setup",)):
        ran = mosis(store, *command)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"schema {len(schema.migrations()) + 1} beside this release's" in mosis(store, "status").stdout


def test_a_release_that_starts_on_an_older_schema_migrates_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = schema.migrations()
    monkeypatch.setattr(schema, "migrations", lambda: steps[:-1])
    store = make_store(tmp_path / "store", port=free_port())
    add_developer(store, "acme")
    store.db.close()
    monkeypatch.undo()
    assert mosis(store, "status").returncode == 1
    told = json.loads(mosis(store, "setup", "--check").stdout)
    assert (told["pending"], told["schema"], told["wanted"]) == (True, len(steps) - 1, len(steps))
    portal = Portal(store).start()
    portal.stop()
    [copy] = store.layout.snapshots.glob(f"before-schema-{len(steps)}-*.db")
    assert [schema.found(path).number for path in (copy, store.layout.database)] == [len(steps) - 1, len(steps)]
    assert not json.loads(mosis(store, "setup", "--check").stdout)["pending"]
    assert developers.get(store.db.read(), "acme")


def test_a_start_indexes_what_a_crash_left_after_a_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(tmp_path / "store", socket=str(tmp_path / "portal.sock"))
    add_developer(store, publishing.OWNER.developer_id)
    publishing.add_app(store, "org.example.app")
    publishing.publish(store, "org.example.app", 1, name="Reader", payload_bytes=1)
    with store.db.write() as tx:
        tx.execute("DELETE FROM apps_words")
        tx.execute("INSERT INTO apps_unindexed SELECT number FROM apps")
    monkeypatch.setattr(serve, "_run", lambda *_: None)
    monkeypatch.setenv(METRICS_VARIABLE, "")  # so that what the server sets ends with the test
    serve.serve(store.settings)
    assert [app.app_id for app in apps.published(store.db.read(), query="reader", limit=9)] == ["org.example.app"]
    store.db.close()


def test_a_release_too_old_for_the_database_neither_serves_nor_changes_it(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    number = len(schema.migrations()) + 1
    store.db.read().executescript(f"INSERT INTO migrations VALUES ({number}, {number}); PRAGMA user_version = {number}")
    store.db.close()
    for command in (("serve",), ("setup",), ("cleanup",)):
        ran = mosis(store, *command)
        assert ran.returncode == 1
        assert f"which requires a program of schema {number} or newer" in ran.stderr
    assert not store.layout.snapshots.exists()
