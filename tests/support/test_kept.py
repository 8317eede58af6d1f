"""A GET is sent again only where a kept connection was closed before the answer."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.support import kept

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NONE = b""
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"


@contextmanager
def serving(*connections: tuple[bytes, ...]) -> Iterator[str]:
    """A server whose connections send these answers, one per request, and are closed after the last of them."""

    def serve() -> None:
        for answers in connections:
            accepted, _ = listener.accept()
            with accepted:
                for answer in answers:
                    accepted.recv(65536)
                    accepted.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(timeout=60)


@pytest.fixture
def client() -> Iterator[Callable[[str], httpx.Client]]:
    with httpx.Client() as one:

        def at(url: str) -> httpx.Client:
            one.base_url = httpx.URL(url)
            return one

        yield at


def test_a_kept_connection_that_is_closed_is_replaced(client: Callable[[str], httpx.Client]) -> None:
    with serving((WHOLE, NONE), (WHOLE,)) as url:
        answers = [kept.get(client(url), "/") for _ in range(2)]
    assert [(answer.text, again) for answer, again in answers] == [("ok", False), ("ok", True)]


def test_a_new_connection_that_is_closed_is_a_failure(client: Callable[[str], httpx.Client]) -> None:
    with serving((NONE,)) as url, pytest.raises(httpx.RemoteProtocolError):
        kept.get(client(url), "/")


def test_an_answer_that_ends_early_is_a_failure(client: Callable[[str], httpx.Client]) -> None:
    with serving((WHOLE, BEGUN)) as url:
        assert kept.get(client(url), "/")[1] is False
        with pytest.raises(httpx.RemoteProtocolError):
            kept.get(client(url), "/")
