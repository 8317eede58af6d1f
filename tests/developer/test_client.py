"""The client of the API: proxies, stores that moved, and what is no store."""

import gzip
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from portal.developer.answers import Document
from portal.developer.client import ANSWER_MAX, Client
from portal.developer.credentials import Account
from portal.developer.errors import SignedOut, Unreachable
from portal.faults import Fault

TOKEN = f"mosis_{'0' * 16}_{'a' * 43}"
Respond = Callable[[BaseHTTPRequestHandler], tuple[int, dict[str, str], bytes]]


@contextmanager
def serving(respond: Respond, certificate: Path | None = None) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """A server's URL, and the path and Authorization of each request it got."""
    seen: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            seen.append((self.path, self.headers["Authorization"]))
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            status, headers, body = respond(self)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = do_OPTIONS = do_HEAD = do_PATCH = handle_one  # noqa: N815 -- http.server's names

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://localhost:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", path, "-out", f"{path}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def answers(status: int, document: object, **headers: str) -> Respond:
    return lambda request: (status, {"Content-Type": "application/json", **headers}, json.dumps(document).encode())


def test_a_store_that_moved_to_https_is_followed_once(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    moved: list[str] = []
    with serving(answers(200, {"a": 1}), certificate) as (new, seen):
        redirect: Respond = lambda request: (308, {"Location": new + request.path}, b"")  # noqa: E731 -- one answer
        with serving(redirect) as (old, at_old):
            client = Client(Account(old, TOKEN), moved.append)
            assert (
                client.post("/api/apps", Document, {"b": 2}).as_sent()
                == client.get("/api/me", Document).as_sent()
                == {"a": 1}
            )
    assert (moved, len(at_old)) == ([new], 1)
    assert seen == [("/api/apps", f"Bearer {TOKEN}"), ("/api/me", f"Bearer {TOKEN}")]


@pytest.mark.parametrize(
    "target", ["http://127.0.0.2:1{path}", "https://example.org{path}", "http://localhost:1{path}"]
)
def test_a_token_is_never_sent_elsewhere(target: str) -> None:
    redirect: Respond = lambda request: (302, {"Location": target.format(path=request.path)}, b"")  # noqa: E731 -- one answer
    with serving(redirect) as (url, _), pytest.raises(SignedOut, match=r"has moved from .* if you trust that"):
        Client(Account(url, TOKEN)).get("/api/me", Document)


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {"Content-Type": "text/html"}, b"<h1>Welcome"),
        (404, {"Content-Type": "text/html"}, b"<h1>Not here"),
        (302, {"Location": "/login?next=x"}, b""),
        (302, {}, b""),
        (302, {"Location": "https://[/api/me"}, b""),
        (302, {"Location": "https://example.org:0/api/me"}, b""),
        (302, {"Location": "https://example.org:x/api/me"}, b""),
        (302, {"Location": "https://example.org\x1b[2J/api/me"}, b""),
        (200, {"Content-Type": "application/json"}, b"[" * 100_000),
        (403, {"Content-Type": "text/html"}, b"captive portal"),
        (200, {"Content-Type": "application/json"}, b" " * ANSWER_MAX + b"{}"),
        (200, {"Content-Encoding": "gzip"}, gzip.compress(b"{}", mtime=0)),
        (418, {"Content-Type": "application/problem+json"}, b'{"code": 7}'),
    ],
)
def test_what_is_no_store_is_said_to_be_none(status: int, headers: dict[str, str], body: bytes) -> None:
    with serving(lambda request: (status, headers, body)) as (url, _), pytest.raises(Fault, match=f"{url} is no store"):
        Client(Account(url, TOKEN)).get("/api/me", Document)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_store_is_worth_another_try(status: int) -> None:
    respond: Respond = lambda request: (status, {"Content-Type": "text/html", "Retry-After": "7"}, b"<h1>Busy")  # noqa: E731 -- one answer
    with serving(respond) as (url, _), pytest.raises(Unreachable) as busy:
        Client(Account(url, TOKEN)).get("/api/me", Document)
    assert busy.value.retry_after == 7
    assert busy.value.exit_status == 5


def test_the_proxy_of_the_environment_is_used_and_no_proxy_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answers(200, {"by": "proxy"})) as (proxy, _), serving(answers(200, {"by": "itself"})) as (url, _):
        monkeypatch.setenv("http_proxy", proxy)
        assert Client(Account("http://store.invalid", TOKEN)).get("/api/me", Document).as_sent() == {"by": "proxy"}
        monkeypatch.setenv("no_proxy", "localhost")
        assert Client(Account(url, TOKEN)).get("/api/me", Document).as_sent() == {"by": "itself"}


def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(Fault, match=r"The proxy 'socks5://127.0.0.1:1' of the environment cannot be used"):
        Client(Account("http://store.invalid", TOKEN)).get("/api/me", Document)


def test_a_certificate_that_nobody_vouches_for_is_named(certificate: Path) -> None:
    with serving(answers(200, {}), certificate) as (url, seen), pytest.raises(Unreachable, match="certificate"):
        Client(Account(url, TOKEN)).get("/api/me", Document)
    assert seen == []


def test_a_token_that_expired_meanwhile_is_renewed_once() -> None:
    tokens = iter(("second", "third"))

    def respond(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        fine = request.headers["Authorization"] == "Bearer second"
        return (200 if fine else 401), {}, b"{}" if fine else b'{"code": "UNAUTHENTICATED"}'

    with serving(respond) as (url, seen):
        client = Client(Account(url, "first"), renewed=lambda: next(tokens))
        assert client.get("/api/me", Document).as_sent() == {}
    assert [token for _, token in seen] == ["Bearer first", "Bearer second"]
