"""How a route is declared."""

from contextlib import ExitStack
from typing import Any

import pytest
from bottle import HTTPResponse

from portal.app import MODULES
from portal.http import schemas
from portal.http.responses import Answer
from portal.http.routing import (
    ANYONE,
    COMPARISONS_MAX,
    DEVELOPER,
    REVIEWER,
    Call,
    Operation,
    PublicCall,
    Routes,
    Services,
)
from portal.http.senders import Senders
from portal.images.errors import DecoderLost
from portal.metrics import Metrics
from portal.store.downloads import Counting
from portal.store.errors import Unavailable
from portal.store.states import TRANSITIONS
from portal.store.store import Store

SCOPES = {"owner": DEVELOPER.scopes, "reviewer": REVIEWER.scopes}


def add_key(call: Call, body: schemas.NewKey, app_id: str) -> schemas.Key: ...


def find_key(call: PublicCall) -> Answer[schemas.Key]: ...


def send(call: PublicCall) -> HTTPResponse: ...


def delete(call: Call, app_id: str) -> None: ...


@pytest.mark.parametrize(
    ("handler", "body", "answer"),
    [(add_key, schemas.NewKey, schemas.Key), (find_key, None, schemas.Key), (send, None, None), (delete, None, None)],
)
def test_models_come_from_annotations(handler: Any, body: object, answer: object) -> None:
    routes = Routes()
    assert routes.add(Operation("POST", "/x", "X", ANYONE))(handler) is handler
    [route] = routes
    assert (route.handler, route.body, route.answer) == (handler, body, answer)


def test_each_step_of_review_has_a_route_for_those_who_may_take_it() -> None:
    declared = {route.operation.rule: route.operation for module in MODULES for route in module.routes}
    for action, transition in TRANSITIONS.items():
        operation = declared[f"/api/apps/<app_id>/versions/<version_code:code>/{action}"]
        assert operation.access.scopes == frozenset().union(*(SCOPES[who] for who in transition.by))


def test_comparisons_of_packages_take_few_threads(store: Store) -> None:
    """One developer who asks for many at once keeps no reviewer from a review, nor every thread waiting."""
    services = Services(store, Metrics(store), (), Counting(store.db), Senders(8))
    with ExitStack() as others:
        with pytest.raises(Unavailable):
            for _ in range(COMPARISONS_MAX):
                others.enter_context(services.comparisons.place("acme"))
        with services.comparing("reviewer"):
            assert services.images.lock.locked()
            with pytest.raises(Unavailable), services.comparing("another"):
                pass
    with services.comparing("acme"):
        assert services.images.lock.locked()
    assert not services.images.lock.locked()


def test_a_lost_decoder_is_a_reason_to_try_again(store: Store) -> None:
    services = Services(store, Metrics(store), (), Counting(store.db), Senders(8))
    with pytest.raises(Unavailable, match="try again"), services.converting("acme"):
        assert services.images.lock.locked()
        raise DecoderLost("It was killed.")
    assert not services.images.lock.locked()
