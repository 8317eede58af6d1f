"""What nginx itself answers is a problem of the portal's table: one code has one type and one title."""

import json
import re
import signal
import socket
from collections.abc import Iterator

import httpx
import pytest

from deploys.plan.nginx import SMALL_BODY_MAX
from portal.http import problems
from tests.support.nginx import NGINX, nginx_before
from tests.support.portal import Portal, free_port, make_store

PATIENCE = 60  # seconds until a test gives up
HOST = "Host: x\r\n"
LONG = "x" * 40_000

REQUESTS = {
    "not HTTP": ("what is this\r\n\r\n", "INVALID_REQUEST"),
    "no Host": ("GET / HTTP/1.1\r\n\r\n", "INVALID_REQUEST"),
    "two lengths": (f"POST / HTTP/1.1\r\n{HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "INVALID_REQUEST"),
    "a broken chunk": (f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\nzz\r\n", "INVALID_REQUEST"),
    "a path with NUL": (f"GET /%00 HTTP/1.1\r\n{HOST}\r\n", "INVALID_REQUEST"),
    "metrics of another network": (f"GET /metrics HTTP/1.1\r\n{HOST}\r\n", "FORBIDDEN"),
    "an internal address": (f"GET /_problems/NOT_FOUND HTTP/1.1\r\n{HOST}\r\n", "NOT_FOUND"),
    "an internal file": (f"GET /_files/x HTTP/1.1\r\n{HOST}\r\n", "FILE_NOT_FOUND"),
    "TRACE": (f"TRACE / HTTP/1.1\r\n{HOST}\r\n", "NOT_IMPLEMENTED"),
    "a coding": (f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip\r\n\r\n", "NOT_IMPLEMENTED"),
    "a form in chunks": (
        f"POST /api/apps/x/icon HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n",
        "LENGTH_REQUIRED",
    ),
    "a large body": (f"POST / HTTP/1.1\r\n{HOST}Content-Length: {SMALL_BODY_MAX + 1}\r\n\r\n", "FILE_TOO_LARGE"),
    "a long address": (f"GET /{LONG} HTTP/1.1\r\n{HOST}\r\n", "URI_TOO_LONG"),
    "a long header": (f"GET / HTTP/1.1\r\n{HOST}X-Long: {LONG}\r\n\r\n", "HEADERS_TOO_LARGE"),
    "HTTP/3 over TCP": (f"GET / HTTP/3.0\r\n{HOST}\r\n", "HTTP_VERSION_NOT_SUPPORTED"),
}


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    root = tmp_path_factory.mktemp("errors")
    settings = {"port": free_port(), "accel": True, "proxied": True, "metrics_networks": ["192.0.2.0/24"]}
    running = Portal(make_store(root / "store", **settings)).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def front(portal: Portal) -> Iterator[httpx.URL]:
    if NGINX is None:
        pytest.skip("nginx is not installed")
    with nginx_before(portal) as url:
        yield httpx.URL(url)


def whole(received: bytes) -> bool:
    """Whether an answer has arrived: a client that sends less than it announced is not waited for, but cut."""
    head, blank, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"^content-length: (\d+)", head, re.IGNORECASE | re.MULTILINE)
    return bool(blank) and length is not None and len(body) >= int(length[1])


def answered(front: httpx.URL, sent: str) -> tuple[int, dict[str, str], dict[str, object]]:
    """Status, headers and body of the answer to these bytes."""
    with socket.create_connection((front.host, front.port), timeout=PATIENCE) as connection:
        connection.sendall(sent.encode())
        received = b""
        while not whole(received) and (chunk := connection.recv(65536)):
            received += chunk
    head, _, body = received.decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return int(status.split()[1]), headers, json.loads(body)


@pytest.mark.parametrize("name", REQUESTS)
def test_an_error_of_nginx_is_a_problem_of_the_table(front: httpx.URL, name: str) -> None:
    sent, code = REQUESTS[name]
    status, headers, body = answered(front, sent)
    assert status == problems.KINDS[code].status
    assert body == problems.body(code, str(body["detail"]))
    assert (headers["content-type"], headers["cache-control"]) == (problems.CONTENT_TYPE, "no-store")
    assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])


def test_a_portal_that_is_down_is_a_problem_of_the_table(front: httpx.URL, portal: Portal) -> None:
    portal.stop(signal.SIGKILL)
    try:
        for method in ("GET", "POST", "PUT"):
            answer = httpx.request(method, front.join(f"/api/uploads/{'0' * 32}"), content=bytes(100_000))
            body = answer.json()
            assert body == problems.body("UNAVAILABLE", body["detail"])
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    finally:
        portal.start()
