"""Signing in with a token, and out: the browser gets the cookie of a session instead."""

import re
import sqlite3
from contextlib import closing

from bottle import HTTPResponse

from portal.http import authentication, browsers, forms
from portal.http.routing import ANYONE, MEMBER, Call, Operation, PublicCall, Routes
from portal.store import sessions
from portal.store.errors import RateLimited, Refused
from portal.web import passkeys, rendering

INSIDE = re.compile(r"/(?:console|review|status)(?:/[a-z0-9._-]+)*")
"""Where a reader may be sent after signing in: pages of ours alone, so that no link leads through here elsewhere."""
LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?")

DONE = {
    "remove": "The passkey is removed, and you are signed out. Delete it on your device too.",
    "revoke": "The token is revoked, and you are signed out. Sign in with another token.",
}

routes = Routes()


@routes.add(Operation("GET", "/sign-in", "Sign in", ANYONE, query=("next", "done"), media_type="text/html"))
def sign_in_page(call: PublicCall) -> HTTPResponse:
    following = inside(call.request.query.next)
    if call.actor is not None:
        return redirect(following)
    return _page(call, following)


@routes.add(Operation("POST", "/sign-in", "Start a session with a token", ANYONE, media_type="text/html"))
def sign_in(call: PublicCall) -> HTTPResponse:
    browsers.require_same_origin(call.settings, call.request)  # or a stranger signs the reader in as somebody else
    fields = forms.text_fields(call.request, ("token", "next"))
    following = inside(fields["next"])
    try:
        with closing(authentication.wrong_tokens(call.store)) as failures:
            token = authentication.checked(call.store, failures, call.request, fields["token"])
        sessions.count(call.settings, token)
    except RateLimited as refused:
        return _page(call, following, refused.detail, 429, {"Retry-After": str(refused.retry_after)})
    except Refused as refused:
        return _page(call, following, refused.detail, 401)
    with call.db.write() as tx:
        _end_all(call, tx)
        secret = sessions.start(tx, authentication.acting(call.settings, call.request, token), token)
    response = redirect(following)
    browsers.keep(call.settings, call.request, response, secret)
    return response


@routes.add(
    Operation(
        "POST", "/sign-out", "End the session", MEMBER, media_type="text/html", app_tokens=True, ends_access=True
    )
)  # fmt: skip
def sign_out(call: Call) -> HTTPResponse:
    with call.db.write() as tx:
        _end_all(call, tx)
    response = redirect("/")
    browsers.keep(call.settings, call.request, response, "")
    response.set_header("Clear-Site-Data", '"storage"')  # URLs and names of uploads that were not completed
    return response


def _end_all(call: PublicCall, tx: sqlite3.Connection) -> None:
    """End the session that the browser has: nobody else who holds its cookie keeps it."""
    if call.actor is not None:
        for secret in browsers.secrets(call.settings, call.request):
            sessions.end(tx, call.actor, secret)


def inside(path: str) -> str:
    """The path if it is one of the pages for people who have signed in, else that of the console."""
    return path if INSIDE.fullmatch(path) else "/console"


def redirect(path: str) -> HTTPResponse:
    """See another page, by GET."""
    return HTTPResponse(status=303, headers={"Location": path, "Cache-Control": rendering.PRIVATE})


def _page(
    call: PublicCall, following: str, fault: str = "", status: int = 200, headers: dict[str, str] | None = None
) -> HTTPResponse:
    encrypted = browsers.scheme(call.settings, call.request) == "https"
    safe = encrypted or LOOPBACK.fullmatch(browsers.host(call.request)) is not None
    return rendering.html(
        "sign-in.html",
        status,
        headers,
        following=following,
        fault=fault,
        safe=safe,
        done=DONE.get(call.request.query.done),
        passkey_host=passkeys.host(call),
    )
