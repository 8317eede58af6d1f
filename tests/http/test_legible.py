"""No byte in a header is an internal error."""

import itertools
from io import BytesIO
from typing import Any

import pytest

from portal.app import create_app
from portal.http import headers
from portal.http.draining import Wsgi
from portal.store.store import Store

READ_ELSEWHERE = ("Accept", "Authorization", "Content-Type", "Cookie", "Host", "Origin",
                  "Sec-Fetch-Site", "Transfer-Encoding", "X-Forwarded-For", "X-Forwarded-Proto")  # fmt: skip
FIELDS = sorted({*headers.REQUEST, *READ_ELSEWHERE})
ROUTES = [
    ("GET", "/"), ("GET", "/console"), ("GET", "/healthz"), ("GET", "/openapi.json"), ("GET", "/api/store/apps"),
    ("GET", "/api/me"), ("POST", "/api/store/updates"), ("POST", "/sign-in"), ("POST", "/sign-in/passkey"),
    ("POST", "/console/apps"), ("PATCH", f"/api/uploads/{'0' * 32}"), ("GET", "/assets/org.a.b/icon-64.png"),
]  # fmt: skip


@pytest.fixture
def app(store: Store) -> Wsgi:
    return create_app(store.settings)


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
@pytest.mark.parametrize("value", ["a\xe9=b; \xc3", '"\x80"'])
def test_a_field_of_any_bytes_is_no_internal_error(app: Wsgi, value: str, accept: str) -> None:
    sent = {"HTTP_ACCEPT": accept, "HTTP_SEC_FETCH_SITE": "same-origin"}
    for (method, path), name in itertools.product(ROUTES, FIELDS):
        variable = name.upper().replace("-", "_")
        field = {variable if name == "Content-Type" else f"HTTP_{variable}": value}
        assert answered(app, method, path, sent | field) < 500, (method, path, name)


def test_what_is_utf8_stays_as_it_is(app: Wsgi) -> None:
    assert answered(app, "GET", "/", {"HTTP_COOKIE": "a=\xc3\xa9; b=c"}) == 200


def answered(app: Wsgi, method: str, path: str, more: dict[str, Any]) -> int:
    """The status of the answer to a request as a server hands it over: fields are latin-1 (PEP 3333)."""
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "wsgi.input": BytesIO(), "HTTP_HOST": "store",
        "SERVER_NAME": "store", "SERVER_PORT": "80", "REMOTE_ADDR": "192.0.2.1", "wsgi.url_scheme": "http",
        "wsgi.errors": None, **more,
    }  # fmt: skip
    statuses: list[str] = []
    for _ in app(environ, lambda status, *_: statuses.append(status)):
        pass
    return int(statuses[-1][:3])
