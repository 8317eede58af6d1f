"""Real clients resume a download over a restart of the portal and a new version of the app, and never splice two."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.packages.samples import KEY
from tests.support.nginx import NGINX, nginx_before
from tests.support.portal import Portal, Publisher, add_developer, free_port, make_store

PART = 2_000_000  # bytes that the client has when its network goes away
SIZE = 5_000_000
CLIENTS = {
    "curl": ["curl", "--silent", "--show-error", "--fail", "--continue-at", "-", "--output", "{target}", "{url}"],
    "wget": ["wget", "--quiet", "--continue", "--output-document={target}", "{url}"],
    "aria2c": ["aria2c", "--quiet", "--continue", "--dir={target.parent}", "--out={target.name}", "{url}"],
}


@pytest.fixture(scope="module", params=["portal alone", "behind nginx"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Portal, str]]:
    """A portal, and the address at which devices reach it."""
    nginx = request.param == "behind nginx"
    if nginx and NGINX is None:
        pytest.skip("nginx is not installed")
    store = make_store(tmp_path_factory.mktemp("served") / "store", port=free_port(), accel=nginx, proxied=nginx)
    with ExitStack() as stack:
        portal = Portal(store).start()
        stack.callback(portal.stop)
        yield portal, stack.enter_context(nginx_before(portal)) if nginx else portal.url


@pytest.fixture(scope="module")
def token(served: tuple[Portal, str]) -> str:
    return add_developer(served[0].store, "dev", scope="admin")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_resume_over_restart_and_publish(served: tuple[Portal, str], token: str, client: str, tmp_path: Path) -> None:
    if shutil.which(client) is None:
        pytest.skip(f"{client} is not installed")
    portal, address = served
    app_id = f"org.example.{client}"
    with portal.client(token) as member:
        member.post("/api/apps", json={"app_id": app_id, "name": client}).raise_for_status()
        publisher = Publisher(portal, member, member, tmp_path, app_id, KEY)
        first = publisher.publish(1, payload_bytes=SIZE).read_bytes()
        immutable = httpx.get(f"{address}/api/store/apps/{app_id}").raise_for_status().json()["download_url"]
        latest = f"/api/store/apps/{app_id}/download"
        targets = {tmp_path / "immutable.mosis": immutable, tmp_path / "latest.mosis": latest}
        for target, path in targets.items():
            with httpx.stream("GET", address + path) as answer:
                target.write_bytes(next(answer.iter_bytes(PART)))
            assert target.stat().st_size == PART
        portal.stop(signal.SIGKILL)
        portal.start()
        second = publisher.publish(2, payload_bytes=SIZE + 100_000).read_bytes()
    resumed, latest_target = targets
    assert run(client, resumed, address + immutable) == 0
    assert resumed.read_bytes() == first
    # This address is another file now. A client may give up, or start over; what it calls done is one version, whole.
    before = latest_target.read_bytes()
    if run(client, latest_target, address + latest) == 0:
        assert latest_target.read_bytes() == second
    else:
        assert latest_target.read_bytes() in (before, second)


def run(client: str, target: Path, url: str) -> int:
    command = [part.format(target=target, url=url) for part in CLIENTS[client]]
    return subprocess.run(command, capture_output=True, timeout=120).returncode
