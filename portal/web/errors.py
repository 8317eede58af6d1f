"""Errors for people: a browser gets a page where a program gets `application/problem+json`."""

import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

from portal.http import people, problems
from portal.http.draining import Wsgi
from portal.settings import Settings
from portal.web import rendering, resend
from portal.web.sign_in import inside


def readable(app: Wsgi, settings: Settings) -> Wsgi:
    """Wrap the application: a problem becomes a page if the client prefers HTML, and the address is not the API's.

    A reader who has not signed in, or no longer is, is sent to where that is done. A form that may succeed later comes
    back with what was typed.
    """

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not people.reads_pages(environ.get("HTTP_ACCEPT", ""), path):
            return app(environ, start_response)
        form, started = resend.kept(settings, environ), list[tuple[Any, ...]]()
        answer = app(environ, lambda *arguments: started.append(arguments))
        status, headers, *rest = started[0]
        if ("Content-Type", problems.CONTENT_TYPE) not in headers:
            start_response(*started[0])
            return answer
        if form and not resend.passes(status):
            form = None
        if status.startswith("401 ") and not form:
            target = f"/sign-in?{urlencode({'next': inside(path)})}"
            start_response("303 See Other", [("Location", target), ("Cache-Control", rendering.PRIVATE)], *rest)
            return []
        content = _page(b"".join(answer), form)  # none if the request is a HEAD
        fields = {"Content-Type": rendering.HTML, "Vary": "Accept", **rendering.SECURITY}
        if content:
            fields["Content-Length"] = str(len(content))
        kept = [(name, value) for name, value in headers if name not in ("Content-Type", "Content-Length", "Vary")]
        start_response(status, [*kept, *fields.items()], *rest)
        return [content]

    return wsgi


def _page(problem: bytes, form: resend.Form | None) -> bytes:
    if not problem:
        return b""
    shown = json.loads(problem)
    if form and shown["code"] == "UNAUTHENTICATED":
        shown = resend.SIGNED_OUT
    return rendering.render("error.html", problem=shown, hint=people.HINTS.get(shown["code"], ""), form=form).encode()
