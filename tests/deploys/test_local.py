"""The runtime `local`, really deployed: it converges, mends drift, and restarts what a failed run did not."""

import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from portal.jobs import log_rotation
from tests.deploys.local_store import ANSWERING, RUNNING, LocalStore, local_store, until

pytestmark = pytest.mark.seconds(300)


@pytest.fixture
def store() -> Iterator[LocalStore]:
    with local_store() as fresh:
        yield fresh


def test_from_nothing_to_a_store_to_nothing_to_do(store: LocalStore) -> None:
    planned = store.deploy(dry=True)
    assert planned.code == 0, planned.output
    assert not store.root.exists()

    first = store.deploy()
    assert first.code == 0, first.output
    assert first.changed == planned.changed
    assert store.get("/readyz") == 200
    token = store.root / "secrets/admin-token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text().startswith("mosis_")
    assert token.read_text().strip() not in first.output
    with closing(sqlite3.connect(store.root / "data/portal.db")) as db:
        [(days,)] = db.execute("SELECT (expires_at - created_at) / 86400 FROM tokens")
    assert days == 90

    running = store.pids()
    second = store.deploy()
    assert (second.code, second.changed) == (0, ()), second.output
    kept = token.rename(token.with_name("kept elsewhere"))
    assert store.deploy(dry=True).changed == ()
    kept.rename(token)
    assert store.pids() == running


def test_jobs_that_are_due_run_and_nginx_opens_a_new_log(deployed: LocalStore) -> None:
    log = deployed.root / "log/access.log"
    if ANSWERING.startswith("nginx"):
        os.truncate(log, log_rotation.BYTES_MAX + 1)
    with closing(sqlite3.connect(deployed.root / "data/portal.db")) as db:
        db.execute("REPLACE INTO job_runs (job, success_at) VALUES ('cleanup', 1)")
        db.commit()
    jobs = deployed.root / "log/jobs.log"
    before = jobs.read_text().count(" cleanup succeeded after ")
    os.kill(deployed.pids()["jobs"], signal.SIGKILL)  # the next one finds what was missed
    until(lambda: jobs.read_text().count(" cleanup succeeded after ") > before)
    assert deployed.deploy().changed == ()
    if ANSWERING.startswith("nginx"):
        subprocess.run([deployed.root / "bin/mosis", "rotate", log, deployed.root / "run/nginx.pid"], check=True)
        assert log.with_name("access.log.1").stat().st_size > log_rotation.BYTES_MAX
        until(log.exists)
        assert deployed.get("/readyz") == 200
        until(lambda: "GET /readyz" in log.read_text())


def test_drift_is_shown_and_mended(deployed: LocalStore) -> None:
    running = deployed.pids()
    (deployed.root / "etc/litestream.yml").write_text("dbs: []\n")
    (deployed.root / "bin/mosis").unlink()
    (deployed.root / "secrets").chmod(0o755)
    planned = deployed.deploy(dry=True)
    mended = deployed.deploy()
    assert mended.code == 0, mended.output
    assert (
        set(mended.changed)
        == set(planned.changed)
        == {
            f"Base | Directory {deployed.root}/secrets",
            f"Local | File {deployed.root}/etc/litestream.yml",
            f"Local | File {deployed.root}/bin/mosis",
            RUNNING,
        }
    )
    after = deployed.pids()
    assert {name for name in running if running[name] != after[name]} == {"litestream"}
    assert deployed.deploy().changed == ()


def test_a_file_from_the_future_is_written_now(deployed: LocalStore) -> None:
    """As the clock was ahead when it was deployed: it would be younger than the portal in every deploy to come."""
    later = time.time() + 10 * 24 * 3600
    os.utime(deployed.root / "etc/mosis.toml", (later, later))
    mended = deployed.deploy()
    assert mended.code == 0, mended.output
    assert RUNNING in mended.changed
    assert deployed.deploy().changed == ()
    assert (deployed.root / "etc/mosis.toml").stat().st_mtime <= time.time()


def test_nothing_that_a_program_reads_stays_from_the_future(store: LocalStore) -> None:
    """The virtual environment too, which no deploy writes; here it is one of the test's own."""
    environment = store.root.with_name("environment")
    environment.mkdir()
    for name in ("bin", "lib"):
        (environment / name).symlink_to(Path(sys.prefix, name))
    made = Path(shutil.copy(Path(sys.prefix, "pyvenv.cfg"), environment))
    later = time.time() + 10 * 24 * 3600
    os.utime(made, (later, later))
    first = store.deploy(python=f"{environment}/bin/python")
    assert first.code == 0, first.output
    assert store.deploy(python=f"{environment}/bin/python").changed == ()
    assert made.stat().st_mtime <= time.time()


def test_a_failed_run_repeated_restarts_what_it_would_have(deployed: LocalStore) -> None:
    """The first run writes the new settings and then fails; nothing is left to write for the second."""
    before = deployed.pids()
    command = deployed.root / "bin/mosis"
    command.unlink()
    command.mkdir()  # where a file must be: the run stops before the restart
    settings = {"ROOT": str(deployed.root), "PORT": str(deployed.port + 1)}
    failed = deployed.deploy(environment=settings)
    assert failed.code != 0
    assert deployed.pids() == before

    command.rmdir()
    repeated = deployed.deploy(environment=settings)
    assert repeated.code == 0, repeated.output
    assert not [name for name in repeated.changed if "mosis.toml" in name]
    after = deployed.pids()
    assert {name for name in before if before[name] != after[name]} == {"portal", "nginx"} & before.keys()
    assert deployed.deploy().code == 0


def test_a_checkout_that_is_too_old_for_the_database_changes_nothing(deployed: LocalStore) -> None:
    before = deployed.pids()
    with closing(sqlite3.connect(deployed.root / "data/portal.db")) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.executescript("INSERT INTO migrations VALUES (99, 98); PRAGMA user_version = 99;")
    run = deployed.deploy(environment={"ROOT": str(deployed.root), "PORT": str(deployed.port + 1)})
    assert run.code != 0
    assert "the database has schema 99, for releases of schema 98 and newer" in run.output
    assert str(deployed.port) in (deployed.root / "etc/mosis.toml").read_text() and deployed.pids() == before
    with closing(sqlite3.connect(deployed.root / "data/portal.db")) as db:
        db.executescript(f"DELETE FROM migrations WHERE number = 99; PRAGMA user_version = {version};")


def test_a_port_of_somebody_else_stops_before_anything_changes(store: LocalStore) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", store.port))
        taken.listen()
        run = store.deploy()
    assert run.code == 1
    assert f"Port {store.port} is taken by" in run.output
    assert "Traceback" not in run.output
    assert not store.root.exists()


def test_a_root_that_is_no_directory_stops_before_anything_changes(store: LocalStore) -> None:
    store.root.write_text("a file\n")
    run = store.deploy()
    assert run.code == 1
    assert f"The root {store.root} cannot be written" in run.output
    assert "Traceback" not in run.output
    assert store.root.read_text() == "a file\n"


def test_a_directory_of_somebody_stays_as_it_is(store: LocalStore) -> None:
    store.root.mkdir(mode=0o755)
    store.root.joinpath("photo.jpg").write_text("a photo\n")
    run = store.deploy()
    assert run.code == 1
    assert f"The root {store.root} is neither a store nor empty: it contains photo.jpg." in run.output
    assert "Traceback" not in run.output
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o755
    assert [path.name for path in store.root.iterdir()] == ["photo.jpg"]
