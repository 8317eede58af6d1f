"""Errors for people: a browser gets a page where a program gets `application/problem+json`."""

import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

from portal.http import problems
from portal.http.draining import Wsgi
from portal.web import rendering
from portal.web.sign_in import inside

FOR_PROGRAMS = ("/api/", "/assets/", "/catalogue/", "/static/")
HINTS = {
    "NOT_FOUND": "It may have been removed, or never published. Check the address, or search for the app.",
    "RATE_LIMITED": "The limit protects everybody's store.",
    "UNAVAILABLE": "Nothing is lost: try again in a moment.",
}


def readable(app: Wsgi) -> Wsgi:
    """Wrap the application: a problem becomes a page if the client prefers HTML, and the address is not the API's.

    A reader who has not signed in, or no longer is, is sent to where that is done.
    """

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not _is_person(environ):
            return app(environ, start_response)
        started: list[tuple[Any, ...]] = []
        answer = app(environ, lambda *arguments: started.append(arguments))
        status, headers, *rest = started[0]
        if ("Content-Type", problems.CONTENT_TYPE) not in headers:
            start_response(*started[0])
            return answer
        kept = [(name, value) for name, value in headers if name not in ("Content-Type", "Content-Length")]
        problem = json.loads(b"".join(answer))
        if problem["code"] == "UNAUTHENTICATED":
            target = f"/sign-in?{urlencode({'next': inside(environ['PATH_INFO'])})}"
            start_response("303 See Other", [("Location", target), ("Cache-Control", rendering.PRIVATE)], *rest)
            return []
        content = rendering.render("error.html", problem=problem, hint=HINTS.get(problem["code"], "")).encode()
        fields = {"Content-Type": rendering.HTML, "Content-Length": str(len(content)), "Vary": "Accept"}
        start_response(status, [*kept, *fields.items(), *rendering.SECURITY.items()], *rest)
        return [content]

    return wsgi


def _is_person(environ: dict[str, Any]) -> bool:
    accepted = environ.get("HTTP_ACCEPT", "")
    path = environ.get("PATH_INFO", "")
    return "text/html" in accepted and not path.startswith(FOR_PROGRAMS) and environ["REQUEST_METHOD"] != "HEAD"
