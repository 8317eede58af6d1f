"""HTTP/1.1 as bytes on a socket: what no client library would send."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

from tests.support.patience import PATIENCE


@dataclass(frozen=True)
class Answer:
    """What came back; `status` is None where the connection was closed without a word."""

    status: int | None
    content_type: str = ""
    body: bytes = b""


def head(method: str, target: str | bytes, *fields: str | bytes) -> bytes:
    """A request's head, with Host and the fields given as whole lines."""
    lines = [method.encode() + b" " + _bytes(target) + b" HTTP/1.1", b"Host: portal", *map(_bytes, fields)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def request(method: str, target: str | bytes, body: bytes = b"", *fields: str | bytes) -> bytes:
    """A request whose Content-Length is right."""
    return head(method, target, f"Content-Length: {len(body)}", *fields) + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def exchange(port: int, pieces: bytes | Iterable[bytes], *, hang_up: bool = False) -> Answer:
    """Send the pieces, then read the answer; `hang_up` closes our direction first, so that no more can come."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                connection.sendall(piece)
            if hang_up:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before it was all sent; the answer is there to be read
        response = HTTPResponse(connection)
        try:
            response.begin()
            return Answer(response.status, response.getheader("Content-Type", ""), response.read())
        except (HTTPException, ConnectionError):
            return Answer(None)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
