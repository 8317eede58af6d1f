"""Fetching the keys of CI services."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from portal.jobs import issuers
from portal.jobs.issuers import KeysMissing
from portal.store import id_tokens, job_runs
from portal.store.store import Store
from tests.developer.test_client import serving
from tests.support.ci_service import AUDIENCE, CiService
from tests.support.nginx import pem_in
from tests.support.portal import make_store


class Published:
    """What a service answers at the URL of its keys."""

    def __init__(self) -> None:
        self.answer: tuple[int, dict[str, str], bytes] = (404, {}, b"")

    def __call__(self, request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        return self.answer


@pytest.fixture
def service(tmp_path: Path) -> CiService:
    made = CiService(tmp_path / "jwks.json")
    made.publish()
    return made


@pytest.fixture
def fetching(tmp_path: Path, service: CiService) -> Iterator[tuple[Store, Published]]:
    published = Published()
    with serving(published) as (url, _):
        chosen = [{"issuer": service.issuer, "jwks_url": f"{url}/jwks"}]
        store = make_store(tmp_path / "store", issuers=chosen, audience=AUDIENCE)
        yield store, published
        store.db.close()


def test_keys_are_fetched_and_fetched_again_when_they_changed(
    fetching: tuple[Store, Published], service: CiService
) -> None:
    store, published = fetching
    lines: list[str] = []
    for keys in (service.keys, service.keys, {"ec": service.keys["ec"]}):
        service.keys = keys
        service.publish()
        published.answer = (200, {}, service.jwks.read_bytes())
        issuers.fetch(store, lines.append)
    assert lines == ["fetched the keys of https://ci.test"] * 2
    assert id_tokens.verified(store, service.token("ec")).repository_id == "4711"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((500, {}, b"{}"), "answered 500"),
        ((302, {"Location": "http://127.0.0.1/"}, b""), "answered 302"),
        ((200, {}, b"<html>"), "no keys"),
        ((200, {}, b'{"keys": []}'), "no keys"),
        ((200, {}, b" " * (id_tokens.KEYS_MAX + 1)), "no keys"),
    ],
)
def test_what_is_no_keys_leaves_the_earlier_ones(
    fetching: tuple[Store, Published], service: CiService, answer: tuple[int, dict[str, str], bytes], reason: str
) -> None:
    store, published = fetching
    published.answer = (200, {}, service.jwks.read_bytes())
    issuers.fetch(store)
    published.answer = answer
    with pytest.raises(KeysMissing, match=reason):
        issuers.fetch(store)
    assert id_tokens.verified(store, service.token()).issuer == service.issuer
    assert job_runs.every(store.db.read())["issuers"].failure


def test_a_service_that_is_away_is_named(tmp_path: Path) -> None:
    chosen = [{"issuer": "https://ci.test", "jwks_url": "http://127.0.0.1:1/jwks"}]
    store = make_store(tmp_path / "store", issuers=chosen, audience=AUDIENCE)
    with pytest.raises(KeysMissing, match=r"^http://127.0.0.1:1/jwks has no keys: .*refused"):
        issuers.fetch(store)
    store.db.close()


def test_keys_are_taken_from_nobody_but_the_service(
    tmp_path: Path, service: CiService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has the connection, and answers with keys of his own, would publish in the name of each repository."""
    published = Published()
    published.answer = (200, {}, service.jwks.read_bytes())
    for name, trusted, fault in (("localhost", False, "self-signed certificate"), ("evil.test", True, "match")):
        (place := tmp_path / name).mkdir()
        certificate = pem_in(place, name)
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with serving(published, certificate) as (url, seen):
            chosen = [{"issuer": service.issuer, "jwks_url": f"{url}/jwks"}]
            store = make_store(place / "store", issuers=chosen, audience=AUDIENCE)
            with pytest.raises(KeysMissing, match=fault):
                issuers.fetch(store)
            assert seen == []
            store.db.close()


def test_an_answer_that_does_not_end_holds_up_no_other_service(
    tmp_path: Path, service: CiService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuers, "ANSWER_SECONDS", 0.2)
    published = Published()
    published.answer = (200, {}, service.jwks.read_bytes())
    with dripping() as slow, serving(published) as (url, _):
        chosen = [
            {"issuer": "https://slow.test", "jwks_url": f"{slow}/jwks"},
            {"issuer": service.issuer, "jwks_url": f"{url}/jwks"},
        ]
        store = make_store(tmp_path / "store", issuers=chosen, audience=AUDIENCE)
        with pytest.raises(KeysMissing, match=r"^http\S+ has no keys: it did not answer within"):
            issuers.fetch(store)
        assert id_tokens.verified(store, service.token()).issuer == service.issuer
        store.db.close()


@contextmanager
def dripping() -> Iterator[str]:
    """A server whose answer arrives byte by byte, for a minute."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as serving_it:
        serving_it.submit(_drip, listener)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def _drip(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n")
        for _ in range(6000):
            connection.sendall(b" ")
            time.sleep(0.01)
