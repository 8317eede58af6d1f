"""Fixtures that more than one folder uses."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.settings import S3
from portal.store import audit, tokens
from portal.store.store import Store
from tests.support.portal import Portal, Publisher, add_developer, free_port, make_store
from tests.support.small_disk import SmallDisk, small_disk_at

hypothesis.settings.register_profile("busy machine", deadline=None)  # no test depends on how fast it runs
hypothesis.settings.load_profile("busy machine")

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take longest begin first, so that `--dist loadfile` leaves no worker alone with one at the end."""

    def seconds(item: pytest.Item) -> int:
        mark = item.get_closest_marker("seconds")
        return mark.args[0] if mark else 0

    items.sort(key=seconds, reverse=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = make_store(tmp_path / "store")
    yield made
    made.db.close()


@pytest.fixture(scope="session")
def engine() -> Iterator[S3]:
    """A bucket of a real S3 engine, one per test process, that tests share."""
    from tests.mirror.seaweed import seaweed  # here, because boto3 takes long to import

    with seaweed() as running:
        yield running


@pytest.fixture
def empty(engine: S3) -> Iterator[S3]:
    """A bucket of the test's own, without objects and rules."""
    from tests.mirror.seaweed import own_bucket

    with own_bucket(engine) as own:
        yield own


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk_at(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture(scope="session")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One portal a test process; tests use developers and apps of their own. What all of them left is checked."""
    with Portal(make_store(tmp_path_factory.mktemp("portal") / "store", port=free_port())) as running:
        yield running
    assert audit.first_fault(running.store.db.read()) is None
    log = (running.store.layout.root / "portal.log").read_text()
    assert not tokens.PATTERN.search(log), "a token in the log"


@pytest.fixture(scope="session")
def reviewer_token(portal: Portal) -> str:
    return add_developer(portal.store, "reviewer", key=None, scope="reviewer")


@pytest.fixture(scope="session")
def admin_token(portal: Portal) -> str:
    return add_developer(portal.store, "admin", key=None, scope="admin")


@pytest.fixture
def publisher(portal: Portal, reviewer_token: str, tmp_path: Path) -> Iterator[Publisher]:
    """A new developer with a key of its own and an app without versions."""
    number = next(_numbers)
    app_id = f"org.example.app{number}"
    key = Ed25519PrivateKey.generate()
    token = add_developer(portal.store, f"dev{number}", key=key)
    with portal.client(token) as client, portal.client(reviewer_token) as reviewer:
        client.post("/api/apps", json={"app_id": app_id, "name": f"App {number}"}).raise_for_status()
        yield Publisher(portal, client, reviewer, tmp_path, app_id, key)
