"""Routes: each handler has its operation declared directly above it, and /openapi.json is made of the same.

    @routes.add(Operation("POST", "/api/developers", "Add a developer", ADMIN, status=201))
    def add_developer(call: Call, body: schemas.NewDeveloper) -> schemas.Developer:

The types of request body and answer are the annotations of `body` and of the returned value.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from bottle import HTTPResponse, LocalRequest
from pydantic import BaseModel

from portal.http import turns
from portal.http.places import Places
from portal.http.responses import Answer
from portal.http.senders import Senders
from portal.http.turns import Turns
from portal.images.errors import DecoderLost
from portal.metrics import Metrics
from portal.settings import Settings
from portal.store.audit import Actor
from portal.store.database import Database
from portal.store.downloads import Counting
from portal.store.errors import Unavailable
from portal.store.store import Store

log = logging.getLogger(__name__)

STARTED = "mosis.started"  # in the WSGI environment: when the request began, by time.perf_counter
COMPARISONS_MAX = 3  # of packages, under way or waiting in a worker, which has at least 4 threads
COMPARISON_SECONDS = 5  # until it is worth another try
VERSION_CODE_DIGITS = 16  # of the largest version code that a manifest may have
VERSION_CODE = rf"[1-9][0-9]{{0,{VERSION_CODE_DIGITS - 1}}}"  # what the filter `code` of a rule matches


@dataclass(frozen=True)
class Services:
    """What handlers work with; one object per application."""

    store: Store
    metrics: Metrics
    routes: tuple["Route", ...]
    downloads: Counting
    senders: Senders
    images: Turns = field(default_factory=Turns)
    """Its lock is held while packages are compared, too: one at a time bounds what a worker needs for either."""
    comparisons: Places = field(
        default_factory=lambda: Places(
            COMPARISONS_MAX, "Other packages are being compared: try again in a moment.", COMPARISON_SECONDS
        )
    )

    @contextmanager
    def comparing(self, developer_id: str) -> Iterator[None]:
        """Held while packages are compared for somebody, who leaves a place for reviewers. Raises Unavailable rather
        than let many threads wait for their turn.
        """
        with self.comparisons.place(developer_id), self.images.lock:
            yield

    @contextmanager
    def converting(self, developer_id: str) -> Iterator[None]:
        """Held while an image is converted. Raises Unavailable likewise, and where the decoder was lost."""
        try:
            with self.images.of(developer_id):
                yield
        except DecoderLost as lost:
            log.exception("an image was not converted")
            raise Unavailable("The image could not be converted now: try again.", turns.SECONDS) from lost


@dataclass(frozen=True)
class PublicCall:
    """A request to a route that needs no token; `actor` is None without one."""

    request: LocalRequest
    services: Services
    actor: Actor | None

    @property
    def store(self) -> Store:
        return self.services.store

    @property
    def db(self) -> Database:
        return self.services.store.db

    @property
    def settings(self) -> Settings:
        return self.services.store.settings

    @property
    def metrics(self) -> Metrics:
        return self.services.metrics


@dataclass(frozen=True)
class Call(PublicCall):
    """A request to a route that needs a token: it always has an actor."""

    actor: Actor

    @property
    def token_id(self) -> str:
        """The token of the request."""
        return self.actor.token_id or ""


C = TypeVar("C", bound=PublicCall)
P = ParamSpec("P")
R = TypeVar("R", bound=BaseModel | Answer[Any] | HTTPResponse | None)


@dataclass(frozen=True)
class Access(Generic[C]):
    """The token scopes that may call a route, none for everyone, and the type of call that its handler gets."""

    scopes: frozenset[str]
    call: type[C]


ANYONE = Access(frozenset(), PublicCall)
DEVELOPER = Access(frozenset({"developer", "admin"}), Call)
REVIEWER = Access(frozenset({"reviewer", "admin"}), Call)
MEMBER = Access(DEVELOPER.scopes | REVIEWER.scopes, Call)
ADMIN = Access(frozenset({"admin"}), Call)


@dataclass(frozen=True)
class Operation(Generic[C]):
    """A route as declared. Header names are keys of `headers`; those that every route of a kind has are not repeated.

    `request_media_type` is the type of a request body of bytes, `media_type` that of an answer that is no model.
    `form_file` and `form_fields` name the parts of a multipart form. A `rate_limited` operation counts as an upload of
    its developer.
    """

    method: str
    rule: str
    summary: str
    access: Access[C]
    status: int = 200
    query: tuple[str, ...] = ()
    form_file: str | None = None
    form_fields: tuple[str, ...] = ()
    request_media_type: str | None = None
    request_headers: tuple[str, ...] = ()
    media_type: str = "application/json"
    response_headers: tuple[str, ...] = ()
    optional_headers: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    supports_ranges: bool = False  # and conditions: 206, 304 and their problems
    revalidated: bool = False  # an entity tag, and 304 or 412 if the request names one
    idempotency_key: bool = False
    rate_limited: bool = False
    redirects: bool = False  # where the mirror has the file
    app_tokens: bool = False  # without an app in its path, it takes a token that is bound to one all the same
    ends_access: bool = False  # never refused for a limit of changes: a stolen token must not keep its owner from it
    accepted: bool = False  # 202 with Retry-After while a job has still to do its part


@dataclass(frozen=True)
class Route:
    """An operation, its handler, and the models of request body and answer; None where there is no JSON."""

    operation: Operation[Any]
    handler: Callable[..., BaseModel | Answer[Any] | HTTPResponse | None]
    body: type[BaseModel] | None
    answer: type[BaseModel] | None


class Routes:
    """The routes of one module, in the order of their declaration."""

    def __init__(self) -> None:
        self._routes: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def add(
        self, operation: Operation[C]
    ) -> Callable[[Callable[Concatenate[C, P], R]], Callable[Concatenate[C, P], R]]:
        """Declare the decorated function as the handler of an operation."""

        def declare(handler: Callable[Concatenate[C, P], R]) -> Callable[Concatenate[C, P], R]:
            types = get_type_hints(handler)
            self._routes.append(Route(operation, handler, types.get("body"), _model(types["return"])))
            return handler

        return declare


def _model(annotation: Any) -> type[BaseModel] | None:
    found = get_args(annotation)[0] if get_origin(annotation) is Answer else annotation
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None
