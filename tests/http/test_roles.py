"""Every route that needs a token, by everybody who must not use it: a stranger, a reviewer, nobody at all."""

import re

import httpx
import pytest

from portal.app import MODULES
from portal.http import schemas
from portal.http.routing import Route
from tests.support.portal import Portal, Publisher, add_developer

PROTECTED = [route for module in MODULES for route in module.routes if route.operation.access.scopes]
OF_SOMEBODY = [route for route in PROTECTED if re.search("<(app|developer)_id", route.operation.rule)]
HEX = "0" * 32
BODIES: dict[type, dict[str, object]] = {
    schemas.NewDeveloper: {"developer_id": "new", "name": "New"},
    schemas.NewToken: {"scope": "developer", "days": 1},
    schemas.NewAppToken: {"app_id": "org.example.nowhere", "days": 1},
    schemas.NewKey: {"public_key": "", "proof": ""},
    schemas.NewPublisher: {"issuer": "https://ci.example.org", "repository_id": "1"},
    schemas.NewApp: {"app_id": "org.example.of-a-role", "name": "New"},
    schemas.NewRotation: {"new_key_id": HEX, "from_version_code": 2, "old_signature": "", "new_signature": ""},
    schemas.NewRecovery: {"new_key_id": HEX, "reason": "Lost."},
    schemas.Rejection: {"reason": "So."},
    schemas.Withdrawal: {"reason": "So."},
    schemas.ImageApproval: {"sha256": HEX + HEX},
    schemas.ImageRejection: {"sha256": HEX + HEX, "reason": "So."},
    schemas.Order: {"order": [1]},
    schemas.NewWebhook: {"url": "https://example.org/"},
    schemas.Transfer: {"developer_id": "thief", "reason": "So."},
}
"""A good body for each model that requires one, so that no other fault hides what a role may do."""


def named(route: Route) -> str:
    return f"{route.operation.method} {route.operation.rule}"


def send(client: httpx.Client, route: Route, publisher: Publisher) -> httpx.Response:
    """A request to the route about the publisher's app, its developer and its published version."""
    values = {"app_id": publisher.app_id, "developer_id": publisher.developer_id, "version_code": "1", "number": "1"}
    values |= {"token_id": HEX[:16], "key_id": HEX, "upload_id": HEX, "preview_id": HEX[:16]}
    path = re.sub(r"<(\w+)(?::[^>]*)?>", lambda name: values[name[1]], route.operation.rule)
    body = BODIES.get(route.body, {}) if route.body else None
    return client.request(route.operation.method, path, json=body)


def test_each_body_that_is_required_is_there() -> None:
    required = {
        route.body
        for route in PROTECTED
        if route.body and any(field.is_required() for field in route.body.model_fields.values())
    }
    assert required - BODIES.keys() == set()


@pytest.fixture(scope="module")
def stranger_token(portal: Portal) -> str:
    return add_developer(portal.store, "thief", key=None)


@pytest.mark.parametrize("route", OF_SOMEBODY, ids=named)
def test_a_stranger_reaches_nothing_of_another_developer(
    route: Route, publisher: Publisher, stranger_token: str
) -> None:
    publisher.publish(1)
    before = publisher.client.get(f"/api/apps/{publisher.app_id}").json()
    with publisher.portal.client(stranger_token) as stranger:
        answer = send(stranger, route, publisher)
    assert (answer.status_code, answer.json()["code"]) in ((403, "FORBIDDEN"), (404, "NOT_FOUND"))
    assert publisher.client.get(f"/api/apps/{publisher.app_id}").json() == before
    [version] = publisher.client.get(f"/api/apps/{publisher.app_id}/versions").json()["versions"]
    assert version["status"] == "published"


@pytest.mark.parametrize(
    "route", [route for route in PROTECTED if "reviewer" not in route.operation.access.scopes], ids=named
)
def test_a_reviewer_does_nothing_for_a_developer(route: Route, publisher: Publisher) -> None:
    assert send(publisher.reviewer, route, publisher).status_code == 403


@pytest.mark.parametrize(
    "route", [route for route in PROTECTED if "developer" not in route.operation.access.scopes], ids=named
)
def test_an_owner_does_nothing_for_reviewers_and_administrators(route: Route, publisher: Publisher) -> None:
    assert send(publisher.client, route, publisher).status_code == 403


@pytest.mark.parametrize("route", PROTECTED, ids=named)
def test_without_a_token_nothing_is_reached(route: Route, publisher: Publisher) -> None:
    with publisher.portal.client() as nobody:
        assert send(nobody, route, publisher).status_code == 401
