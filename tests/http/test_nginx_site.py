"""The deployed site in front of a real portal: what nginx keeps, what it never keeps, what slow clients cannot do."""

import itertools
import os
import re
import signal
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from portal.http.routes import store as store_routes
from portal.store.database import queue
from tests.http.test_images import png
from tests.packages.samples import KEY
from tests.support.nginx import NGINX, nginx_before
from tests.support.patience import PATIENCE
from tests.support.portal import Portal, Publisher, add_developer, children, free_port, make_store, problem

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

THREADS = 4
SENDERS = 2  # of a developer: as many as are left of the three that may wait for bodies
CLIENTS = 32


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal of one worker and few threads, as it is set up behind nginx."""
    settings = {"port": free_port(), "accel": True, "proxied": True, "workers": 1, "threads": THREADS}
    store = make_store(tmp_path_factory.mktemp("behind") / "store", metrics_networks=["192.0.2.0/24"], **settings)
    with Portal(store) as running:
        yield running


@pytest.fixture(scope="module")
def front(behind: Portal) -> Iterator[str]:
    with nginx_before(behind) as url:
        yield url


@pytest.fixture(scope="module")
def token(behind: Portal) -> str:
    return add_developer(behind.store, "dev", scope="admin")


@pytest.fixture
def publisher(behind: Portal, token: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Publisher]:
    """An app of its own for the test, without versions."""
    app_id = f"org.example.{request.node.name.partition('[')[0].removeprefix('test_').replace('_', '')}"
    with behind.client(token) as client:
        client.post("/api/apps", json={"app_id": app_id, "name": "App"}).raise_for_status()
        yield Publisher(behind, client, client, tmp_path, app_id, KEY)


def info(front: str, publisher: Publisher, **headers: str) -> httpx.Response:
    return httpx.get(f"{front}/api/store/apps/{publisher.app_id}", headers=headers)


def test_a_publish_shows_within_the_time_that_the_portal_says(front: str, publisher: Publisher) -> None:
    publisher.publish(1)
    assert info(front, publisher).json()["version_code"] == 1
    publisher.publish(2)
    deadline = time.monotonic() + PATIENCE
    while info(front, publisher).json()["version_code"] == 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert info(front, publisher).json()["version_code"] == 2


def test_what_is_not_there_is_asked_for_again(front: str, publisher: Publisher) -> None:
    problem(info(front, publisher), 404, "NOT_FOUND")
    publisher.publish(1)
    assert info(front, publisher).json()["version_code"] == 1


def test_a_restart_of_the_portal_is_invisible(front: str, publisher: Publisher, behind: Portal) -> None:
    publisher.publish(1)
    publisher.client.post(f"/api/apps/{publisher.app_id}/icon", files={"icon": png(64, 64)}).raise_for_status()
    icon = f"{front}/assets/{publisher.app_id}/icon-64.png"
    before, icon_before = info(front, publisher), httpx.get(icon)
    behind.stop(signal.SIGKILL)
    try:
        after = info(front, publisher)
        assert (after.status_code, after.content) == (200, before.content)
        assert httpx.get(icon).content == icon_before.content
        other = httpx.get(f"{front}/api/store/apps/org.example.never.asked")
        problem(other, 503, "UNAVAILABLE")
        assert other.headers["retry-after"]
    finally:
        behind.start()
    await_portal(front)
    assert info(front, publisher).json()["version_code"] == 1


def await_portal(front: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while httpx.get(f"{front}/readyz").status_code != 200:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_dies_fails_no_request_that_can_be_tried_again(workers: int, tmp_path: Path) -> None:
    """Nor if nginx notices of all its connections at once that they are closed, as on a busy machine."""
    settings = {"socket": str(tmp_path / "portal.sock"), "accel": True, "proxied": True, "workers": workers}
    with (
        Portal(make_store(tmp_path / "store", **settings)) as portal,
        nginx_before(portal) as url,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        codes = [*pool.map(lambda _: httpx.get(f"{url}/readyz").status_code, range(4 * CLIENTS))]
        assert set(codes) == {200}, "now nginx keeps connections to each worker"
        nginx = children(int((tmp_path / "store/run/nginx.pid").read_text()))
        dying, kept = min(children(portal.process.pid)), descriptors(nginx)
        os.kill(dying, signal.SIGSTOP)
        asked = [pool.submit(httpx.get, f"{url}/readyz", timeout=PATIENCE) for _ in range(CLIENTS // 2)]
        deadline = time.monotonic() + 3  # fewer requests under way prove less, and fail nothing
        while descriptors(nginx) < kept + sum(not each.done() for each in asked) and time.monotonic() < deadline:
            time.sleep(0.02)
        with stopped(nginx):
            os.kill(dying, signal.SIGKILL)
            while dying in children(portal.process.pid):
                time.sleep(0.02)
        assert {each.result().status_code for each in asked} == {200}


def descriptors(processes: list[int]) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in processes)


@contextmanager
def stopped(processes: list[int]) -> Iterator[None]:
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)


def test_a_request_that_changes_something_is_sent_once(tmp_path: Path) -> None:
    settings = {"socket": str(tmp_path / "portal.sock"), "accel": True, "proxied": True, "workers": 1}
    portal = Portal(make_store(tmp_path / "store", **settings)).start()
    headers = {"Authorization": f"Bearer {add_developer(portal.store, 'dev')}"}
    try:
        with nginx_before(portal) as url, ThreadPoolExecutor(1) as pool:
            httpx.post(f"{url}/api/apps", json={"app_id": "org.example.app", "name": "App"}, headers=headers)
            (worker,) = children(portal.process.pid)
            with queue(portal.store.layout.database):
                asked = pool.submit(
                    httpx.delete, f"{url}/api/apps/org.example.app/screenshots/1", headers=headers, timeout=PATIENCE
                )
                while not re.search(rf"-> FLOCK +ADVISORY +WRITE {worker} ", Path("/proc/locks").read_text()):
                    assert not asked.done(), asked.result().text
                os.kill(worker, signal.SIGKILL)
            problem(asked.result(), 503, "UNAVAILABLE")
    finally:
        portal.stop()


def test_what_a_token_opens_is_not_kept_for_others(front: str, publisher: Publisher, token: str) -> None:
    publisher.client.post(f"/api/apps/{publisher.app_id}/icon", files={"icon": png(64, 64)}).raise_for_status()
    icon = f"{front}/assets/{publisher.app_id}/icon-64.png"
    mine = httpx.get(icon, headers={"Authorization": f"Bearer {token}"})
    assert (mine.status_code, mine.headers["cache-control"]) == (200, store_routes.UNPUBLISHED_CACHE)
    problem(httpx.get(icon), 404, "NOT_FOUND")
    publisher.publish(1)
    kept = info(front, publisher)
    wrong = info(front, publisher, Authorization="Bearer mosis_wrong")
    assert kept.status_code == 200
    problem(wrong, 401, "UNAUTHENTICATED")


@pytest.fixture(scope="module")
def icon(behind: Portal, front: str, token: str) -> dict[str, str]:
    """A published icon as the portal describes it."""
    app_id = "org.example.icon"
    with behind.client(token) as client:
        client.post("/api/apps", json={"app_id": app_id, "name": "Icon"}).raise_for_status()
        directory = behind.store.layout.root / "made"
        directory.mkdir()
        Publisher(behind, client, client, directory, app_id, KEY).publish(1)
        put = client.post(f"/api/apps/{app_id}/icon", files={"icon": png(128, 128)}).raise_for_status().json()
    return next(asset for asset in put["assets"] if asset["name"] == "icon-64.png")


@pytest.mark.parametrize("named", ["plain", "by digest"])
@pytest.mark.parametrize("time_asked", ["first", "again"])
@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({}, 200),
        ({"If-None-Match": "{etag}"}, 304),
        ({"If-None-Match": 'W/"other", W/{etag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Modified-Since": "{modified}"}, 304),
        ({"If-Modified-Since": "Fri, 31 Dec 2049 23:59:59 GMT"}, 304),
        ({"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 200),
        ({"If-None-Match": '"other"', "If-Modified-Since": "{modified}"}, 200),
        ({"If-Match": "{etag}"}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 412),
        ({"Range": "bytes=5-9"}, 428),
        ({"Range": "bytes=5-9", "If-Range": "{etag}"}, 206),
        ({"Range": "bytes=5-9", "If-Range": '"other"'}, 200),
        ({"Range": "bytes=999999-", "If-Range": "{etag}"}, 416),
        ({"Range": "bytes=0-0,2-3", "If-Range": "{etag}"}, 200),
    ],
)
def test_an_icon_is_the_same_from_the_portal_and_from_nginx(
    front: str,
    behind: Portal,
    icon: dict[str, str],
    condition: dict[str, str],
    status: int,
    time_asked: str,
    named: str,
) -> None:
    etag = f'"{icon["sha256"]}"'
    path, cache_control = icon["url"], store_routes.IMAGE_CACHE
    if named == "plain":
        path, cache_control = f"{path.rpartition('/')[0]}/{icon['name']}", store_routes.ASSET_CACHE
    elif status == 428:
        status = 206  # a part of what never changes needs no condition
    modified = httpx.get(behind.url + path).headers["last-modified"]
    headers = {name: value.format(etag=etag, modified=modified) for name, value in condition.items()}
    for method in ("GET", "HEAD"):
        portal, nginx = (httpx.request(method, base + path, headers=headers) for base in (behind.url, front))
        if method == "GET":
            assert portal.status_code == status
        assert nginx.status_code == portal.status_code
        if status >= 400 and method == "GET":
            assert nginx.json() | {"detail": ""} == portal.json() | {"detail": ""}  # nginx has evaluated it
        else:
            assert nginx.content == portal.content
        for name in ("etag", "cache-control", "content-type", "content-length", "content-range", "accept-ranges"):
            if portal.status_code not in (304, 412, 416) and (portal.status_code, name) != (206, "accept-ranges"):
                assert nginx.headers.get(name) == portal.headers.get(name), name
        if status == 416:
            assert nginx.headers.get("content-range") == portal.headers.get("content-range")
        if status == 200 and method == "GET":
            assert nginx.headers["etag"] == etag
            assert nginx.headers["repr-digest"] == f"sha-256=:{b64encode(bytes.fromhex(icon['sha256'])).decode()}:"
            assert nginx.headers["last-modified"] == modified
        if status == 304:
            assert nginx.headers["etag"] == etag
            assert nginx.headers["cache-control"] == cache_control


@pytest.mark.parametrize("path", ["/api/store/apps/org.example.icon", "/api/store/apps?q=icon", "/openapi.json"])
def test_store_json_is_the_same_from_the_portal_and_from_nginx(
    front: str, behind: Portal, icon: dict[str, str], path: str
) -> None:
    """At first nginx asks the portal, then it answers from its cache, which it revalidates."""
    tag = httpx.get(behind.url + path).headers["etag"]
    for headers in ({}, {"If-None-Match": tag}, {"If-None-Match": '"other"'}, {"If-Match": '"other"'}) * 2:
        portal, nginx = (httpx.get(base + path, headers=headers) for base in (behind.url, front))
        assert (nginx.status_code, portal.status_code) in {(200, 200), (304, 304), (412, 412)}
        if portal.status_code != 412:
            assert nginx.content == portal.content
            for name in ("etag", "cache-control"):
                assert nginx.headers[name] == portal.headers[name]


def test_a_publish_changes_the_entity_tag_behind_the_cache(front: str, publisher: Publisher) -> None:
    publisher.publish(1)
    tag = info(front, publisher).headers["etag"]
    assert info(front, publisher, **{"If-None-Match": tag}).status_code == 304
    publisher.publish(2)
    deadline = time.monotonic() + PATIENCE
    while (answer := info(front, publisher, **{"If-None-Match": tag})).status_code == 304:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert answer.json()["version_code"] == 2
    assert answer.headers["etag"] != tag


def test_a_yank_shows_through_the_cache(front: str, publisher: Publisher) -> None:
    publisher.publish(1)
    url = info(front, publisher).json()["download_url"]
    publisher.step(1, "yank", reason="It loses data.").raise_for_status()
    problem(httpx.get(front + url), 410, "YANKED")
    deadline = time.monotonic() + PATIENCE
    while (answer := info(front, publisher)).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "It loses data." in problem(answer, 410, "YANKED")["detail"]


def test_what_is_withdrawn_does_not_come_back_while_the_portal_is_down(
    front: str, publisher: Publisher, behind: Portal
) -> None:
    publisher.publish(1)
    publisher.client.post(f"/api/apps/{publisher.app_id}/icon", files={"icon": png(64, 64)}).raise_for_status()
    paths = [
        f"/api/store/apps/{publisher.app_id}", f"/assets/{publisher.app_id}/icon-64.png",
        f"/apps/{publisher.app_id}/qr.svg",
    ]  # fmt: skip
    assert {httpx.get(front + path).status_code for path in paths} == {200}
    publisher.step(1, "yank", reason="It steals passwords.").raise_for_status()
    deadline = time.monotonic() + PATIENCE
    for path in paths:
        while httpx.get(front + path).status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    behind.stop(signal.SIGKILL)
    try:
        assert 200 not in {httpx.get(front + path).status_code for path in paths}
        problem(httpx.get(front + paths[0]), 410, "YANKED")
    finally:
        behind.start()
    await_portal(front)


def test_the_largest_update_check_passes(front: str, publisher: Publisher) -> None:
    publisher.publish(1)
    installed = {f"org.{number:03}{'x' * 121}": 2**53 - 1 for number in range(499)} | {publisher.app_id: 0}
    answer = httpx.post(f"{front}/api/store/updates", json={"apps": installed}).raise_for_status()
    assert [update["app_id"] for update in answer.json()["updates"]] == [publisher.app_id]
    assert answer.headers["cache-control"] == "no-store"


def test_a_query_that_changes_nothing_is_no_entry_of_its_own(
    front: str, behind: Portal, icon: dict[str, str], token: str
) -> None:
    """Or a stranger fills the cache, a gigabyte of the store's disk, with copies of one image."""
    paths = (icon["url"], "/api/store/apps/org.example.icon", "/openapi.json", "/schemas/manifest.json")
    answers = {path: httpx.get(front + path).content for path in paths}
    before = cached(behind)
    for path, query in itertools.product(paths, ("", "x", "x=1", "q=a&cursor=b", "mosis_1", "%61=mosis_")):
        assert httpx.get(f"{front}{path}?{query}").content == answers[path]
    assert cached(behind) == before
    for query in (f"x={token}", f"token={token}", "Access_Token=x"):
        problem(httpx.get(f"{front}{icon['url']}?{query}"), 400, "INVALID_REQUEST")


def test_a_search_is_an_entry_of_its_own(front: str, icon: dict[str, str]) -> None:
    found = [httpx.get(f"{front}/api/store/apps?q={word}").json()["apps"] for word in ("icon", "nosuchword", "icon")]
    assert [bool(apps) for apps in found] == [True, False, True]


def cached(portal: Portal) -> list[Path]:
    run = portal.store.layout.root / "run"
    return sorted(path for name in ("cache", "cache-queries") for path in (run / name).rglob("*") if path.is_file())


def test_a_search_takes_no_room_of_what_devices_ask_for(front: str, behind: Portal, icon: dict[str, str]) -> None:
    before = set(cached(behind))
    for path in ("/api/store/apps?q=room", "/?q=room", "/apps/org.example.icon?q=room"):
        assert httpx.get(front + path).status_code == 200
    added = set(cached(behind)) - before
    assert {path.relative_to(behind.store.layout.root).parts[1] for path in added} == {"cache-queries"}


def test_every_answer_has_a_request_id_of_its_own(front: str, icon: dict[str, str]) -> None:
    of_client = "f" * 32
    sent = {"X-Request-ID": of_client}
    seen = [httpx.get(front + icon["url"], headers=sent).headers.get_list("x-request-id") for _ in range(3)]
    assert all(len(ids) == 1 for ids in seen)
    assert len({of_client, *(ids[0] for ids in seen)}) == 4


@pytest.mark.parametrize("path", ["/{}", "/api/store/apps/{}?q=x", "/x/{}/y%20?token={}"])
def test_a_token_in_an_address_is_not_logged(front: str, behind: Portal, token: str, path: str) -> None:
    log, token_id = behind.store.layout.root / "access.log", token[: len("mosis_") + 16]
    seen = log.read_text().count(token_id)
    httpx.get(front + path.format(token, token))
    deadline = time.monotonic() + PATIENCE
    while log.read_text().count(token_id) == seen:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert token not in log.read_text()


def test_a_long_address_is_cut_in_the_log(front: str, behind: Portal) -> None:
    """Or strangers fill the disk with it: the log is set aside every ten minutes at most."""
    log = behind.store.layout.root / "access.log"
    httpx.get(f"{front}/{'long' * 1500}")
    deadline = time.monotonic() + PATIENCE
    while not (lines := [line for line in log.read_text().splitlines() if "/longlong" in line]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert all(len(line) < 400 for line in lines)


def test_metrics_are_closed_to_other_networks(front: str) -> None:
    answer = problem(httpx.get(f"{front}/metrics"), 403, "FORBIDDEN")
    assert "networks of the operator" in answer["detail"], "nginx refuses, before the portal does"


def test_a_body_too_large_is_a_problem(front: str, behind: Portal) -> None:
    size = behind.store.settings.package_max_bytes + 2**21
    with socket.create_connection(("127.0.0.1", httpx.URL(front).port), timeout=PATIENCE) as connection:
        connection.sendall(f"POST /api/apps HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_slow_uploads_leave_threads_for_everything_else(front: str, publisher: Publisher, token: str) -> None:
    """A developer has as many under way as he may; the next is told to come back, a reader is served."""
    request = (
        f"POST /api/apps/{publisher.app_id}/versions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000000\r\n\r\n--x\r\n"
    ).encode()
    temp = publisher.portal.store.layout.area("temp")
    with ExitStack() as connections:
        for _ in range(SENDERS):
            slow = connections.enter_context(socket.create_connection(("127.0.0.1", httpx.URL(front).port)))
            slow.sendall(request)
        deadline = time.monotonic() + PATIENCE
        while len(list(temp.iterdir())) < SENDERS:  # each has its thread and its directory now
            assert time.monotonic() < deadline
            time.sleep(0.02)
        refused = publisher.client.post(f"/api/apps/{publisher.app_id}/versions", files={"package": b"x"})
        problem(refused, 503, "UNAVAILABLE")
        assert refused.headers["retry-after"]
        assert httpx.get(f"{front}/api/store/apps?q={os.getpid()}", timeout=PATIENCE).status_code == 200


def test_idle_connections_do_not_keep_the_next_one_waiting(behind: Portal) -> None:
    """More of them than threads: each holds its connection open after its answer, as nginx does."""
    with ExitStack() as connections:
        for _ in range(3 * THREADS):
            client = connections.enter_context(httpx.Client(timeout=PATIENCE))
            assert client.get(f"{behind.url}/healthz").status_code == 200
