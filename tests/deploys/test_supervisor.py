"""The programs of a local deploy: killed, hanging, moved or stopped, they run again as declared and leave nothing."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploys.remote import down
from tests.deploys.local_store import ANSWERING, RUNNING, LocalStore, until

pytestmark = pytest.mark.seconds(400)


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
    """nginx's workers, for one, keep its port, and answer there for as long as they live."""
    before = deployed.pids()
    if program not in before:
        pytest.skip("nginx is not installed")
    running = down.ours(deployed.root)
    family = {pid for pid in running if before[program] in down._lineage(pid)}
    masters = {pid for pid in family if program == "nginx" and running[pid].parent == before[program]}
    for pid in {*(masters or {before[program]}), *({before[program]} if whole else ())}:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not family & down.ours(deployed.root).keys() and deployed.pids()[program] > 0)
    until(deployed.answers)
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
    assert not deployed.answers()
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
