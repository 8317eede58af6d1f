"""The runtime `local`, really deployed: it converges, mends drift, restarts what a failed run did not, and stops."""

import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from deploys.remote import down
from portal.jobs import log_rotation
from tests.deploys.local_store import LocalStore, local_store

pytestmark = pytest.mark.seconds(400)

ANSWERING = (
    "nginx, portal" if shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin") else "portal alone"
)
RUNNING = f"Local | Programs run as declared: {ANSWERING}, Litestream"


@pytest.fixture
def store() -> Iterator[LocalStore]:
    with local_store() as fresh:
        yield fresh


class Shared:
    """One deployed store for tests that leave it as declared; after a test that failed, another one."""

    def __init__(self) -> None:
        self._place = ExitStack()
        self._store: LocalStore | None = None

    def get(self) -> LocalStore:
        if self._store is None:
            store = self._place.enter_context(local_store())
            run = store.deploy()
            assert run.code == 0, run.output
            self._store = store
        return self._store

    def drop(self) -> None:
        self._store = None
        self._place.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    shared = Shared()
    yield shared
    shared.drop()


@pytest.fixture
def deployed(shared: Shared, request: pytest.FixtureRequest) -> Iterator[LocalStore]:
    failed = request.session.testsfailed
    yield shared.get()
    if request.session.testsfailed > failed:
        shared.drop()


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

    running = store.pids()
    second = store.deploy()
    assert (second.code, second.changed) == (0, ()), second.output
    assert store.deploy(dry=True).changed == ()
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


def until(holds: Callable[[], bool]) -> None:
    """Fails the test where that does not come to hold within a minute."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_stopping_leaves_the_data_and_nothing_running(deployed: LocalStore, capsys: pytest.CaptureFixture[str]) -> None:
    """Through a link to the root, too; it says what it did."""
    link = deployed.root.with_name("link")
    link.symlink_to(deployed.root)
    running = down.ours(deployed.root)
    assert set(deployed.pids().values()) < running.keys()
    assert down.main(str(link)) is None
    assert capsys.readouterr().out == f"Stopped {len(running)} processes of {link}.\n"
    assert not down.ours(deployed.root)
    assert (deployed.root / "data/portal.db").exists()
    assert down.main(str(deployed.root)) is None
    assert capsys.readouterr().out == f"The store in {deployed.root} is not running.\n"
    fault = down.main(str(deployed.root.parent))
    assert fault and f"{deployed.root.parent} is not a store" in fault
    again = deployed.deploy()
    assert again.code == 0, again.output
    assert again.changed == (RUNNING,)


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


def test_a_stopped_or_killed_program_comes_back(deployed: LocalStore) -> None:
    before = deployed.pids()
    os.kill(before["supervisor"], signal.SIGKILL)
    mended = deployed.deploy()
    assert mended.code == 0, mended.output
    assert RUNNING in mended.changed
    assert not set(before.values()) & set(deployed.pids().values())
    assert deployed.get("/readyz") == 200
    assert deployed.deploy().changed == ()


@pytest.mark.parametrize("program", ["portal", "nginx", "supervisor"])
def test_a_program_that_hangs_is_restarted(program: str, deployed: LocalStore) -> None:
    """It has the right stamp and is never ended by anything: suspended, it stands for each that does not go on."""
    before = deployed.pids()
    if program not in before:
        pytest.skip("nginx is not installed")
    hanging = [pid for pid, process in down.ours(deployed.root).items() if before[program] in (pid, process.parent)]
    for pid in hanging if program != "supervisor" else [before[program]]:
        os.kill(pid, signal.SIGSTOP)
    mended = deployed.deploy()
    assert (mended.code, mended.changed) == (0, (RUNNING,)), mended.output
    assert deployed.pids()[program] != before[program]
    assert deployed.get("/readyz") == 200
    assert deployed.deploy().changed == ()


@pytest.mark.skipif(ANSWERING == "portal alone", reason="nginx is not installed")
def test_a_portal_that_lost_its_socket_is_restarted(deployed: LocalStore) -> None:
    (deployed.root / "run/portal.sock").unlink()
    mended = deployed.deploy()
    assert (mended.code, mended.changed) == (0, (RUNNING,)), mended.output
    assert deployed.get("/readyz") == 200


@pytest.mark.parametrize(
    ("program", "whole"),
    [("portal", True), ("litestream", True), ("jobs", True), ("nginx", True), ("nginx", False)],
    ids=["portal", "litestream", "jobs", "nginx with its shell", "nginx alone"],
)
def test_a_killed_program_leaves_nothing_that_hinders_the_next(program: str, whole: bool, deployed: LocalStore) -> None:
    """nginx's workers, for one, keep its port."""
    before = deployed.pids()
    if program not in before:
        pytest.skip("nginx is not installed")
    family = [pid for pid, process in down.ours(deployed.root).items() if process.parent == before[program]]
    masters = [pid for pid in family if program == "nginx"] or [before[program]]
    for pid in {*masters, *([before[program]] if whole else ())}:
        os.kill(pid, signal.SIGKILL)
    until(lambda: answers(deployed) and deployed.pids()[program] not in (0, before[program]))
    assert not {before[program], *family} & down.ours(deployed.root).keys()
    assert deployed.deploy().changed == ()


@pytest.mark.parametrize(
    ("command", "supervised"),
    [(["mv"], False), (["cp", "-a"], True)],
    ids=["renamed, its supervisor killed", "on another file system"],
)
def test_a_store_that_was_moved_while_it_ran_is_found(
    command: list[str], supervised: bool, deployed: LocalStore
) -> None:
    """`cp` and `rm` are what `mv` does between file systems: only the number of the supervisor is left then."""
    running, moved = deployed.pids(), deployed.root.with_name("moved")
    if not supervised:
        os.kill(running.pop("supervisor"), signal.SIGKILL)
    subprocess.run([*command, deployed.root, moved], check=True)
    shutil.rmtree(deployed.root, ignore_errors=True)
    try:
        assert set(running.values()) <= down.ours(moved).keys()
    finally:
        assert down.down(moved)
    assert not answers(deployed)
    shutil.rmtree(deployed.root, ignore_errors=True)
    moved.rename(deployed.root)
    back = deployed.deploy()
    assert (back.code, back.changed) == (0, (RUNNING,)), back.output


def test_a_copy_does_not_stop_the_store_it_was_made_of(deployed: LocalStore) -> None:
    copied = deployed.root.with_name("copied")
    shutil.copytree(deployed.root, copied, ignore=shutil.ignore_patterns("*.sock*"))
    assert not down.ours(copied)
    assert down.main(str(copied)) is None
    assert deployed.get("/readyz") == 200


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


def answers(store: LocalStore) -> bool:
    try:
        return store.get("/readyz") == 200
    except OSError:
        return False


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


@pytest.mark.skipif(ANSWERING == "portal alone", reason="nginx is not installed")
def test_the_cause_of_a_failed_start_is_shown(deployed: LocalStore) -> None:
    control = [Path(sys.executable).with_name("supervisorctl"), "-c", deployed.root / "etc/supervisord.conf"]
    subprocess.run([*control, "stop", "nginx"], check=True, capture_output=True)
    (deployed.root / "run/nginx.pid").mkdir()
    failed = deployed.deploy()
    assert failed.code != 0
    assert f'open() "{deployed.root}/run/nginx.pid" failed' in failed.output
    (deployed.root / "run/nginx.pid").rmdir()
    mended = deployed.deploy()  # unless the supervisor was faster
    assert mended.code == 0, mended.output
    assert deployed.get("/readyz") == 200
