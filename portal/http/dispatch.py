"""From a request to its response: authentication, limits, the checked body, the handler, problems for what fails."""

import errno
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes

from bottle import Bottle, HTTPError, HTTPResponse, request

from portal.faults import PRIMARY, SQLITE, UNNAMED
from portal.http import access, browsers, caching, digests, forms, idempotency, tus
from portal.http.authentication import Authentication
from portal.http.problems import CODE_OF_STATUS
from portal.http.responses import Answer, problem, revalidated
from portal.http.routing import VERSION_CODE, Operation, PublicCall, Route, Services
from portal.images.errors import ImageRejected
from portal.store import refusals, tokens
from portal.store.audit import Actor
from portal.store.errors import DatabaseBusy, Gone, Later, Refused
from portal.store.rate_limit import rate_limit

log = logging.getLogger(__name__)

BUSY = {"Retry-After": "5"}  # seconds
PASSING = (errno.EMFILE, errno.ENFILE)  # no disk is at fault, and other requests are about to close files
REQUEST_ID = re.compile(r"[0-9a-f]{32}")
CHALLENGE = {"UNAUTHENTICATED": {"WWW-Authenticate": 'Bearer realm="mosis"'}}


def application(services: Services, pages: Iterable[Route] = ()) -> Bottle:
    """The framework's application with the routes of the API, and with pages; GET answers HEAD too."""
    app = Bottle()
    app.router.add_filter("code", lambda _: (VERSION_CODE, int, str))
    app.default_error_handler = _framework_error
    app.add_hook("before_request", _require_utf8)
    app.add_hook("after_request", tus.mark)
    if services.store.settings.proxied:
        app.add_hook("after_request", caching.marked(services.store.settings.root))
    dispatch = Dispatch(services)
    for route in (*services.routes, *pages):
        app.route(route.operation.rule, route.operation.method, dispatch.callback(route))
    return app


class Dispatch:
    """Answers the requests of one application."""

    def __init__(self, services: Services) -> None:
        self._services, store = services, services.store
        self._authentication = Authentication(store)
        self._changes = rate_limit(store.settings, "changes")
        self._uploads = rate_limit(store.settings, "uploads")

    def callback(self, route: Route) -> Callable[..., HTTPResponse]:
        """What the framework calls with the parameters of the path."""

        def callback(**parameters: object) -> HTTPResponse:
            try:
                return self._answer(route, parameters)
            except Refused as refused:
                with suppress(OSError, sqlite3.Error):  # which change no answer
                    self._record(route.operation, parameters, refused)
                return _refusal(refused)
            except ImageRejected as rejected:
                return problem(rejected.code, str(rejected))
            except OSError as error:
                log.exception("storage failed, request %s", _request_id())
                return _storage_problem(error)
            except DatabaseBusy as busy:
                log.warning("database busy: %s", busy)
                return problem("UNAVAILABLE", str(busy), headers=BUSY)
            except sqlite3.OperationalError as error:
                log.exception("database failed, request %s", _request_id())
                return _database_problem(error)
            except MemoryError:  # all other exceptions the framework answers
                log.exception("out of memory, request %s", _request_id())
                return problem("INTERNAL_ERROR", "The server is out of memory.")

        return callback

    def _record(self, operation: Operation[Any], parameters: Mapping[str, object], refused: Refused) -> None:
        """Log what somebody tried who may not: by scope, by rule, or with the app of somebody else."""
        if refused.code not in ("FORBIDDEN", "NOT_FOUND") or not operation.access.scopes:
            return
        actor, app_id = self._authentication.known(request), parameters.get("app_id")
        store = self._services.store
        if actor and (refused.code == "FORBIDDEN" or access.is_hidden(store.db.read(), actor, app_id)):
            detail = {"code": refused.code, "request": f"{request.method} {operation.rule}", "app_id": app_id}
            subject = actor.token_id or ""
            refusals.record(store, actor, refusals.ACTION, subject, actor.developer_id, **detail)

    def _answer(self, route: Route, parameters: Mapping[str, object]) -> HTTPResponse:
        operation = route.operation
        actor = access.confined(self._authentication.actor(request, operation.access), operation, parameters)
        if operation.access.scopes and request.method not in browsers.SAFE and actor and not operation.ends_access:
            self._changes.take(actor.developer_id)
        if operation.rate_limited and actor:
            self._uploads.take(actor.developer_id)
        digests.guard(request)
        respond = partial(_respond, route, operation.access.call(request, self._services, actor), parameters)
        if operation.form_file and actor:
            with self._services.senders.place(actor.developer_id):
                return self._once(operation, actor, respond)
        return self._once(operation, actor, respond)

    def _once(
        self, operation: Operation[Any], actor: Actor | None, respond: Callable[[], HTTPResponse]
    ) -> HTTPResponse:
        if operation.idempotency_key and actor and actor.token_id:
            return idempotency.once(self._services.store, request, actor.token_id, respond)
        return respond()


def _request_id() -> str:
    """nginx's id of the request, which its log and the answer have too."""
    sent: str = request.get_header("X-Request-ID", "")
    return sent if REQUEST_ID.fullmatch(sent) else "-"


def _storage_problem(error: OSError) -> HTTPResponse:
    """The cause and the remedy if it is one of the disk; anything else is for the server's log alone."""
    detail = UNNAMED.get(error.errno or 0, "The storage failed; see the server's log.")
    if error.errno in PASSING:
        return problem("UNAVAILABLE", detail, headers=BUSY)
    return problem("STORAGE_ERROR", detail)


def _database_problem(error: sqlite3.Error) -> HTTPResponse:
    """The same of the database: SQLite's own words may name tables and columns."""
    code = getattr(error, "sqlite_errorcode", 0) & PRIMARY
    if code == sqlite3.SQLITE_CANTOPEN:  # SQLite hides why; another file shows whether there are descriptors
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as reason:
            return _storage_problem(reason)
    return problem("STORAGE_ERROR", SQLITE.get(code, "The database failed; see the server's log."))


def _respond(route: Route, call: PublicCall, parameters: Mapping[str, object]) -> HTTPResponse:
    body = {"body": forms.json_body(call.request, route.body)} if route.body else {}
    answer = route.handler(call, **body, **parameters)
    if answer is None:
        return HTTPResponse(status=route.operation.status)
    if isinstance(answer, HTTPResponse):
        return answer
    return _json(route, call, answer if isinstance(answer, Answer) else Answer(answer))


def _json(route: Route, call: PublicCall, answer: Answer[Any]) -> HTTPResponse:
    if route.operation.revalidated:
        return revalidated(call.request, answer.content.encode(), answer.fields)
    return HTTPResponse(answer.content, answer.status or route.operation.status, answer.fields)


def _require_utf8() -> None:
    """Hook: the framework would drop bytes that are not UTF-8, so that two URLs would name one resource."""
    try:
        request.environ["bottle.raw_path"].encode("latin-1").decode()
        unquote_to_bytes(request.query_string).decode()
    except UnicodeDecodeError:
        raise problem("INVALID_REQUEST", "The URL is not UTF-8.") from None


def _refusal(refused: Refused) -> HTTPResponse:
    """Details repeat what was sent, and people send tokens in the wrong places."""
    headers = CHALLENGE.get(refused.code, {})
    if isinstance(refused, Later):
        headers = {"Retry-After": str(refused.retry_after)}
    elif isinstance(refused, Gone) and request.method in browsers.SAFE:
        headers = caching.GONE
    errors = None if refused.errors is None else [tokens.redacted(error) for error in refused.errors]
    return problem(refused.code, tokens.redacted(refused.detail), errors=errors, headers=headers)


def _framework_error(error: HTTPError) -> HTTPResponse:
    kept = {name: value for name, value in error.headerlist if name in ("Allow", "Content-Range")}
    allowed = {*kept.get("Allow", "").split(",")}
    if "GET" in allowed:  # which answers HEAD too
        kept["Allow"] = ", ".join(sorted(allowed | {"HEAD"}))
    detail = tokens.redacted(str(error.body))
    if error.status_code == 404 and request.path.endswith("/"):
        detail += " No address of the store ends with a slash."
    return problem(CODE_OF_STATUS.get(error.status_code, "INVALID_REQUEST"), detail, headers=kept)
