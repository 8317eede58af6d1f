"""How a route is declared."""

from typing import Any

import pytest
from bottle import HTTPResponse

from portal.app import MODULES
from portal.http import schemas
from portal.http.responses import Answer
from portal.http.routing import ANYONE, DEVELOPER, REVIEWER, Call, Operation, PublicCall, Routes
from portal.store.states import TRANSITIONS

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
