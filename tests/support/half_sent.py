"""A request in flight: the portal has begun to read its body, and waits for the rest."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.http import raw
from tests.support.portal import Portal


@contextmanager
def half_sent(portal: Portal, request: httpx.Request) -> Iterator[socket.socket]:
    """A connection with the first half of the request, of which the portal has written something to the disk."""
    body = request.read()
    head = raw.head(
        request.method, request.url.raw_path, *(f"{k}: {v}" for k, v in request.headers.items() if k != "host")
    )
    with socket.create_connection(("127.0.0.1", portal.store.settings.port), timeout=raw.PATIENCE) as connection:
        connection.sendall(head + body[: len(body) // 2])
        while not any(path.is_file() and path.stat().st_size for path in _temporary(portal)):
            assert portal.process.poll() is None
        yield connection


def _temporary(portal: Portal) -> Iterator[Path]:
    return portal.store.layout.area("temp").rglob("*")
