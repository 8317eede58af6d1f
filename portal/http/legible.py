"""Header fields that handlers read are UTF-8: other bytes become U+FFFD, which equals nothing that the store has.

The framework decodes a field when it is read, and fails then: a stranger's byte was an internal error.
"""

from collections.abc import Callable, Iterable
from typing import Any

from portal.http.draining import Wsgi

FIELDS = ("HTTP_", "CONTENT_")


def legible(app: Wsgi) -> Wsgi:
    """Wrap the application: the environment has only fields that can be decoded."""

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        for name in [name for name in environ if name.startswith(FIELDS) and not environ[name].isascii()]:
            environ[name] = environ[name].encode("latin-1").decode("utf-8", "replace").encode().decode("latin-1")
        return app(environ, start_response)

    return wsgi
