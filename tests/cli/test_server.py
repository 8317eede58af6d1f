"""The processes of `mosis serve`."""

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.portal import Portal, free_port, make_store, mosis


@pytest.fixture
def own_portal(tmp_path: Path) -> Iterator[Portal]:
    portal = Portal(make_store(tmp_path / "store", port=free_port())).start()
    yield portal
    portal.stop(signal.SIGKILL)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


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


def test_a_killed_worker_is_replaced(own_portal: Portal) -> None:
    first = set(children(own_portal.process.pid))
    os.kill(min(first), signal.SIGKILL)
    with own_portal.client() as client:
        while len(found := set(children(own_portal.process.pid))) < len(first) or found == first:
            assert client.get("/healthz").status_code == 200


def test_a_store_without_database_is_not_served(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    store.db.close()
    store.layout.database.unlink()
    ran = mosis(store, "serve")
    assert ran.returncode == 1
    assert "mosis init" in ran.stderr
    assert not store.layout.database.exists()
