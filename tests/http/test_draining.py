"""A refusal arrives, however much of its body is still on the way."""

import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from portal.http import draining
from tests.http.raw import head
from tests.support.portal import Portal

MIB = 1024 * 1024


def test_a_refusal_arrives_behind_a_large_body(portal: Portal) -> None:
    body = bytes(50 * MIB)
    whole = head("POST", "/api/apps/org.example.none/versions", f"Content-Length: {len(body)}")
    with socket.create_connection(("127.0.0.1", portal.store.settings.port), timeout=60) as connection:
        connection.sendall(whole + body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 401 ")


class Source:
    """A body of `size` bytes, which waits for `more` before it gives any."""

    def __init__(self, size: int, more: threading.Event) -> None:
        self.left = size
        self.asked = threading.Event()
        self._more = more

    def read(self, size: int) -> bytes:
        self.asked.set()
        self._more.wait(30)
        taken = min(size, self.left)
        self.left -= taken
        return bytes(taken)


def ask(app: draining.Wsgi, source: Source, **environ: str) -> bytes:
    """The whole answer to a request with a body."""
    return b"".join(app({"wsgi.input": source, "CONTENT_LENGTH": "1"} | environ, lambda *_: None))


def answering(status: str) -> draining.Wsgi:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(status, [])
        return [b"answer"]

    return draining.drained(app)


@pytest.fixture
def at_once() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def test_what_is_taken_is_bounded(at_once: threading.Event) -> None:
    source = Source(2 * draining.BYTES_MAX, at_once)
    assert ask(answering("403 Forbidden"), source) == b"answer"
    assert source.left == draining.BYTES_MAX


def test_the_answer_comes_first() -> None:
    more = threading.Event()
    source = Source(1, more)
    answer = iter(answering("403 Forbidden")({"wsgi.input": source, "CONTENT_LENGTH": "1"}, lambda *_: None))
    assert next(answer) == b"answer"
    assert not source.asked.is_set()
    more.set()
    assert list(answer) == []
    assert source.left == 0


@pytest.mark.parametrize(
    ("status", "environ"),
    [
        ("201 Created", {}),
        ("403 Forbidden", {"HTTP_EXPECT": "100-continue"}),
        ("403 Forbidden", {"CONTENT_LENGTH": ""}),
    ],
)
def test_nothing_is_taken_without_need(at_once: threading.Event, status: str, environ: dict[str, str]) -> None:
    source = Source(1, at_once)
    assert ask(answering(status), source, **environ) == b"answer"
    assert not source.asked.is_set()


def test_slow_senders_hold_only_some_threads() -> None:
    app, more = answering("403 Forbidden"), threading.Event()
    slow = [Source(1, more) for _ in range(draining.AT_ONCE_MAX)]
    threads = [threading.Thread(target=ask, args=(app, source)) for source in slow]
    for thread in threads:
        thread.start()
    try:
        assert all(source.asked.wait(30) for source in slow)
        one_more = Source(1, more)
        assert ask(app, one_more) == b"answer"
        assert not one_more.asked.is_set()
    finally:
        more.set()
        for thread in threads:
            thread.join()
    ask(app, one_more)
    assert one_more.left == 0
