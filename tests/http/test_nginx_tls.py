"""A store with a certificate of its own, as on a Debian host: https for everybody, and metrics for the host alone."""

import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deploys.plan.data import HSTS
from portal.http.security_headers import DEFAULTS
from portal.store import audit, refusals
from tests.http.test_images import png
from tests.support.nginx import NGINX, certificate_in, configuration, nginx_before, running
from tests.support.patience import PATIENCE
from tests.support.portal import Portal, Publisher, free_port, make_store, only_publisher, problem

BROWSER = {"Accept": "text/html"}
TOKEN = {"Authorization": f"Bearer mosis_{'0' * 16}_{'x' * 43}"}


@dataclass(frozen=True)
class Front:
    """The URLs at which nginx answers, where it finds challenges, and a client that trusts the certificate."""

    plain: str
    https: str
    metrics: str
    challenges: Path
    client: httpx.Client


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    settings = {"port": free_port(), "accel": True, "proxied": True, "workers": 1}
    with Portal(make_store(tmp_path_factory.mktemp("tls") / "store", **settings)) as running_portal:
        yield running_portal


@pytest.fixture(scope="module")
def publisher(portal: Portal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    with only_publisher(portal, tmp_path_factory.mktemp("packages"), scope="admin") as one:
        one.publish(1)
        one.client.post(f"/api/apps/{one.app_id}/icon", files={"icon": png(64, 64)}).raise_for_status()
        yield one


@pytest.fixture(scope="module")
def front(portal: Portal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with front_of(portal, tmp_path_factory.mktemp("certificate")) as one:
        yield one


@contextmanager
def front_of(portal: Portal, place: Path, **data: object) -> Iterator[Front]:
    """nginx with a certificate, below `place`; `data` is host data."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    run = place / "run"
    certificate, key = certificate_in(place, "127.0.0.1")
    https_port, metrics_port = 0, 0

    def site(port: int) -> str:
        nonlocal https_port, metrics_port
        https_port, metrics_port = free_port(), free_port()
        tls = {"certificate": certificate, "key": key, "port": https_port}
        variables = {"metrics_port": metrics_port, "challenges": place, "cache": run / "cache"}
        return configuration(portal.store.settings, port, run, variables, tls=tls, **data)

    with running(site, run) as url, httpx.Client(verify=ssl.create_default_context(cafile=certificate)) as client:
        yield Front(url, f"https://127.0.0.1:{https_port}", f"http://127.0.0.1:{metrics_port}", place, client)


def every_kind_of_answer(publisher: Publisher) -> dict[str, str]:
    """Addresses whose answers come from the portal, from its cache, from a file, or from nginx alone."""
    app = publisher.app_id
    return {
        "JSON": "/healthz",
        "cached JSON": f"/api/store/apps/{app}",
        "a page": "/",
        "an icon": f"/assets/{app}/icon-64.png",
        "a package": f"/downloads/{publisher.developer_id}/{app}/1/package.mosis",
        "a problem of the portal": "/api/store/apps/org.example.none",
        "a problem of nginx": "/_files/x",
        "a refusal of nginx": "/%00",
    }


def test_every_answer_by_https_has_the_security_headers(front: Front, publisher: Publisher) -> None:
    for kind, path in every_kind_of_answer(publisher).items():
        answer = front.client.get(httpx.URL(front.https, raw_path=path.encode()), headers={"Accept": "*/*"})
        assert answer.headers.get_list("strict-transport-security") == [HSTS["subdomains"]], kind
        assert answer.headers["server"] == "nginx", "whichever version it is"
        for name in DEFAULTS:
            [value] = answer.headers.get_list(name)
            assert (value == DEFAULTS[name]) == (kind != "a page" or name == "X-Content-Type-Options"), (kind, name)


def test_people_and_devices_are_led_to_https(front: Front, publisher: Publisher) -> None:
    for path in ("/", f"/apps/{publisher.app_id}?a=b&c=%20d", "/api/store/apps", "/metrics", "/_files/x"):
        for method in ("GET", "HEAD"):
            answer = httpx.request(method, front.plain + path)
            assert (answer.status_code, answer.headers["location"]) == (308, front.https + path)
            assert "strict-transport-security" not in answer.headers, "plain http cannot say so (RFC 6797)"
            assert {name: answer.headers[name] for name in DEFAULTS} == DEFAULTS
            assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_a_token_in_the_clear_is_refused_not_led_on(front: Front) -> None:
    for method in ("GET", "PUT", "POST", "DELETE"):
        body = None if method == "GET" else bytes(200_000)
        answer = httpx.request(method, f"{front.plain}/api/apps", headers=TOKEN, content=body)
        assert "revoke that token" in problem(answer, 403, "FORBIDDEN")["detail"]
    signed = httpx.get(f"{front.plain}/downloads/a/org.example.a/1/package.mosis?expires=1&signature=x")
    assert "revoke that token" in problem(signed, 403, "FORBIDDEN")["detail"]
    page = httpx.post(f"{front.plain}/console/sign-in", headers=BROWSER, data={"token": "x"})
    assert (page.status_code, "begins with https://" in page.text) == (403, True)


def test_the_authority_finds_the_answer_to_its_challenge(front: Front) -> None:
    challenges = front.challenges / ".well-known/acme-challenge"
    challenges.mkdir(parents=True)
    (challenges / "name").write_text("name.thumbprint")
    answer = httpx.get(f"{front.plain}/.well-known/acme-challenge/name")
    assert (answer.text, answer.headers["content-type"]) == ("name.thumbprint", "text/plain; charset=utf-8")
    for other in ("other", ""):
        problem(httpx.get(f"{front.plain}/.well-known/acme-challenge/{other}"), 404, "NOT_FOUND")


def test_plain_http_at_the_port_of_https_is_a_problem(front: Front) -> None:
    answer = httpx.get(front.https.replace("https", "http"))
    problem(answer, 400, "INVALID_REQUEST")


def test_https_is_http_1_1_alone(front: Front) -> None:
    """docs/architecture.md has the reason."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    url = httpx.URL(front.https)
    with (
        socket.create_connection((url.host, url.port), timeout=PATIENCE) as connection,
        context.wrap_socket(connection) as secured,
    ):
        assert secured.selected_alpn_protocol() in (None, "http/1.1")
        secured.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        answer = secured.recv(64)
        assert not answer or answer.startswith(b"HTTP/1.1 "), "no frame of HTTP/2"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_only_current_versions_of_tls(front: Front, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    url = httpx.URL(front.https)
    with (
        socket.create_connection((url.host, url.port), timeout=PATIENCE) as connection,
        context.wrap_socket(connection) as secured,
    ):
        cipher = secured.cipher()
        assert cipher and re.search("GCM|CHACHA20", cipher[0])


def test_older_versions_of_tls_are_refused(front: Front) -> None:
    server = front.https.removeprefix("https://")
    for version in ("-tls1", "-tls1_1"):
        command = ["openssl", "s_client", "-connect", server, version, "-cipher", "ALL:@SECLEVEL=0"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert "alert protocol version" in done.stderr, "nginx refuses it, not the client"


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-CCM8"])
def test_suites_that_are_not_recommended_are_refused(front: Front, cipher: str) -> None:
    """Those that a certificate with an EC key could have: CBC, and a short tag."""
    server = front.https.removeprefix("https://")
    command = ["openssl", "s_client", "-connect", server, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert "alert handshake failure" in done.stderr, "nginx refuses it, not the client"


def test_metrics_have_a_port_of_the_host_alone(front: Front) -> None:
    answer = httpx.get(f"{front.metrics}/metrics")
    assert (answer.status_code, "mosis_build_info" in answer.text) == (200, True)
    problem(httpx.get(f"{front.metrics}/api/store/apps"), 404, "NOT_FOUND")


def test_a_proxy_on_the_host_that_names_no_client_gets_no_metrics(front: Front) -> None:
    """As nginx's `proxy_pass` and HAProxy do by themselves: what it asks comes from the loopback interface."""
    for headers in ({}, {"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "127.0.0.1"}):
        problem(front.client.get(f"{front.https}/metrics", headers=headers), 403, "FORBIDDEN")


STRANGER, PROXY = "127.0.0.1", "127.0.0.2"
UNUSED = {"X-Real-IP": "203.0.113.9", "Forwarded": "for=203.0.113.9"}  # which no proxy has to remove
FROM_PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def behind_a_proxy(portal: Portal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The same, where only one address is that of a reverse proxy."""
    with front_of(portal, tmp_path_factory.mktemp("proxied"), trusted_proxies=(f"{PROXY}/32",)) as one:
        yield one


@pytest.fixture(scope="module")
def plain_behind_a_proxy(portal: Portal) -> Iterator[str]:
    """The URL of the same without TLS."""
    with nginx_before(portal, trusted_proxies=(f"{PROXY}/32",)) as url:
        yield url


def asking_from(address: str) -> httpx.Client:
    """A client that connects from an address of the loopback interface."""
    return httpx.Client(transport=httpx.HTTPTransport(verify=False, local_address=address), timeout=PATIENCE)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_client_is_whom_a_trusted_proxy_names_or_who_connects(
    scheme: str, behind_a_proxy: Front, plain_behind_a_proxy: str, portal: Portal
) -> None:
    url = behind_a_proxy.https if scheme == "https" else plain_behind_a_proxy
    for source, forwarded, client in (
        (STRANGER, None, STRANGER),
        (STRANGER, "203.0.113.1", STRANGER),
        (PROXY, "203.0.113.2", "203.0.113.2"),
        (PROXY, "127.0.0.1, 203.0.113.3", "203.0.113.3"),  # what a client sent the proxy comes first
        (PROXY, f"203.0.113.4, {PROXY}", "203.0.113.4"),  # a proxy behind another one
    ):
        headers = TOKEN | UNUSED | ({"X-Forwarded-For": forwarded} if forwarded else {})
        with asking_from(source) as asking:
            problem(asking.get(f"{url}/api/apps", headers=headers), 401, "UNAUTHENTICATED")
        *_, refusal = audit.entries(portal.store.db.read())
        assert (refusal.action, refusal.address) == (refusals.LOG_IN, client), (source, forwarded)


def test_whether_a_client_came_by_https_is_what_a_trusted_proxy_says_or_nginx_knows(
    behind_a_proxy: Front, plain_behind_a_proxy: str, publisher: Publisher
) -> None:
    token = publisher.client.headers["authorization"].removeprefix("Bearer ")
    for url, source, forwarded, encrypted in (
        (plain_behind_a_proxy, STRANGER, "https", False),
        (plain_behind_a_proxy, PROXY, "https", True),
        (plain_behind_a_proxy, PROXY, "http", False),
        (behind_a_proxy.https, STRANGER, "http", True),
        (behind_a_proxy.https, PROXY, "http", True),
    ):
        headers = FROM_PAGE | {"X-Forwarded-Proto": forwarded}
        with asking_from(source) as asking:
            answer = asking.post(f"{url}/sign-in", data={"token": token, "next": "/console"}, headers=headers)
        assert answer.headers["set-cookie"].startswith("__Host-") == encrypted, (url, source, forwarded)
