"""Reads and discards the rest of a rejected body, so that the client gets the error instead of a reset.

A server that answers and closes while bytes still arrive resets the connection (RFC 9112 section 9.6). The client, or
nginx on its behalf, takes the broken connection for a temporary fault and tries again.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

CHUNK = 256 * 1024
BYTES_MAX = 64 * 1024 * 1024  # of one body
AT_ONCE_MAX = 16  # per worker: clients that send slowly on purpose hold no more threads than this


def drained(app: Wsgi) -> Wsgi:
    """Wrap the application: after a refusal, the rest of the body is read and discarded."""
    places = threading.BoundedSemaphore(AT_ONCE_MAX)

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        source, refused = environ["wsgi.input"], False

        def start(status: str, *rest: Any) -> Any:
            nonlocal refused
            refused = status >= "4"
            return start_response(status, *rest)

        answer = app(environ, start)
        # A client that expects 100 Continue has sent nothing yet, and reading would request it.
        if refused and _has_body(environ) and "HTTP_EXPECT" not in environ:
            return _draining(answer, source, places)
        return answer

    return wsgi


def _has_body(environ: dict[str, Any]) -> bool:
    return environ.get("CONTENT_LENGTH", "0") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ


def _draining(answer: Iterable[bytes], source: Any, places: threading.BoundedSemaphore) -> Iterator[bytes]:
    yield from answer
    if places.acquire(blocking=False):
        try:
            left = BYTES_MAX
            while left > 0 and (chunk := source.read(CHUNK)):
                left -= len(chunk)
        finally:
            places.release()
