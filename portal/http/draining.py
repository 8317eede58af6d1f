"""Takes what is left of a body after the request was refused, so that the refusal arrives.

A server that answers and closes while bytes still come resets the connection (RFC 9112 section 9.6): the client, or
nginx on its behalf, then sees a broken connection, which looks like a fault that passes, and tries again.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

CHUNK = 256 * 1024
BYTES_MAX = 64 * 1024 * 1024  # of one body
AT_ONCE_MAX = 16  # in a worker: who sends slowly on purpose holds no more threads than these


def drained(app: Wsgi) -> Wsgi:
    """The application, which reads a body that it did not want before its answer goes out."""
    places = threading.BoundedSemaphore(AT_ONCE_MAX)

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        source = environ["wsgi.input"]
        answer = app(environ, start_response)
        # Who expects 100 has sent nothing yet, and reading would ask for it.
        if "HTTP_EXPECT" not in environ and places.acquire(blocking=False):
            try:
                left = BYTES_MAX
                while left > 0 and (chunk := source.read(CHUNK)):
                    left -= len(chunk)
            finally:
                places.release()
        return answer

    return wsgi
