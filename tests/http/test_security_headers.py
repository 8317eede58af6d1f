"""Every answer of the portal tells a browser what not to make of it, without nginx as well."""

from collections.abc import Iterator

import httpx
import pytest

from portal.http.security_headers import DEFAULTS
from portal.web import rendering
from tests.support.in_process import calling
from tests.support.portal import make_store

ANSWERS = {
    "JSON": ("GET", "/healthz", 200),
    "a description": ("GET", "/openapi.json", 200),
    "metrics": ("GET", "/metrics", 200),
    "no route": ("GET", "/nope", 404),
    "no method": ("PATCH", "/healthz", 405),
    "no token": ("POST", "/api/apps", 401),
    "capabilities": ("OPTIONS", "/api/uploads/" + "0" * 32, 204),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    store = make_store(tmp_path_factory.mktemp("headers") / "store")
    with calling(store, address="127.0.0.1") as client:
        yield client
    store.db.close()


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_nothing_but_data(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert {name: answer.headers.get_list(name) for name in DEFAULTS} == {name: [DEFAULTS[name]] for name in DEFAULTS}


def test_a_page_has_its_own(client: httpx.Client) -> None:
    page = client.get("/", headers={"Accept": "text/html"})
    assert {name: page.headers.get_list(name) for name in rendering.SECURITY} == {
        name: [value] for name, value in rendering.SECURITY.items()
    }
