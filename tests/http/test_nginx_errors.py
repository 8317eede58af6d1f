"""What nginx itself answers: for a program a problem of the portal's table, for a browser a page that says the same."""

import html
import json
import re
import signal
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from deploys.plan.nginx import ERRORS, SMALL_BODY_MAX, Error
from portal.http import people, problems
from portal.web import rendering
from tests.support.nginx import NGINX, configuration, nginx_before, running
from tests.support.patience import PATIENCE
from tests.support.portal import Portal, free_port, make_store

HOST = "Host: x\r\n"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
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
BEFORE_HEADERS = ("not HTTP", "no Host", "a path with NUL", "a long address", "HTTP/3 over TCP")
"""Requests that nginx refuses before it has read what the client accepts."""

NEVER = {
    **dict.fromkeys((401, 402, 406, 409, 410, 415, 507), "of modules that are not used"),
    408: "a silent connection is closed",
    **dict.fromkeys((421, 495, 496), "no client needs a certificate"),
}
SECURITY = {name: value for name, value in rendering.SECURITY.items() if name != "Content-Security-Policy"}


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    root = tmp_path_factory.mktemp("errors")
    settings = {"port": free_port(), "accel": True, "proxied": True, "metrics_networks": ["192.0.2.0/24"]}
    with Portal(make_store(root / "store", **settings)) as running:
        yield running


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


def answered(port: int | None, sent: str, client: str = "127.0.0.1") -> tuple[int, dict[str, str], str]:
    """Status, headers and body of the answer to these bytes, for a client at an address of this host."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE, (client, 0)) as connection:
        connection.sendall(sent.encode())
        received = b""
        while not whole(received) and (chunk := connection.recv(65536)):
            received += chunk
    head, _, body = received.decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return int(status.split()[1]), headers, body


def is_problem(code: str, headers: Mapping[str, str], body: str) -> bool:
    shown = json.loads(body)
    assert shown == problems.body(code, shown["detail"])
    return headers["content-type"] == problems.CONTENT_TYPE


def is_page(code: str, headers: Mapping[str, str], body: str) -> bool:
    for text in (problems.KINDS[code].title, people.HINTS[code], headers["x-request-id"], 'href="/"'):
        assert text in html.unescape(body)
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", body) == ["data:,", "", "/"], "nothing is asked of a portal"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert {name: headers[name.lower()] for name in SECURITY} == SECURITY
    return headers["content-type"] == rendering.HTML


@pytest.mark.parametrize("name", REQUESTS)
def test_an_error_of_nginx_is_a_problem_of_the_table(front: httpx.URL, name: str) -> None:
    sent, code = REQUESTS[name]
    status, headers, body = answered(front.port, sent)
    assert status == problems.KINDS[code].status
    assert is_problem(code, headers, body)
    assert headers["cache-control"] == "no-store"
    assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])


@pytest.mark.parametrize("name", [name for name in REQUESTS if name not in BEFORE_HEADERS])
def test_an_error_of_nginx_is_a_page_for_a_browser(front: httpx.URL, name: str) -> None:
    sent, code = REQUESTS[name]
    status, headers, body = answered(front.port, sent.replace(HOST, f"{HOST}Accept: {BROWSER['Accept']}\r\n"))
    assert status == problems.KINDS[code].status
    for_programs = sent.split()[1].startswith(people.PROGRAM_PATHS)
    assert (is_problem if for_programs else is_page)(code, headers, body)
    assert (headers["cache-control"], headers["vary"]) == ("no-store", "Accept")


@pytest.fixture(scope="module")
def returning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """nginx in front of a portal that is not running: it answers the status that the address names, by itself."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    store = make_store(tmp_path_factory.mktemp("returning") / "store", port=free_port())
    run = store.layout.root / "run"
    statuses = sorted(status for error in ERRORS for status in error.statuses)
    asked = "".join(f"    location = /return/{status} {{ return {status}; }}\n" for status in statuses)

    def site(port: int) -> str:
        return configuration(store.settings, port, run).replace("    location / {", f"{asked}    location / {{", 1)

    with running(site, run) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.mark.parametrize(("status", "error"), [(status, error) for error in ERRORS for status in error.statuses])
def test_each_status_of_nginx_has_both_forms(returning: httpx.Client, status: int, error: Error) -> None:
    for headers, shows in ((BROWSER, is_page), ({}, is_problem)):
        answers = [returning.request(method, f"/return/{status}", headers=headers) for method in ("GET", "POST")]
        for answer in answers:
            assert answer.status_code == error.status
            assert shows(error.code, answer.headers, answer.text)
            assert answer.headers.get("retry-after") == (str(error.retry_after) if error.retry_after else None)
        head = returning.head(f"/return/{status}", headers=headers)
        unlike = {"date", "x-request-id", "connection"}
        assert [(name, value) for name, value in head.headers.items() if name not in unlike] == [
            (name, value) for name, value in answers[0].headers.items() if name not in unlike
        ]


def test_no_other_status_is_one_that_nginx_can_answer() -> None:
    """nginx has a page of its own for each of these (ngx_http_special_response.c)."""
    answered_by = {status for error in ERRORS for status in error.statuses}
    assert answered_by | NEVER.keys() == {
        *range(400, 407),
        *range(408, 417),
        421,
        429,
        *range(494, 498),
        *range(500, 506),
        507,
    }
    assert not answered_by & NEVER.keys()


def test_nginx_sends_nobody_elsewhere(front: httpx.URL) -> None:
    """It would lead a reader who came by https to plain http."""
    for path in ("/catalogue", "/api", "/assets", "/static", "/apps", "/_files", "/_files/range"):
        answer = httpx.get(front.join(path), headers=BROWSER)
        assert (answer.status_code, answer.headers.get("location")) == (404, None), path


def test_a_portal_that_is_down_is_a_problem_of_the_table(front: httpx.URL, portal: Portal) -> None:
    portal.stop(signal.SIGKILL)
    try:
        for method in ("GET", "POST", "PUT"):
            for path, headers, shows in (
                (f"/api/uploads/{'0' * 32}", BROWSER, is_problem),
                ("/console", {}, is_problem),
                ("/console", BROWSER, is_page),
            ):
                answer = httpx.request(method, front.join(path), headers=headers, content=bytes(50_000))
                assert shows("UNAVAILABLE", answer.headers, answer.text)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    finally:
        portal.start()


SECRETS = {
    "a preview link": f"/preview/mosis_{'0' * 16}_{{}}",
    "a package of a preview": f"/preview/mosis_{'0' * 16}_{{}}/package.mosis",
    "a token as a path": f"/api/store/apps/mosis_{'0' * 16}_{{}}",
    "a token in a query": f"/console?token=mosis_{'0' * 16}_{{}}",
    "an encoded token": f"/preview/mosis%5F{'0' * 16}_{{}}",
    "an otherwise encoded token": f"/preview/%6dosis_{'0' * 16}_{{}}?a=b",
    "a signed upload": f"/api/uploads/{'0' * 32}?expires=1&signature={{}}",
    "a signed download": "/downloads/acme/org.example.reader/1/package.mosis?expires=1&signature={}",
}
SECRET = "s3" * 21 + "x"


def test_no_log_of_nginx_has_a_secret_of_an_address(tmp_path: Path) -> None:
    """Whatever it complains of: a portal that is away, a body that is too large, or a client that is over its limit."""
    store = make_store(tmp_path / "store", port=free_port(), proxied=True, package_max_bytes=1024)
    root = store.layout.root
    run = root / "run"
    with running(lambda port: configuration(store.settings, port, run, requests_per_client=1), run) as url:
        for path in SECRETS.values():
            target = httpx.URL(url, raw_path=path.format(SECRET).encode())
            assert httpx.get(target).json()["code"] == "UNAVAILABLE"
            assert httpx.put(target, content=b"x").json()["code"] == "UNAVAILABLE"
            assert httpx.put(target, content=bytes(2 * 1024 * 1024)).json()["code"] == "FILE_TOO_LARGE"
        assert httpx.get(f"{url}/apps/x").status_code == 503
    logs = (root / "access.log").read_text() + (run / "nginx.log").read_text()
    assert "/apps/x" in logs
    assert "s3s3" not in logs
    store.db.close()
