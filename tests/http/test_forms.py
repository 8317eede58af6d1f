"""Bodies, and what happens when the reading of one breaks down: the application itself, without a server."""

from collections.abc import Iterator
from io import BytesIO

import httpx
import pytest

from portal.app import Wsgi, create_app
from portal.http import forms
from portal.packages import package as packages
from portal.store.store import Store
from tests.packages.samples import APP_ID
from tests.support.portal import add_developer, problem

UPLOADS, VERSIONS = f"/api/apps/{APP_ID}/uploads", f"/api/apps/{APP_ID}/versions"
PACKAGE = b"whatever it is"


@pytest.fixture
def app(store: Store) -> Wsgi:
    return create_app(store.settings)


@pytest.fixture
def client(app: Wsgi, store: Store) -> Iterator[httpx.Client]:
    """The application in this process, and a developer with an app."""
    headers = {"Authorization": f"Bearer {add_developer(store, 'dev')}"}
    transport = httpx.WSGITransport(app, raise_app_exceptions=False)
    with httpx.Client(transport=transport, base_url="http://portal", headers=headers) as calling:
        calling.post("/api/apps", json={"app_id": APP_ID, "name": "Reader"}).raise_for_status()
        yield calling


def send_form(client: httpx.Client) -> httpx.Response:
    return client.post(VERSIONS, files={"package": PACKAGE})


def send_to_signed_url(client: httpx.Client) -> httpx.Response:
    upload = client.post(UPLOADS, json={"size": len(PACKAGE)}).raise_for_status().json()
    client.put(upload["url"], content=PACKAGE, headers=upload["headers"]).raise_for_status()
    return client.post(f"/api/uploads/{upload['upload_id']}/complete")


@pytest.mark.parametrize("send", [send_form, send_to_signed_url])
@pytest.mark.parametrize("crash", [RuntimeError("a secret of the server"), RecursionError(), MemoryError(), KeyError()])
def test_a_crash_of_the_checks_is_a_refusal_that_keeps_nothing(
    client: httpx.Client, store: Store, monkeypatch: pytest.MonkeyPatch, send, crash: Exception
) -> None:  # fmt: skip
    def read(*_: object) -> None:
        raise crash

    monkeypatch.setattr(packages, "read", read)
    answer = send(client)
    problem(answer, 500, "INTERNAL_ERROR")
    assert "secret" not in answer.text
    assert not list(store.layout.area("temp").rglob("*"))
    assert not list(store.layout.area("packages").rglob("*"))
    [version] = client.get(VERSIONS).json()["versions"]
    assert version["status"] == "failed"
    assert "secret" not in version["reasons"][0]
    monkeypatch.undo()
    problem(send(client), 422, "VALIDATION_ERROR")


def test_a_failure_of_the_disk_may_be_tried_again(
    client: httpx.Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = client.post(UPLOADS, json={"size": len(PACKAGE)}).raise_for_status().json()
    client.put(upload["url"], content=PACKAGE, headers=upload["headers"]).raise_for_status()

    def read(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(packages, "read", read)
    complete = f"/api/uploads/{upload['upload_id']}/complete"
    problem(client.post(complete), 507, "STORAGE_ERROR")
    monkeypatch.undo()
    problem(client.post(complete), 422, "VALIDATION_ERROR")
    assert not list(store.layout.area("temp").rglob("*"))


@pytest.mark.parametrize(("path", "limit"), [("/api/apps", forms.JSON_MAX), (VERSIONS, 50 * 1024 * 1024)])
def test_of_a_body_that_says_to_be_too_large_nothing_is_read(
    app: Wsgi, client: httpx.Client, path: str, limit: int
) -> None:
    body = BytesIO(b"x")
    content_type = "multipart/form-data; boundary=b" if path == VERSIONS else "application/json"
    statuses = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(limit + forms.OVERHEAD_MAX + 1),
        "HTTP_AUTHORIZATION": client.headers["Authorization"],
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": body,
    }
    list(app(environ, lambda status, headers, *_: statuses.append(status)))
    assert [status[:3] for status in statuses] == ["413"]
    assert body.tell() == 0
