"""Passkeys in the browser: signing in with one, and registering one with a token."""

import ipaddress
import json
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from bottle import HTTPResponse
from pydantic import Field

from portal.http import authentication, browsers, schemas
from portal.http.routing import ANYONE, MEMBER, Call, Operation, PublicCall, Routes
from portal.packages.texts import Name
from portal.store import passkeys, sessions
from portal.store.authenticators import RelyingParty
from portal.store.errors import RateLimited, Refused
from portal.store.tokens import Token
from portal.web import rendering

PATH = "/console/passkeys"
SIGN_IN_PATH = "/sign-in/passkey"
JSON = "application/json"
DEFAULT_PORT = {"https": 443, "http": 80}

routes = Routes()


class Confirmed(schemas.Body):
    """The token whose rights the passkey gets: a browser that somebody left signed in is not enough."""

    token: str = Field(max_length=200)


class NewPasskey(Confirmed):
    name: Name
    credential: dict[str, Any]


class Assertion(schemas.Body):
    credential: dict[str, Any]


@routes.add(Operation("GET", SIGN_IN_PATH, "Get a challenge to sign in with a passkey", ANYONE))
def challenge(call: PublicCall) -> HTTPResponse:
    return _json(passkeys.authentication(call.store, _required(call)))


@routes.add(Operation("POST", SIGN_IN_PATH, "Start a session with a passkey", ANYONE, status=204))
def sign_in(call: PublicCall, body: Assertion) -> HTTPResponse:
    browsers.require_same_origin(call.settings, call.request)  # or a stranger signs the reader in as somebody else
    party, address = _required(call), authentication.remote_address(call.settings, call.request)
    try:
        secret = passkeys.sign_in(call.store, party, address, body.credential)
    except RateLimited:
        raise
    except Refused:
        with closing(authentication.wrong_tokens(call.store)) as failures:
            authentication.failed(call.store, failures, call.request, "passkey")
        raise
    if call.actor is not None:  # the session that the browser had ends, as with a token
        with call.db.write() as tx:
            for earlier in browsers.secrets(call.settings, call.request):
                sessions.end(tx, call.actor, earlier)
    response = HTTPResponse(status=204, headers={"Cache-Control": rendering.PRIVATE})
    browsers.keep(call.settings, call.request, response, secret)
    return response


@routes.add(Operation("POST", f"{PATH}/options", "Get what the browser needs to make a passkey", MEMBER))
def options(call: Call, body: Confirmed) -> HTTPResponse:
    return _json(passkeys.registration(call.store, _required(call), call.actor, _confirmed(call, body)))


@routes.add(Operation("POST", PATH, "Register a passkey", MEMBER, status=204))
def register(call: Call, body: NewPasskey) -> HTTPResponse:
    token = _confirmed(call, body)
    passkeys.register(call.store, _required(call), call.actor, token, body.name, body.credential)
    return HTTPResponse(status=204)


def host(call: PublicCall) -> str:
    """The host whose pages can use passkeys, as the page finds out for itself; empty if there is none."""
    party = relying_party(rendering.origin(call))
    return party.host if party else ""


def relying_party(url: str) -> RelyingParty | None:
    """The store at this URL as browsers know it: with passkeys over https by a name, and on localhost alone."""
    try:
        parts = urlsplit(url.lower())
        name, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError:  # the Host of a stranger may be anything
        return None
    if name != "localhost" and (parts.scheme != "https" or not name or _is_address(name)):
        return None
    shown = f":{port}" if port not in (None, DEFAULT_PORT.get(parts.scheme)) else ""
    return RelyingParty(name, f"{parts.scheme}://{name}{shown}")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _required(call: PublicCall) -> RelyingParty:
    party = relying_party(rendering.origin(call))
    if party is None:
        raise Refused("FORBIDDEN", "This store is not at https with a name, which passkeys need.")
    return party


def _confirmed(call: Call, body: Confirmed) -> Token:
    try:
        with closing(authentication.wrong_tokens(call.store)) as failures:
            return authentication.checked(call.store, failures, call.request, body.token.strip())
    except RateLimited:
        raise
    except Refused as refused:  # not UNAUTHENTICATED, which says that the session has ended
        raise Refused("FORBIDDEN", refused.detail) from None


def _json(values: dict[str, Any]) -> HTTPResponse:
    return HTTPResponse(json.dumps(values), 200, {"Content-Type": JSON, "Cache-Control": rendering.PRIVATE})
