"""A /dev/shm that others have filled costs metrics, never a request."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from portal.server.metrics_directory import ROOM
from portal.store.store import Store
from tests.support.patience import PATIENCE
from tests.support.portal import MOSIS, environ, free_port, make_store, mosis

MOUNTED = 'mount -t tmpfs -o size="$1" tmpfs /dev/shm && shift && exec "$@"'
PRIVATE_MOUNTS = ["unshare", "--mount", "--map-root-user", "sh", "-c", MOUNTED, "sh"]


def mounts_are_private() -> bool:
    ran = subprocess.run([*PRIVATE_MOUNTS, "1m", "true"], capture_output=True)
    return ran.returncode == 0


@pytest.fixture
def served(tmp_path: Path) -> Store:
    if not mounts_are_private():
        pytest.skip("this machine lets nobody mount a /dev/shm of his own")
    return make_store(tmp_path / "store", port=free_port())


@contextmanager
def portal(store: Store, shared_memory: int) -> Iterator[subprocess.Popen[bytes]]:
    """A portal with so many bytes of /dev/shm, whose log is in the store's root."""
    with (store.layout.root / "portal.log").open("wb") as log:
        command = [*PRIVATE_MOUNTS, str(shared_memory), MOSIS, "serve"]
        process = subprocess.Popen(command, env=environ(store), stdout=log, stderr=log)
    try:
        assert mosis(store, "status", "--wait", "30").returncode == 0, logged(store)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def fill(directory: Path) -> None:
    with (directory / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while filler.write(bytes(4096)):
            pass


def logged(store: Store) -> str:
    return (store.layout.root / "portal.log").read_text()


def incomplete(store: Store) -> bool:
    page = httpx.get(f"http://127.0.0.1:{store.settings.port}/metrics").raise_for_status().text
    return re.search(r"^mosis_metrics_incomplete (.*)$", page, re.MULTILINE)[1] == "1.0"


def answers(store: Store) -> set[int]:
    """Status codes of requests that make many series: of methods and paths, known and not."""
    with httpx.Client(base_url=f"http://127.0.0.1:{store.settings.port}") as client:
        paths = [route for route in client.get("/openapi.json").json()["paths"] if route != "/metrics"]
        return {client.request(method, path).status_code for path in paths for method in ("GET", "POST", "DELETE")}


def workers(process: subprocess.Popen[bytes]) -> set[int]:
    return {int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()}


def test_filled_while_the_portal_runs(served: Store) -> None:
    with portal(served, 2 * ROOM) as process:
        assert not incomplete(served)
        fill(Path(f"/proc/{process.pid}/root/dev/shm"))
        before = workers(process)
        assert max(answers(served)) < 500
        assert workers(process) == before, "a worker died"
        os.kill(min(before), signal.SIGKILL)  # the next one has no room at all
        deadline = time.monotonic() + PATIENCE
        while len(workers(process) - before) != 1:
            assert time.monotonic() < deadline, logged(served)
            time.sleep(0.05)
        for _ in range(4):
            assert max(answers(served)) < 500
        assert incomplete(served)
    assert "counts separately from now on" in logged(served)
    assert "Traceback" not in logged(served)


def test_full_from_the_start_another_directory_is_used(served: Store) -> None:
    with portal(served, ROOM // 2):
        assert max(answers(served)) < 500
        assert not incomplete(served)
    assert "/dev/shm has no room" in logged(served)


def test_without_any_directory_each_worker_counts_alone(served: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/dev/shm")
    with portal(served, ROOM // 2):
        assert max(answers(served)) < 500
        assert incomplete(served)
    assert "Each worker counts alone" in logged(served)
