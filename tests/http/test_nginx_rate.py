"""How many requests a second nginx answers a client, and that what it did not count is not in its log."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.http.test_nginx_errors import HOST, REQUESTS, answered, is_problem
from tests.support.nginx import NGINX, certificate_in, configuration, running
from tests.support.patience import PATIENCE
from tests.support.portal import free_port, make_store

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

AT_ONCE = 10  # of a client; then one a second
MANY = 1000  # nobody has so many seconds
BROKEN = REQUESTS["a broken chunk"][0]
TOKEN = f"Authorization: Bearer mosis_{'0' * 16}_{'x' * 43}\r\n"
KINDS = {name: sent for name, (sent, _) in REQUESTS.items() if sent != BROKEN} | {
    "what the portal answers": f"GET / HTTP/1.1\r\n{HOST}\r\n",
    "a token": f"GET /api/me HTTP/1.1\r\n{HOST}{TOKEN}\r\n",
    "what it does not know": f"BREW / HTTP/1.1\r\n{HOST}\r\n",
}


@dataclass(frozen=True)
class Site:
    """nginx in front of a portal that is away, and its log, which is complete once nginx has ended."""

    port: int
    log: Path

    def answered(self, sent: str, client: str) -> int:
        """How many of a client's requests were answered before one was refused, and that one as it should be."""
        for number in range(MANY):
            status, headers, body = answered(self.port, sent, client)
            if status == 429:
                assert is_problem("RATE_LIMITED", headers, body)
                assert (headers["retry-after"], headers["cache-control"]) == ("10", "no-store")
                return number
        pytest.fail(f"no request was refused: {sent[:50]!r}")

    def logged(self, client: str) -> int:
        return sum(line.startswith(f"{client} ") for line in self.log.read_text().splitlines())


@contextmanager
def site(directory: Path, *, https: bool = False, **data: object) -> Iterator[Site]:
    """Where there is https, the site at the port of plain http."""
    store = make_store(directory / "store", port=free_port(), proxied=True)
    run, certificate = store.layout.root / "run", certificate_in(directory, "127.0.0.1")

    def text(port: int) -> str:
        tls = dict(zip(("certificate", "key"), certificate, strict=True)) | {"port": free_port()} if https else None
        return configuration(
            store.settings, port, run, {"challenges": directory}, requests_per_second=AT_ONCE // 10, tls=tls, **data
        )

    with running(text, run) as url:
        yield Site(httpx.URL(url).port or 0, store.layout.root / "access.log")
    store.db.close()


@pytest.mark.parametrize("https", [False, True])
def test_whatever_a_client_sends_is_limited_and_logged_until_then(tmp_path: Path, *, https: bool) -> None:
    """Also what nginx refuses before it looks at its limits: a log without a bound is a full disk."""
    clients = {f"127.77.0.{number}": sent for number, sent in enumerate(KINDS.values(), 1)}
    with site(tmp_path, https=https, trusted_proxies=()) as front:
        answered = {client: front.answered(sent, client) for client, sent in clients.items()}
    assert min(answered.values()) > AT_ONCE
    assert {client: front.logged(client) for client in clients} == answered


def test_a_refused_request_with_a_broken_body_is_not_logged(tmp_path: Path) -> None:
    """nginx finds the fault when it discards the body, and answers that."""
    with site(tmp_path, trusted_proxies=()) as front:
        assert {answered(front.port, BROKEN, "127.0.0.1")[0] for _ in range(MANY)} == {400}
    assert AT_ONCE < front.logged("127.0.0.1") < MANY


def test_a_request_that_is_not_finished_is_not_logged(tmp_path: Path) -> None:
    with site(tmp_path, trusted_proxies=()) as front:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", front.port), PATIENCE) as connection:
                connection.sendall(b"GET / HT")
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(1) == b""
        assert answered(front.port, KINDS["what the portal answers"], "127.0.0.1")[0] == 503
    assert front.logged("127.0.0.1") == 1


def test_a_proxy_that_names_no_client_is_not_limited_and_its_clients_are(tmp_path: Path) -> None:
    named = f"GET / HTTP/1.1\r\n{HOST}X-Forwarded-For: {{}}\r\n\r\n"
    with site(tmp_path) as front:
        assert front.answered(named.format("203.0.113.7"), "127.0.0.1") > AT_ONCE
        others = "203.0.113.8", "124.0.0.1", "2001:db8::1"  # the second begins with a byte that is "|"
        assert [answered(front.port, named.format(other), "127.0.0.1")[0] for other in others] == [503] * 3
        for _ in range(3 * AT_ONCE):
            assert answered(front.port, KINDS["what the portal answers"], "127.0.0.1")[0] == 503
    assert front.logged("127.0.0.1") == 3 * AT_ONCE


def test_the_addresses_of_an_ipv6_site_are_one_client(tmp_path: Path) -> None:
    sent = f"GET / HTTP/1.1\r\n{HOST}X-Forwarded-For: 2001:db8:0:1::{{:x}}\r\n\r\n"
    with site(tmp_path) as front:
        assert 429 in (answered(front.port, sent.format(number), "127.0.0.1")[0] for number in range(MANY))


def test_ipv4_addresses_that_a_proxy_maps_into_ipv6_are_clients_of_their_own(tmp_path: Path) -> None:
    """A proxy that listens for IPv6 alone sees IPv4 clients as ::ffff:192.0.2.1: all of them have one /64."""
    sent = f"GET / HTTP/1.1\r\n{HOST}X-Forwarded-For: {{}}\r\n\r\n"
    with site(tmp_path) as front:
        assert front.answered(sent.format("::ffff:203.0.113.7"), "127.0.0.1") > AT_ONCE
        for other in ("::ffff:203.0.113.8", "::fffe:203.0.113.7"):
            assert answered(front.port, sent.format(other), "127.0.0.1")[0] == 503
        assert front.answered(sent.format("203.0.113.7"), "127.0.0.1") < AT_ONCE, "it is the first one"
