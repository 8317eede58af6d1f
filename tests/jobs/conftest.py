"""A store with a backup drive, which is a real mount of this machine: /dev/shm."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.recovery.drive import MARKER, mounts
from portal.store.store import Store
from tests.packages.samples import KEY
from tests.support.portal import Portal, Publisher, add_developer, free_port, make_store

SHM = Path("/dev/shm")


@pytest.fixture
def drive() -> Iterator[Path]:
    if str(SHM) not in mounts():
        pytest.skip("this machine has no /dev/shm to stand in for a mounted drive")
    with tempfile.TemporaryDirectory(dir=SHM, prefix="mosis-drive-") as directory:
        path = Path(directory)
        (path / MARKER).touch()
        yield path


@pytest.fixture
def saved(tmp_path: Path, drive: Path) -> Store:
    """An empty store that has a drive."""
    return make_store(
        tmp_path / "store", port=free_port(), litestream=True, backup={"mount": str(SHM), "directory": str(drive)}
    )


@pytest.fixture
def published(saved: Store, tmp_path: Path) -> Iterator[Publisher]:
    """A portal with two published versions and one draft, all backed up on the drive; Litestream is not part of it."""
    with Portal(saved) as portal:
        token = add_developer(saved, "acme")
        reviewer = add_developer(saved, "reviewer", key=None, scope="reviewer")
        with portal.client(token) as client, portal.client(reviewer) as second:
            client.post("/api/apps", json={"app_id": "org.example.app", "name": "App"}).raise_for_status()
            publisher = Publisher(portal, client, second, tmp_path, "org.example.app", KEY)
            for code in (1, 2):
                publisher.publish(code, payload_bytes=200_000)
            publisher.upload(publisher.package(3)).raise_for_status()
            yield publisher
