"""What every answer forbids a browser to make of it, unless the answer says so itself, as pages do.

The deploys give nginx's own answers the same headers, so this module needs nothing beyond the standard library.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from portal.http.draining import Wsgi

DEFAULTS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def secured(app: Wsgi) -> Wsgi:
    """Wrap the application: each answer has the headers of DEFAULTS, or its own of the same name."""

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            own = {name.lower() for name, _ in headers}
            added = [(name, value) for name, value in DEFAULTS.items() if name.lower() not in own]
            return start_response(status, [*headers, *added], *rest)

        return app(environ, start)

    return wsgi
