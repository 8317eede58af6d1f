"""A store behind nginx, and machines of developers who are signed in to it."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.ci_service import CiService
from tests.support.developer_machine import Machine
from tests.support.nginx import NGINX, nginx_before
from tests.support.portal import Portal, add_developer, free_port, make_store

_numbers = itertools.count(1)


@dataclass
class Front:
    """The store as developers reach it, a reviewer's token, and a CI service that the store trusts."""

    portal: Portal
    url: str
    reviewer: str
    service: CiService

    def review(self, app_id: str, code: int, action: str, reason: str = "") -> None:
        self.post(f"{app_id}/versions/{code}/{action}", reason=reason)

    def post(self, path: str, **body: str) -> None:
        """What a reviewer does to an app."""
        headers = {"Authorization": f"Bearer {self.reviewer}"}
        httpx.post(f"{self.url}/api/apps/{path}", json=body, trust_env=False, headers=headers).raise_for_status()


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    if NGINX is None:
        pytest.skip("nginx is not installed")
    directory = tmp_path_factory.mktemp("front")
    service = CiService(directory / "jwks.json")
    service.publish()
    store = make_store(directory / "store", port=free_port(), accel=True, proxied=True, **service.settings())
    with Portal(store) as portal, nginx_before(portal) as url:
        yield Front(portal, url, add_developer(store, "reviewer", key=None, scope="reviewer"), service)


@dataclass
class Developer(Machine):
    """The machine of a developer with a token of their own."""

    developer_id: str = ""
    token: str = ""
    url: str = ""

    def sign_in(self, url: str = "") -> str:
        return self.done("login", url or self.url, typed=f"{self.token}\n")


@pytest.fixture
def developer(front: Front, tmp_path: Path) -> Developer:
    """A new developer, who has not signed in yet."""
    developer_id = f"dev{next(_numbers)}"
    machine = Machine.at(tmp_path / "machine")
    token = add_developer(front.portal.store, developer_id, key=None)
    return Developer(machine.home, machine.work, {}, developer_id, token, front.url)
