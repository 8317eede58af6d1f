"""One declaration a route: who may call it, what it takes and answers; /openapi.json is made of the same."""

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bottle import Bottle, HTTPError, HTTPResponse, LocalRequest, request
from pydantic import BaseModel

from portal.http import forms
from portal.http.problems import CODE_OF_STATUS, problem
from portal.images import ImageRejected
from portal.store import audit, tokens
from portal.store.errors import Refused
from portal.store.store import Store

log = logging.getLogger(__name__)

ANYONE: frozenset[str] = frozenset()
DEVELOPER = frozenset({"developer", "admin"})
REVIEWER = frozenset({"reviewer", "admin"})
ADMIN = frozenset({"admin"})
MEMBER = DEVELOPER | REVIEWER

STARTED = "mosis.started"  # in the WSGI environment: when the request began, by time.perf_counter
VERSION_CODE_DIGITS = 15  # what SQLite, JSON and every client hold without loss


@dataclass(frozen=True)
class Call:
    """What a handler gets: the request, who asks (None without a token), the checked body."""

    request: LocalRequest
    actor: audit.Actor | None
    body: Any = None


@dataclass(frozen=True)
class Operation:
    """A route as declared. `answer` is None where the body is not JSON; `file` names the multipart file part."""

    method: str
    rule: str
    handler: Callable[..., BaseModel | HTTPResponse | None]
    summary: str
    scopes: frozenset[str] = ANYONE
    body: type[BaseModel] | None = None
    file: str | None = None
    fields: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    status: int = 200
    answer: type[BaseModel] | None = None
    media_type: str = "application/json"
    problems: tuple[str, ...] = ()


@dataclass
class Api:
    """The routes of one application."""

    app: Bottle
    store: Store
    operations: list[Operation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.app.router.add_filter("code", lambda _: (rf"[1-9][0-9]{{0,{VERSION_CODE_DIGITS - 1}}}", int, str))
        self.app.default_error_handler = _framework_error

    def add(self, operation: Operation) -> None:
        """Serve an operation; GET answers HEAD too."""
        self.operations.append(operation)
        self.app.route(operation.rule, operation.method, self._callback(operation))

    def _callback(self, operation: Operation) -> Callable[..., HTTPResponse]:
        def callback(**arguments: object) -> HTTPResponse:
            try:
                actor = authenticate(self.store, request, operation.scopes)
                body = forms.json_body(request, operation.body) if operation.body else None
                answer = operation.handler(Call(request, actor, body), **arguments)
            except Refused as refused:
                return problem(refused.code, refused.detail, errors=refused.errors, headers=CHALLENGE.get(refused.code))
            except ImageRejected as rejected:
                return problem(rejected.code, str(rejected))
            except OSError as error:
                log.exception("storage failed")
                return problem("STORAGE_ERROR", f"The storage failed: {error.strerror or 'input/output error'}.")
            except sqlite3.OperationalError as error:
                log.exception("database failed")
                return problem("STORAGE_ERROR", f"The database failed: {error}.")
            if answer is None:
                return HTTPResponse(status=operation.status)
            return answer if isinstance(answer, HTTPResponse) else json_response(answer, operation.status)

        return callback


CHALLENGE = {"UNAUTHENTICATED": {"WWW-Authenticate": 'Bearer realm="mosis"'}}


def json_response(answer: BaseModel, status: int = 200, cache_control: str = "no-store") -> HTTPResponse:
    headers = {"Content-Type": "application/json", "Cache-Control": cache_control}
    return HTTPResponse(answer.model_dump_json(), status, headers)


def authenticate(store: Store, call: LocalRequest, scopes: frozenset[str]) -> audit.Actor | None:
    """Who asks, from the bearer token; without one only what is for anyone. Raises Refused."""
    header = call.get_header("Authorization")
    if header is None:
        if scopes:
            raise Refused("UNAUTHENTICATED", "Send a token in the header Authorization: Bearer mosis_….")
        return None
    scheme, _, text = header.partition(" ")
    token = tokens.authenticate(store.db.read(), text.strip()) if scheme.lower() == "bearer" else None
    if token is None:
        raise Refused("UNAUTHENTICATED", "The token is unknown, expired or revoked.")
    if scopes and token.scope not in scopes:
        raise Refused("FORBIDDEN", f"This needs a token of scope {' or '.join(sorted(scopes))}, not {token.scope}.")
    tokens.note_use(store.db.read(), token)
    return audit.Actor(token.developer_id, token.scope, token.token_id, remote_address(store, call))


def remote_address(store: Store, call: LocalRequest) -> str:
    """The client's address; the last hop of X-Forwarded-For when our own nginx wrote it."""
    forwarded = call.get_header("X-Forwarded-For", "") if store.settings.proxied else ""
    return forwarded.rpartition(",")[2].strip() or call.environ.get("REMOTE_ADDR", "")


def _framework_error(error: HTTPError) -> HTTPResponse:
    kept = {name: value for name, value in error.headerlist if name in ("Allow", "Content-Range")}
    return problem(CODE_OF_STATUS.get(error.status_code, "INVALID_REQUEST"), str(error.body), headers=kept)
