"""A refusal arrives, however much of its body is still on the way."""

import socket
import threading
from collections.abc import Iterable
from typing import Any

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


def refuse(environ: dict[str, Any], start_response: object) -> Iterable[bytes]:
    return [b"refused"]


def test_what_is_taken_is_bounded() -> None:
    open_end = threading.Event()
    open_end.set()
    source = Source(2 * draining.BYTES_MAX, open_end)
    assert draining.drained(refuse)({"wsgi.input": source}, None) == [b"refused"]
    assert source.left == draining.BYTES_MAX


def test_who_expects_100_is_not_asked_for_the_body() -> None:
    source = Source(1, threading.Event())
    draining.drained(refuse)({"wsgi.input": source, "HTTP_EXPECT": "100-continue"}, None)
    assert not source.asked.is_set()


def test_slow_senders_hold_only_some_threads() -> None:
    app, more = draining.drained(refuse), threading.Event()
    slow = [Source(1, more) for _ in range(draining.AT_ONCE_MAX)]
    threads = [threading.Thread(target=app, args=({"wsgi.input": source}, None)) for source in slow]
    for thread in threads:
        thread.start()
    try:
        assert all(source.asked.wait(30) for source in slow)
        next_one = Source(1, more)
        assert app({"wsgi.input": next_one}, None) == [b"refused"]
        assert not next_one.asked.is_set()
    finally:
        more.set()
        for thread in threads:
            thread.join()
    assert app({"wsgi.input": next_one}, None) == [b"refused"]
    assert next_one.left == 0
