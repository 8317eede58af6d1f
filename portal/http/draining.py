"""Takes what is left of a body behind the answer that refused it, so that the answer arrives.

A server that answers and closes while bytes still come resets the connection (RFC 9112 section 9.6): the client, or
nginx on its behalf, then sees a broken connection, which looks like a fault that passes, and tries again.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

CHUNK = 256 * 1024
BYTES_MAX = 64 * 1024 * 1024  # of one body
AT_ONCE_MAX = 16  # in a worker: who sends slowly on purpose holds no more threads than these


def drained(app: Wsgi) -> Wsgi:
    """The application, which answers a request with a body that it refuses, and then reads that body."""
    places = threading.BoundedSemaphore(AT_ONCE_MAX)

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        source, refused = environ["wsgi.input"], False

        def start(status: str, *rest: Any) -> Any:
            nonlocal refused
            refused = status >= "4"
            return start_response(status, *rest)

        answer = app(environ, start)
        # Who expects 100 has sent nothing yet, and reading would ask for it.
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
