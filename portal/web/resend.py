"""A form that was refused before its page could show it again: it comes of an ended session, or exceeds a limit.

The page of the error has what was typed, and sends it again once that can succeed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from bottle import BaseRequest

from portal.http import browsers, forms
from portal.settings import Settings
from portal.store import tokens
from portal.store.errors import Refused

TYPE = "application/x-www-form-urlencoded"
PAGES = ("/console/", "/review/")
PASSING = ("401", "429", "5")
"""How the statuses begin of refusals that pass, without a change of the form."""
SIGNED_OUT = {
    "status": 401,
    "code": "UNAUTHENTICATED",
    "title": "You are signed out",
    "detail": "What you typed is not lost. Sign in, in another tab, and then send it again.",
}


@dataclass(frozen=True)
class Form:
    """A form as it was sent: its address, and its fields in their order."""

    action: str
    fields: list[tuple[str, str]]


def kept(settings: Settings, environ: dict[str, Any]) -> Form | None:
    """The form of a request that a page of ours made; the application can read the body all the same.

    None if there is no such form. One that has a secret is not kept, since a page would then have it.
    """
    if not _is_form(environ):
        return None
    try:
        browsers.require_same_origin(settings, BaseRequest(environ))  # else a stranger has filled it in
    except Refused:
        return None
    body = _read(environ)
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        return None
    if any(tokens.PATTERN.search(value) or "PRIVATE KEY" in value for _, value in fields):
        return None
    return Form(environ["PATH_INFO"], fields)


def passes(status: str) -> bool:
    """Whether the same form may succeed later."""
    return status.startswith(PASSING)


def _is_form(environ: Mapping[str, Any]) -> bool:
    length = environ.get("CONTENT_LENGTH") or ""
    return (
        environ["REQUEST_METHOD"] == "POST"
        and environ.get("PATH_INFO", "").startswith(PAGES)
        and environ.get("CONTENT_TYPE", "").partition(";")[0] == TYPE
        and length.isdecimal()
        and int(length) <= forms.JSON_MAX
        and "HTTP_EXPECT" not in environ
    )


def _read(environ: dict[str, Any]) -> bytes:
    source, left, body = environ["wsgi.input"], int(environ["CONTENT_LENGTH"]), bytearray()
    while len(body) < left and (chunk := source.read(left - len(body))):
        body += chunk  # in place
    environ["wsgi.input"] = BytesIO(body)
    return bytes(body)
