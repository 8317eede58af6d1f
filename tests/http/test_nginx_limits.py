"""What clients of the deployed site may have under way at once, and who is a client. The addresses are those that a
reverse proxy on the host reports."""

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from portal.http.problems import KINDS
from tests.support.nginx import NGINX, nginx_before
from tests.support.patience import PATIENCE
from tests.support.portal import Portal, Publisher, add_developer, free_port, make_store, only_publisher, problem

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

THREADS = 8
SENDERS_PER_CLIENT = 2
SENDERS_PER_DEVELOPER = 3  # half of the places that three quarters of the threads are
CONDITIONAL_PER_CLIENT = 1
REQUESTS_PER_CLIENT = 250
STRANGERS = 250
DOZEN = [f"203.0.113.{number}" for number in range(100, 112)]
MIB = 1024 * 1024
STRANGER, NEIGHBOUR, OWNER = "203.0.113.7", "203.0.113.8", "198.51.100.1"


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    root = tmp_path_factory.mktemp("limits")
    settings = {"port": free_port(), "accel": True, "proxied": True, "workers": 1, "threads": THREADS}
    with (
        Portal(make_store(root / "store", **settings)) as portal,
        only_publisher(portal, root, scope="admin") as publisher,
    ):
        publisher.publish(1, payload_bytes=12 * MIB)
        yield publisher


@pytest.fixture(scope="module")
def front(publisher: Publisher) -> Iterator[httpx.URL]:
    limits = {"requests_per_client": REQUESTS_PER_CLIENT, "senders_per_client": SENDERS_PER_CLIENT}
    limits["requests_per_second"] = 100_000  # what is limited here is what goes on at once
    with nginx_before(publisher.portal, **limits) as url:
        yield httpx.URL(url)


@pytest.fixture
def owner(publisher: Publisher, front: httpx.URL) -> Iterator[Publisher]:
    """The publisher at an address of its own."""
    headers = {"Authorization": publisher.client.headers["authorization"], "X-Forwarded-For": OWNER}
    with httpx.Client(base_url=front, headers=headers, timeout=PATIENCE) as client:
        yield Publisher(publisher.portal, client, client, publisher.directory, publisher.app_id, publisher.key)


def begin(front: httpx.URL, method: str, target: str, address: str, *lines: str) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # a client that does not read
    connection.settimeout(PATIENCE)
    connection.connect((front.host, front.port))
    head = [f"{method} {target} HTTP/1.1", "Host: x", f"X-Forwarded-For: {address}", *lines, "", ""]
    connection.sendall("\r\n".join(head).encode())
    return connection


def status_of(connection: socket.socket) -> int:
    return int(connection.recv(12, socket.MSG_PEEK).split()[1])


@contextmanager
def slow_strangers(front: httpx.URL, target: str, addresses: list[str]) -> Iterator[None]:
    """As many as STRANGERS who announce a body and send a byte of it now and then; who is cut comes back."""
    stop = threading.Event()

    def trickle() -> None:
        connections: list[socket.socket | None] = [None] * STRANGERS
        while not stop.wait(0.1):
            for number, connection in enumerate(connections):
                try:
                    if connection is None:
                        connections[number] = begin(front, "POST", target, addresses[number % len(addresses)], *FORM)
                    else:
                        connection.send(b"x")
                except OSError:
                    if connection is not None:
                        connection.close()
                    connections[number] = None
        for connection in filter(None, connections):
            connection.close()

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


FORM = ("Content-Type: multipart/form-data; boundary=x", "Content-Length: 1000000")


@pytest.mark.parametrize("addresses", [[STRANGER], DOZEN], ids=["one address", "a dozen"])
def test_slow_strangers_do_not_keep_an_owner_from_anything(
    front: httpx.URL, owner: Publisher, addresses: list[str]
) -> None:
    versions = f"/api/apps/{owner.app_id}/versions"
    with slow_strangers(front, versions, addresses):
        for address in addresses:
            deadline = time.monotonic() + PATIENCE
            while (
                httpx.post(front.join(versions), headers={"X-Forwarded-For": address}, content=b"x").status_code != 503
            ):
                assert time.monotonic() < deadline
        first = max(version["version_code"] for version in owner.client.get(versions).json()["versions"]) + 1
        for code in range(first, first + 5):
            assert owner.client.get(versions).status_code == 200
            assert owner.upload(owner.package(code)).status_code == 201
            assert owner.step(code, "submit").status_code == 200
            assert owner.step(code, "publish").status_code == 200
            assert owner.step(code, "yank", reason="It crashes.").status_code == 200


def senders(front: httpx.URL, publisher: Publisher, connections: ExitStack, addresses: list[str]) -> None:
    """One sender from each address, who has its thread of the portal and its directory."""
    temp = publisher.portal.store.layout.area("temp")
    token = f"Authorization: {publisher.client.headers['authorization']}"
    target = f"/api/apps/{publisher.app_id}/versions"
    part = b'--x\r\nContent-Disposition: form-data; name="package"; filename="a"\r\n\r\nPK'
    deadline = time.monotonic() + PATIENCE
    for address in addresses:
        before = set(temp.iterdir())
        while not set(temp.iterdir()) - before:
            assert time.monotonic() < deadline
            connection = begin(front, "POST", target, address, token, *FORM)
            connection.sendall(part)
            while not (set(temp.iterdir()) - before or is_answered(connection)):
                assert time.monotonic() < deadline
            if is_answered(connection):  # connections of the test before still have their places
                connection.close()
            else:
                connections.enter_context(connection)


def is_answered(connection: socket.socket) -> bool:
    """Whether an answer arrives within a moment."""
    return bool(select.select([connection], [], [], 0.05)[0])


@pytest.mark.parametrize(
    ("addresses", "refused", "accepted"),
    [
        ([STRANGER] * SENDERS_PER_CLIENT, STRANGER, NEIGHBOUR),
        (["2001:db8:0:1::1", "2001:db8:0:1:ffff::2"], "2001:db8:0:1::3", "2001:db8:0:2::1"),
        (["::ffff:203.0.113.7", "::ffff:203.0.113.7"], "::ffff:203.0.113.7", NEIGHBOUR),
    ],
    ids=["an IPv4 address", "an IPv6 site", "an IPv4 address in IPv6"],
)
def test_uploads_at_once(
    front: httpx.URL, publisher: Publisher, addresses: list[str], refused: str, accepted: str
) -> None:
    def upload(address: str) -> httpx.Response:
        url = front.join(f"/api/apps/{publisher.app_id}/versions")
        return httpx.post(url, headers={"X-Forwarded-For": address}, files={"package": b"x"}, timeout=PATIENCE)

    with ExitStack() as connections:
        senders(front, publisher, connections, addresses)
        answer = upload(refused)
        body = problem(answer, 503, "UNAVAILABLE")
        assert (answer.headers["retry-after"], body["title"]) == ("2", KINDS["UNAVAILABLE"].title)
        problem(upload(accepted), 401, "UNAUTHENTICATED")
        for method in ("GET", "POST"):  # what has no body needs no place
            bodiless = httpx.request(
                method, front.join(f"/api/apps/{publisher.app_id}/versions"), headers={"X-Forwarded-For": refused}
            )
            problem(bodiless, 401, "UNAUTHENTICATED")


def test_bodies_in_chunks_at_once(front: httpx.URL) -> None:
    """nginx collects them, and each takes ten times the memory of one with a length."""

    def answer(address: str, content: Iterator[bytes] | bytes) -> int:
        headers = {"X-Forwarded-For": address, "Content-Type": "application/json"}
        return httpx.post(front.join("/api/apps"), headers=headers, content=content, timeout=PATIENCE).status_code

    with ExitStack() as connections:
        for _ in range(SENDERS_PER_CLIENT):
            begun = connections.enter_context(begin(front, "POST", "/api/apps", STRANGER, "Transfer-Encoding: chunked"))
            begun.sendall(b"1\r\nx\r\n")
        deadline = time.monotonic() + PATIENCE
        while answer(STRANGER, iter([b"{}"])) != 503:
            assert time.monotonic() < deadline
        assert (answer(STRANGER, b"{}"), answer(NEIGHBOUR, iter([b"{}"]))) == (401, 401)


def test_a_developer_of_many_addresses_leaves_places_for_others(front: httpx.URL, publisher: Publisher) -> None:
    path, files = f"/api/apps/{publisher.app_id}/versions", {"package": b"x"}
    other = {"Authorization": f"Bearer {add_developer(publisher.portal.store, 'other')}", "X-Forwarded-For": OWNER}
    own = {"Authorization": publisher.client.headers["authorization"], "X-Forwarded-For": OWNER}
    with ExitStack() as connections:
        senders(front, publisher, connections, DOZEN[:SENDERS_PER_DEVELOPER])
        problem(httpx.post(front.join(path), headers=own, files=files, timeout=PATIENCE), 503, "UNAVAILABLE")
        problem(httpx.post(front.join(path), headers=other, files=files, timeout=PATIENCE), 404, "NOT_FOUND")


def test_a_proxy_that_reports_no_address_is_not_one_client(front: httpx.URL, publisher: Publisher) -> None:
    with ExitStack() as connections:
        senders(front, publisher, connections, ["127.0.0.1"] * SENDERS_PER_DEVELOPER)


def test_downloads_that_pass_through_the_portal_are_few_and_the_others_go_on(
    front: httpx.URL, publisher: Publisher
) -> None:
    path = f"/downloads/{publisher.developer_id}/{publisher.app_id}/1/package.mosis"
    etag = httpx.head(publisher.portal.url + path).headers["etag"]
    with ExitStack() as connections:

        def unread(address: str, *lines: str) -> int:
            return status_of(connections.enter_context(begin(front, "GET", path, address, *lines)))

        assert unread(STRANGER, f"If-Match: {etag}") == 200
        assert unread(STRANGER, f"If-Match: {etag}") == 503
        assert unread(NEIGHBOUR, f"If-Match: {etag}") == 200
        assert unread(OWNER, f"If-Match: {etag}") == 503  # a quarter of the threads, of all clients
        for _ in range(2 * THREADS):
            assert unread(OWNER) == unread(OWNER, "If-Match: *") == 200
            assert unread(OWNER, "Range: bytes=1-", f"If-Range: {etag}") == 206
        assert httpx.get(front.join("/readyz"), timeout=PATIENCE).status_code == 200


def test_requests_at_once(front: httpx.URL, publisher: Publisher) -> None:
    path = f"/downloads/{publisher.developer_id}/{publisher.app_id}/1/package.mosis"
    with ExitStack() as connections:
        for _ in range(REQUESTS_PER_CLIENT):
            assert status_of(connections.enter_context(begin(front, "GET", path, STRANGER))) == 200
        headers = {"X-Forwarded-For": STRANGER}
        problem(httpx.get(front.join("/healthz"), headers=headers), 503, "UNAVAILABLE")
        assert httpx.get(front.join("/healthz"), headers={"X-Forwarded-For": NEIGHBOUR}).status_code == 200


def test_metrics_are_closed_to_the_clients_of_a_proxy_on_the_host(front: httpx.URL) -> None:
    assert httpx.get(front.join("/metrics")).status_code == 200
    for name in ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"):
        for value in (STRANGER, "127.0.0.1"):
            problem(httpx.get(front.join("/metrics"), headers={name: value}), 403, "FORBIDDEN")


@pytest.mark.parametrize("apart", [False, True], ids=["in one segment", "in two"])
def test_a_form_in_chunks_is_refused_however_it_arrives(front: httpx.URL, publisher: Publisher, apart: bool) -> None:
    body = b"3\r\n--x\r\n0\r\n\r\n"
    lines = (FORM[0], "Transfer-Encoding: chunked")
    target = f"/api/apps/{publisher.app_id}/versions"
    with begin(front, "POST", target, STRANGER, *lines) as connection:
        if apart:
            assert status_of(connection) == 411
        with suppress(OSError):
            connection.sendall(body)
        assert status_of(connection) == 411
