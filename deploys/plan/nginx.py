"""nginx's configuration: one site in every runtime, whose own errors come from the portal's table of problems."""

import json
import resource
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256

from deploys.plan.data import HostData
from deploys.plan.paths import ACME_CHALLENGES
from deploys.plan.render import render
from portal.http import people, problems, security_headers
from portal.settings import MIB, Settings

SMALL_BODY_MAX = 96 * 1024
"""Bytes of a body that is not an upload, the largest JSON that the portal parses (portal/http/forms.py)."""

CONNECTIONS = 16384
"""Connections of a worker, which keeps 424 bytes for each that is free, and some 2 kB for one whose head is slow."""
FILES = 2 * CONNECTIONS
"""A worker's, as a connection may have a file or another connection."""


@dataclass(frozen=True)
class Representation:
    """An error as programs or as browsers get it: the address is that of the error with `suffix`."""

    suffix: str
    content_type: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def parameter(self) -> str:
        """The text as a parameter of nginx's configuration, which knows no escape for `$`."""
        escaped = self.text.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"


@dataclass(frozen=True)
class Error:
    """An error that nginx itself answers.

    `statuses` are those that nginx raises; 494 is its own for headers that are too large. `retry_after` in seconds,
    `hint` for readers instead of that of the code.
    """

    statuses: tuple[int, ...]
    code: str
    detail: str
    retry_after: int | None = None
    hint: str = ""

    @property
    def status(self) -> int:
        return problems.KINDS[self.code].status

    @property
    def representations(self) -> tuple[Representation, Representation]:
        """What programs and what browsers get."""
        problem, style = problems.body(self.code, self.detail), _style()
        hint = self.hint or people.HINTS[self.code]
        page = render("nginx/error.html.j2", problem=problem, hint=hint, style=style)
        return (
            Representation("", problems.CONTENT_TYPE, json.dumps(problem), security_headers.DEFAULTS),
            Representation("-page", "text/html; charset=utf-8", _one_line(page), _page_headers(style)),
        )


@cache
def _style() -> str:
    return _one_line(render("nginx/error.css"))


def _one_line(text: str) -> str:
    """The text without line breaks, after which a template might indent it."""
    return "".join(text.splitlines())


def _page_headers(style: str) -> dict[str, str]:
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return {
        "Content-Security-Policy": f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }


UNAVAILABLE = Error(
    (502, 503, 504), "UNAVAILABLE", "The store is busy or restarting; try again shortly.", retry_after=2
)
PLAIN_HTTP = Error(
    (403,), "FORBIDDEN", "This request needs https. A token in it was sent in the clear: revoke that token.",
    hint="Use the address that begins with https://.",
)  # fmt: skip
STANDBY = replace(
    UNAVAILABLE, detail="This host is a standby and serves nobody.", retry_after=60,
    hint="Ask the operator for the address of the store.",
)  # fmt: skip

ERRORS = (
    Error((400, 497), "INVALID_REQUEST", "The request is not valid HTTP, or not by https where only https is spoken."),
    Error((403,), "FORBIDDEN", "This address is for the networks of the operator."),
    Error((404,), "NOT_FOUND", "The store has nothing at this address."),
    Error((405, 501), "NOT_IMPLEMENTED", "The store supports neither this method nor this transfer coding."),
    Error((411,), "LENGTH_REQUIRED", "Send the form with a Content-Length, not in chunks."),
    Error((412,), "PRECONDITION_FAILED", "The file has changed since the version that the request names."),
    Error((413,), "FILE_TOO_LARGE", "This address accepts smaller bodies; the bytes of an upload go to its URL."),
    Error((414,), "URI_TOO_LONG", "The address is longer than the store accepts."),
    Error((416,), "RANGE_NOT_SATISFIABLE", "The range does not overlap the file."),
    Error(
        (429,),
        "RATE_LIMITED",
        "This network sends more requests than the store answers; try again in ten seconds.",
        retry_after=10,
    ),
    Error((494,), "HEADERS_TOO_LARGE", "The headers are larger than the store accepts."),
    Error((500,), "INTERNAL_ERROR", "The server failed; its log has the cause."),
    UNAVAILABLE,
    Error((505,), "HTTP_VERSION_NOT_SUPPORTED", "Use HTTP/1.1."),
)

FILE_ERRORS = (
    Error((404,), "FILE_NOT_FOUND", "The file is missing."),
    Error((403, 500), "STORAGE_ERROR", "The file cannot be read; the log of the server has the cause."),
)
"""Where nginx sends a file for which the portal has answered already."""

PLAIN_HTTP_ERRORS = tuple(PLAIN_HTTP if error.code == "FORBIDDEN" else error for error in ERRORS)
"""At the port that leads to https."""

STANDBY_ERRORS = tuple(STANDBY if error is UNAVAILABLE else error for error in ERRORS)


@dataclass(frozen=True)
class Upload:
    """A location whose bodies are passed on as they arrive. `max_bytes` of a body, `silence` in seconds."""

    pattern: str
    max_bytes: int
    silence: int
    form: bool


def render_nginx(template: str, data: HostData, settings: Settings, **variables: object) -> str:
    """The text of a template of nginx's. Raises PlanError for a variable that is missing."""
    conditional = settings.threads // 4
    known = {
        "data": data,
        "settings": settings,
        "root": settings.root,
        "small_body_max": SMALL_BODY_MAX,
        "connections": CONNECTIONS,
        "files_max": _files_max(data.runtime),
        "uploads": _uploads(settings),
        "conditional_max": conditional,
        "conditional_per_client": max(1, conditional // 16),
        "program_paths": people.PROGRAM_PATHS,
        "errors": ERRORS,
        "file_errors": FILE_ERRORS,
        "plain_http_errors": PLAIN_HTTP_ERRORS,
        "standby_errors": STANDBY_ERRORS,
        "challenges": ACME_CHALLENGES,
        "security": security_headers.DEFAULTS,
        "metrics_port": None,
    }
    return render(template, **known | variables)


def _files_max(runtime: str) -> int:
    """Who is not root may not exceed the limit of this machine, and would be left with a much lower one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return FILES if runtime != "local" or hard == resource.RLIM_INFINITY else min(FILES, hard)


def _uploads(settings: Settings) -> tuple[Upload, ...]:
    package, image = settings.package_max_bytes, max(settings.icon_max_bytes, settings.screenshot_max_bytes)
    # The portal refuses what is too large and says why; nginx only bounds what reaches it. An upload by signed URL
    # continues where it stopped once the connection that its client lost is closed; a form starts again.
    return (
        Upload("api/uploads/[^/]+", package + MIB, silence=10, form=False),
        Upload("(api|console)/apps/[^/]+/versions", package + MIB, silence=30, form=True),
        Upload("(api|console)/apps/[^/]+/(icon|screenshots(/[^/]+)?)", image + MIB, silence=30, form=True),
    )
