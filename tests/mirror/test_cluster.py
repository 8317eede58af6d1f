"""Downloads from an engine of several servers go on when one of them is killed."""

import hashlib
import itertools
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from portal.jobs import mirror
from portal.store import apps
from portal.store.store import Store
from tests.mirror.seaweed_cluster import Cluster, seaweed_cluster
from tests.support.cdn import cdn_before, make_public
from tests.support.many import OWNER, add_version
from tests.support.nginx import NGINX
from tests.support.portal import add_developer, make_store

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

APP = "org.example.app"
VERSIONS, PACKAGE_BYTES = 60, 400_000
DEVICES = 6


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with seaweed_cluster() as running:
        yield running


@pytest.fixture
def mirrored(cluster: Cluster, tmp_path: Path) -> Iterator[Store]:
    store = make_store(tmp_path / "store", mirror=cluster.engine.model_dump(mode="json"))
    add_developer(store, "acme", key=None)
    with store.db.write() as tx:
        apps.add(tx, OWNER, APP, "App", "")
        for code in range(1, VERSIONS + 1):
            add_version(store, tx, APP, code, os.urandom(PACKAGE_BYTES))
    mirror.mirror(store)
    make_public(cluster.engine)
    yield store
    store.db.close()


def digest(base: str, key: str, patience: float = 60) -> str:
    """The SHA-256 of a download. Raises httpx.HTTPError if it fails or ends early."""
    found = hashlib.sha256()
    with httpx.stream("GET", f"{base}/{key}", timeout=patience) as answer:
        answer.raise_for_status()
        for piece in answer.iter_bytes():
            found.update(piece)
    return found.hexdigest()


def test_no_download_fails_while_a_server_of_the_engine_is_killed(
    cluster: Cluster, mirrored: Store, tmp_path: Path
) -> None:
    """Through nginx and past it, each package for the first time, so that no cache has it."""
    keys = [f"packages/acme/{APP}/{code}/package.mosis" for code in range(1, VERSIONS + 1)]
    done = threading.Semaphore(0)

    def download(base: str, key: str) -> str:
        found = digest(base, key)
        done.release()
        return found

    def kill() -> None:
        for _ in range(VERSIONS // 4):
            done.acquire()
        cluster.volumes[0].kill()

    direct = f"{str(cluster.engine.endpoint).rstrip('/')}/{cluster.engine.bucket}"
    with cdn_before(cluster.engine, tmp_path / "cdn") as cdn, ThreadPoolExecutor(DEVICES + 1) as pool:
        killed = pool.submit(kill)
        found = list(pool.map(download, itertools.cycle((cdn, direct)), keys))
        killed.result()
    assert cluster.volumes[0].wait() == -signal.SIGKILL
    assert found == [hashlib.sha256((mirrored.layout.root / key).read_bytes()).hexdigest() for key in keys]
    cluster.volumes[1].kill()
    with pytest.raises(httpx.HTTPError):  # the control: nothing else has the content
        digest(direct, keys[0], patience=3)
