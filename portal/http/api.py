"""One declaration a route: who may call it, what it takes and answers; /openapi.json is made of the same."""

import ipaddress
import logging
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes

from bottle import Bottle, HTTPError, HTTPResponse, LocalRequest, request
from pydantic import BaseModel

from portal.http import digests, forms, idempotency
from portal.http.problems import CODE_OF_STATUS
from portal.http.responses import json_response, problem
from portal.images import ImageRejected
from portal.store import audit, tokens
from portal.store.errors import DatabaseBusy, RateLimited, Refused
from portal.store.rate_limit import RateLimit
from portal.store.store import Store

log = logging.getLogger(__name__)

ANYONE: frozenset[str] = frozenset()
DEVELOPER = frozenset({"developer", "admin"})
REVIEWER = frozenset({"reviewer", "admin"})
ADMIN = frozenset({"admin"})
MEMBER = DEVELOPER | REVIEWER

TOKEN_PARAMETERS = {"access_token", "token"}
IPV6_SITE = 64  # bits of an address that name a site; the rest its owner chooses freely

STARTED = "mosis.started"  # in the WSGI environment: when the request began, by time.perf_counter
BUSY = {"Retry-After": "5"}  # seconds
VERSION_CODE_DIGITS = 16  # of the largest that a manifest may have


@dataclass(frozen=True)
class Call:
    """What a handler gets: the request, who asks (None without a token), the checked body."""

    request: LocalRequest
    actor: audit.Actor | None
    body: Any = None


@dataclass(frozen=True)
class Operation:
    """A route as declared. `answer` is None where the body is not JSON; `file` names the multipart file part.

    `content` is the media type of a request whose body is bytes. `takes`, `gives` and `may_give` name header fields of
    `fields`, of the request and of the answer when it succeeds; what whole kinds of routes have is not repeated.
    An `upload` counts against its developer's limit.
    """

    method: str
    rule: str
    handler: Callable[..., BaseModel | HTTPResponse | None]
    summary: str
    scopes: frozenset[str] = ANYONE
    body: type[BaseModel] | None = None
    file: str | None = None
    fields: tuple[str, ...] = ()
    content: str | None = None
    takes: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    status: int = 200
    answer: type[BaseModel] | None = None
    media_type: str = "application/json"
    gives: tuple[str, ...] = ()
    may_give: tuple[str, ...] = ()
    ranges: bool = False  # answers parts and conditions too: 206 and 304
    problems: tuple[str, ...] = ()
    upload: bool = False


@dataclass
class Api:
    """The routes of one application."""

    app: Bottle
    store: Store
    operations: list[Operation] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings, data = self.store.settings, self.store.layout.area("data")
        self._failures = RateLimit(
            data / "auth-failures.limit", "wrong tokens from this address", settings.auth_failures_per_minute, 60
        )
        self._uploads = RateLimit(data / "uploads.limit", "uploads of this developer", settings.uploads_per_hour, 3600)
        self.app.router.add_filter("code", lambda _: (rf"[1-9][0-9]{{0,{VERSION_CODE_DIGITS - 1}}}", int, str))
        self.app.default_error_handler = _framework_error
        self.app.add_hook("before_request", _require_utf8)

    def add(self, operation: Operation) -> None:
        """Serve an operation; GET answers HEAD too."""
        self.operations.append(operation)
        self.app.route(operation.rule, operation.method, self._callback(operation))

    def _authenticate(self, call: LocalRequest, scopes: frozenset[str]) -> audit.Actor | None:
        """Who asks, from the bearer token; without one only what is for anyone. Raises Refused.

        Only what is wrong is counted: a valid token passes however many wrong ones came from its address.
        """
        _require_no_token_in_address(call)
        header = call.get_header("Authorization")
        if header is None:
            if scopes:
                raise Refused("UNAUTHENTICATED", "Send a token in the header Authorization: Bearer mosis_….")
            return None
        scheme, _, text = header.partition(" ")
        token = tokens.authenticate(self.store.db.read(), text.strip()) if scheme.lower() == "bearer" else None
        address = remote_address(self.store, call)
        if token is None:
            self._failures.take(site(address))
            raise Refused("UNAUTHENTICATED", "The token is unknown, expired or revoked.")
        if scopes and token.scope not in scopes:
            raise Refused("FORBIDDEN", f"This needs a token of scope {' or '.join(sorted(scopes))}, not {token.scope}.")
        tokens.note_use(self.store.db.read(), token)
        return audit.Actor(token.developer_id, token.scope, token.token_id, address)

    def _callback(self, operation: Operation) -> Callable[..., HTTPResponse]:
        def callback(**arguments: object) -> HTTPResponse:
            try:
                actor = self._authenticate(request, operation.scopes)
                if operation.upload:
                    self._uploads.take(actor.developer_id)
                digests.guard(request)
                token_id = actor.token_id if actor else None
                respond = partial(self._respond, operation, actor, arguments)
                return idempotency.once(self.store.db, request, token_id, operation.rule, respond)
            except Refused as refused:
                return _refusal(refused)
            except ImageRejected as rejected:
                return problem(rejected.code, str(rejected))
            except OSError as error:
                log.exception("storage failed")
                return problem("STORAGE_ERROR", f"The storage failed: {error.strerror or 'input/output error'}.")
            except DatabaseBusy as busy:
                log.warning("database busy: %s", busy)
                return problem("UNAVAILABLE", str(busy), headers=BUSY)
            except sqlite3.OperationalError as error:
                log.exception("database failed")
                return problem("STORAGE_ERROR", f"The database failed: {error}.")
            except MemoryError:  # all other exceptions the framework answers
                log.exception("out of memory")
                return problem("INTERNAL_ERROR", "The server is out of memory.")

        return callback

    def _respond(
        self, operation: Operation, actor: audit.Actor | None, arguments: Mapping[str, object]
    ) -> HTTPResponse:  # fmt: skip
        body = forms.json_body(request, operation.body) if operation.body else None
        answer = operation.handler(Call(request, actor, body), **arguments)
        if answer is None:
            return HTTPResponse(status=operation.status)
        return answer if isinstance(answer, HTTPResponse) else json_response(answer, operation.status)


CHALLENGE = {"UNAUTHENTICATED": {"WWW-Authenticate": 'Bearer realm="mosis"'}}


def remote_address(store: Store, call: LocalRequest) -> str:
    """The client's address; the last hop of X-Forwarded-For when our own nginx wrote it."""
    forwarded = call.get_header("X-Forwarded-For", "") if store.settings.proxied else ""
    return forwarded.rpartition(",")[2].strip() or call.environ.get("REMOTE_ADDR", "")


def site(address: str) -> str:
    """What one attacker has of addresses: a single one of IPv4, a /64 of IPv6; anything else is taken as it is."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((int(parsed), IPV6_SITE), strict=False))


def _require_no_token_in_address(call: LocalRequest) -> None:
    for name, value in call.query.allitems():
        if name.lower() in TOKEN_PARAMETERS or tokens.PATTERN.search(value):
            raise Refused(
                "INVALID_REQUEST",
                "Tokens are only taken in the header Authorization. Addresses end up in logs: if this one had a token"
                " in it, have that token revoked.",
            )


def _require_utf8() -> None:
    """Hook: the framework would drop what is not UTF-8, and two addresses would name one thing."""
    try:
        request.environ["bottle.raw_path"].encode("latin-1").decode()
        unquote_to_bytes(request.query_string).decode()
    except UnicodeDecodeError:
        raise problem("INVALID_REQUEST", "The address is not UTF-8.") from None


def _refusal(refused: Refused) -> HTTPResponse:
    """The sentences repeat what was sent, and people send tokens in the wrong places."""
    headers = CHALLENGE.get(refused.code, {})
    if isinstance(refused, RateLimited):
        headers = {"Retry-After": str(refused.retry_after)}
    errors = None if refused.errors is None else [tokens.redacted(error) for error in refused.errors]
    return problem(refused.code, tokens.redacted(refused.detail), errors=errors, headers=headers)


def _framework_error(error: HTTPError) -> HTTPResponse:
    kept = {name: value for name, value in error.headerlist if name in ("Allow", "Content-Range")}
    detail = tokens.redacted(str(error.body))
    return problem(CODE_OF_STATUS.get(error.status_code, "INVALID_REQUEST"), detail, headers=kept)
