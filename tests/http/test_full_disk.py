"""A disk that is full or fails: said plainly, nothing left behind, and all goes on once there is room."""

import errno
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import Mock

import httpx
import pytest

from portal.faults import UNNAMED
from portal.http import caching
from portal.http.forms import CHUNK
from portal.recovery import records
from portal.settings import parse
from portal.store import audit, files, signed_uploads
from portal.store.database import Database
from portal.store.layout import Layout
from portal.store.store import Store
from tests.packages.samples import APP_ID, MIB, make_package
from tests.support.in_process import calling
from tests.support.nginx import NGINX, configuration, running
from tests.support.portal import MOSIS, add_developer, children, free_port, problem
from tests.support.small_disk import SmallDisk

UPLOADS, VERSIONS = f"/api/apps/{APP_ID}/uploads", f"/api/apps/{APP_ID}/versions"
TUS = {"Tus-Resumable": "1.0.0"}


def send_form(client: httpx.Client, path: Path) -> httpx.Response:
    with path.open("rb") as file:
        return client.post(VERSIONS, files={"package": file})


def issue(client: httpx.Client, path: Path) -> dict:
    return client.post(UPLOADS, json={"size": path.stat().st_size}).raise_for_status().json()


def put(client: httpx.Client, path: Path, url: str) -> httpx.Response:
    return client.put(url, content=path.read_bytes())


def offset(client: httpx.Client, url: str) -> int:
    return int(client.head(url, headers=TUS).raise_for_status().headers["Upload-Offset"])


def patch(client: httpx.Client, path: Path, url: str) -> httpx.Response:
    """What is missing, as a tus client sends it."""
    at = offset(client, url)
    headers = TUS | {"Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream"}
    return client.patch(url, content=path.read_bytes()[at:], headers=headers)


def complete(client: httpx.Client, upload: dict) -> httpx.Response:
    return client.post(f"/api/uploads/{upload['upload_id']}/complete")


def files_below(*directories: Path) -> list[str]:
    return sorted(path.name for directory in directories for path in directory.rglob("*") if path.is_file())


def packages_below(directory: Path) -> list[str]:
    """Without the records that a portal writes seconds after a change."""
    return [name for name in files_below(directory) if name not in (records.DEVELOPER, records.APP, records.VERSION)]


@pytest.fixture
def client(store: Store) -> Iterator[httpx.Client]:
    """The application in this process, and a developer with an app."""
    with calling(store, add_developer(store, "dev")) as developer:
        developer.post("/api/apps", json={"app_id": APP_ID, "name": "Reader"}).raise_for_status()
        yield developer


@pytest.fixture
def package(tmp_path: Path) -> Path:
    make_package(tmp_path / "p.mosis", payload_bytes=10 * MIB)
    return tmp_path / "p.mosis"


def failing(function: Callable, error: int, calls: int) -> Callable:
    """`function`, whose calls fail after so many."""
    made = iter(range(calls))

    def call(*arguments: object, **options: object) -> object:
        if next(made, None) is None:
            raise OSError(error, os.strerror(error))
        return function(*arguments, **options)

    return call


FAULTS = {
    "full": (files, "write_all", errno.ENOSPC, 9 * MIB // CHUNK),
    "quota": (files, "write_all", errno.EDQUOT, 0),
    "body not flushed": (os, "fdatasync", errno.EIO, 1),
    "file not flushed": (os, "fsync", errno.EIO, 0),
    "directory not flushed": (files, "flush_directory", errno.EIO, 2),
}


def test_a_full_database_is_a_full_disk_to_people(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    monkeypatch.setattr(audit, "append", Mock(side_effect=full))
    answer = client.post("/api/apps", json={"app_id": "org.acme.other", "name": "Other"})
    assert problem(answer, 507, "STORAGE_ERROR")["detail"].startswith("The store's disk is full")


@contextmanager
def no_free_descriptors() -> Iterator[None]:
    """This process has as many open files as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, hard))
    taken = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_free_descriptor_is_no_fault_of_the_disk(client: httpx.Client) -> None:
    """A thread that has its connection finds none for a change, a new one none for the database."""
    with ThreadPoolExecutor(1) as threads, no_free_descriptors():
        answers = (
            client.post("/api/apps", json={"app_id": "org.acme.other", "name": "Other"}),
            threads.submit(client.get, "/api/me").result(),
        )
    for answer in answers:
        assert "open files" in problem(answer, 503, "UNAVAILABLE")["detail"]
        assert int(answer.headers["Retry-After"]) > 0
    client.post("/api/apps", json={"app_id": "org.acme.other", "name": "Other"}).raise_for_status()


@pytest.mark.parametrize("path", ["/readyz", "/api/me"])
def test_no_word_of_the_system_or_of_the_database_reaches_a_client(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """A stranger learns no table, path or library; the operator finds all of it in the log."""
    for error in (sqlite3.OperationalError("no such table: secrets_of_x"), OSError(errno.ENOMEDIUM, "secrets_of_x")):
        if isinstance(error, sqlite3.Error):
            error.sqlite_errorcode = sqlite3.SQLITE_ERROR
        with monkeypatch.context() as broken:
            broken.setattr(Database, "read", Mock(side_effect=error))
            answer = client.get(path, headers={"X-Request-ID": "1f" * 16})
        assert answer.json()["code"] in ("STORAGE_ERROR", "UNAVAILABLE")
        assert answer.json()["detail"].endswith("; see the server's log.")
        assert "secrets_of_x" in caplog.text and (path == "/readyz" or f"request {'1f' * 16}" in caplog.text)


def test_a_store_that_is_not_ready_says_no_more(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Layout, "area", Mock(side_effect=OSError(errno.EIO, "secrets_of_x")))
    detail = problem(client.get("/readyz"), 503, "UNAVAILABLE")["detail"]
    assert detail == "The store is not ready; see the server's log."


@pytest.mark.parametrize("fault", ["full", "quota", "file not flushed", "directory not flushed"])
def test_a_form_leaves_nothing(
    client: httpx.Client, store: Store, package: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    where, name, error, calls = FAULTS[fault]
    with monkeypatch.context() as broken:
        broken.setattr(where, name, failing(getattr(where, name), error, calls))
        answer = send_form(client, package)
    assert problem(answer, 507, "STORAGE_ERROR")["detail"] == UNNAMED[error]
    assert files_below(store.layout.area("temp"), store.layout.area("packages")) == []
    assert client.get(VERSIONS).json()["versions"] == []
    assert send_form(client, package).status_code == 201


@pytest.mark.parametrize("send", [put, patch])
@pytest.mark.parametrize("fault", ["full", "quota", "body not flushed"])
def test_a_signed_upload_keeps_what_was_flushed(
    client: httpx.Client, store: Store, package: Path, monkeypatch: pytest.MonkeyPatch, fault: str, send: Callable
) -> None:
    where, name, error, calls = FAULTS[fault]
    upload = issue(client, package)
    with monkeypatch.context() as broken:
        broken.setattr(where, name, failing(getattr(where, name), error, calls))
        problem(send(client, package, upload["url"]), 507, "STORAGE_ERROR")
    flushed = 0 if fault == "quota" else signed_uploads.CHECKPOINT
    assert offset(client, upload["url"]) == flushed
    assert (store.layout.staging(upload["upload_id"]) / "package.mosis").stat().st_size == flushed
    assert send(client, package, upload["url"]).status_code == 204
    assert complete(client, upload).status_code == 201


@pytest.mark.parametrize("fault", ["file not flushed", "directory not flushed"])
def test_a_whole_upload_is_completed_once_the_disk_works(
    client: httpx.Client, store: Store, package: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    where, name, error, calls = FAULTS[fault]
    upload = issue(client, package)
    put(client, package, upload["url"]).raise_for_status()
    with monkeypatch.context() as broken:
        broken.setattr(where, name, failing(getattr(where, name), error, calls))
        problem(complete(client, upload), 507, "STORAGE_ERROR")
    assert files_below(store.layout.area("packages")) == []
    assert complete(client, upload).status_code == 201
    assert files_below(store.layout.area("temp")) == []


MAKE_STORE = """
import pathlib, sys
from tests.support.portal import add_developer, environ, make_store
store = make_store(pathlib.Path(sys.argv[1]), port=int(sys.argv[2]), proxied=True)
environ(store)
print(add_developer(store, "dev", scope="admin"))
"""


@pytest.fixture
def on_small_disk(small_disk: SmallDisk) -> Iterator[httpx.Client]:
    """A developer with an app, at a portal whose store and temporary files are on the small disk."""
    root, port = small_disk.path / "store", free_port()
    token = small_disk.run(sys.executable, "-c", MAKE_STORE, root, str(port)).strip()
    env = os.environ | {"MOSIS_CONFIG": str(root / "mosis.toml"), "TMPDIR": str(small_disk.path)}
    portal = subprocess.Popen([*small_disk.inside(), MOSIS, "serve"], env=env)
    try:
        subprocess.run([*small_disk.inside(), MOSIS, "status", "--wait", "30"], env=env, check=True)
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}, timeout=60
        ) as client:
            client.post("/api/apps", json={"app_id": APP_ID, "name": "Reader"}).raise_for_status()
            workers = children(portal.pid)
            yield client
            assert children(portal.pid) == workers, "the full disk has killed a worker"
    finally:
        portal.terminate()
        portal.wait(30)


def test_a_disk_that_is_really_full(on_small_disk: httpx.Client, small_disk: SmallDisk, tmp_path: Path) -> None:
    client, layout = on_small_disk, Layout(small_disk.seen / "store")
    first, second, third = (tmp_path / f"{code}.mosis" for code in (1, 2, 3))
    for code, path in enumerate((first, second, third), start=1):
        make_package(path, version_code=code, payload_bytes=40 * MIB)
    assert send_form(client, first).status_code == 201
    placed = ["manifest.json", "package.mosis"]

    problem(send_form(client, second), 507, "STORAGE_FULL")
    assert files_below(layout.area("temp")) == []
    small_disk.resize(200)  # while they are created: something else takes the room afterwards
    upload, another = issue(client, second), issue(client, second)
    small_disk.resize(64)
    problem(patch(client, second, upload["url"]), 507, "STORAGE_ERROR")
    flushed = offset(client, upload["url"])
    assert 0 < flushed < second.stat().st_size
    assert (layout.staging(upload["upload_id"]) / "package.mosis").stat().st_size == flushed
    problem(put(client, second, another["url"]), 507, "STORAGE_ERROR")
    assert packages_below(layout.area("packages")) == placed

    full = small_disk.path / "full"
    assert (
        "No space left"
        in subprocess.run(
            [*small_disk.inside(), "sh", "-c", 'cat /dev/zero > "$0"', full], capture_output=True, text=True
        ).stderr
    )
    for _ in range(20):
        problem(send_form(client, third), 507, "STORAGE_FULL")
        assert client.get(VERSIONS).status_code == client.get("/api/store/apps").status_code == 200
    small_disk.run("rm", full)
    small_disk.resize(300)
    assert send_form(client, third).status_code == 201
    assert patch(client, second, upload["url"]).status_code == 204
    assert complete(client, upload).status_code == 201


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_what_devices_read_needs_no_room(on_small_disk: httpx.Client, small_disk: SmallDisk, tmp_path: Path) -> None:
    """nginx, whose cache is on that disk too, could write none of these and cut them off."""
    settings = parse({"root": str(small_disk.path / "store"), "port": on_small_disk.base_url.port, "proxied": True})
    paths = ("/api/store/apps", "/api/store/apps?search=reader", "/openapi.json", "/schemas/manifest.json", "/")
    run = tmp_path / "nginx"
    small_disk.run("mkdir", small_disk.path / "store/run")
    with running(lambda port: configuration(settings, port, run), run, small_disk.inside()) as url:
        small_disk.fill()
        assert [httpx.get(url + path).status_code for path in paths] == [200] * len(paths)
        assert not list((small_disk.seen / "store/run/cache").iterdir())
        small_disk.run("rm", small_disk.path / "fill")
        answer = httpx.get(url + "/api/store/apps")
        assert caching.FIELD not in answer.headers
        assert len(files_below(small_disk.seen / "store/run/cache")) == 1


def test_a_disk_that_is_read_only_takes_no_file(small_disk: SmallDisk) -> None:
    assert caching.takes_files(small_disk.seen)
    small_disk.run("mount", "-o", "remount,ro", small_disk.path)
    assert not caching.takes_files(small_disk.seen)
