"""Bodies, and what happens when the reading of one breaks down: the application itself, without a server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from portal.app import create_app
from portal.packages import package as packages
from portal.packages.identifiers import LARGEST_INTEGER
from portal.store import database
from portal.store.store import Store
from tests.packages.samples import APP_ID, make_package
from tests.support.portal import add_developer, problem

UPLOADS, VERSIONS = f"/api/apps/{APP_ID}/uploads", f"/api/apps/{APP_ID}/versions"
PACKAGE = b"whatever it is"


@pytest.fixture
def client(store: Store) -> Iterator[httpx.Client]:
    """The application in this process, and a developer with an app."""
    headers = {"Authorization": f"Bearer {add_developer(store, 'dev')}"}
    transport = httpx.WSGITransport(create_app(store.settings), raise_app_exceptions=False)
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


def test_a_busy_database_is_no_failure_of_the_disk(
    client: httpx.Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 0)
    with closing(database.connect(store.layout.database, litestream=False)) as another, ThreadPoolExecutor() as pool:
        another.execute("BEGIN IMMEDIATE")
        answer = pool.submit(send_form, client).result(30)  # a thread has a connection of its own, with that timeout
    problem(answer, 503, "UNAVAILABLE")
    assert answer.headers["retry-after"]
    problem(send_form(client), 422, "VALIDATION_ERROR")


def test_the_largest_version_code_has_an_address(client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "package.mosis"
    make_package(path, version_code=LARGEST_INTEGER)
    with path.open("rb") as file:
        fields = {"version_code": str(LARGEST_INTEGER)}
        client.post(VERSIONS, files={"package": file}, data=fields).raise_for_status()
    client.post(f"{VERSIONS}/{LARGEST_INTEGER}/submit").raise_for_status()


def test_a_body_of_a_thousand_faults_has_a_bounded_answer(client: httpx.Client) -> None:
    answer = client.post("/api/apps", json={f"n{i}": 0 for i in range(1000)})
    problem(answer, 422, "VALIDATION_ERROR")
    errors = answer.json()["errors"]
    assert len(errors) == 101
    assert errors[-1] == "There are 902 more reasons."
