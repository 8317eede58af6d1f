"""What a developer sees of its own tokens, and tokens that are bound to one app."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from portal.app import MODULES
from portal.http.routing import Operation
from portal.store import tokens
from portal.store.audit import Actor
from tests.support.portal import Portal, Publisher, add_developer, free_port, make_store, problem

AWARE = {
    ("GET", "/api/me"),
    ("DELETE", "/api/me/tokens/<token_id:re:[0-9a-f]{16}>"),
    ("GET", "/api/apps"),
    ("GET", "/api/developers/<developer_id>/keys"),
    ("POST", "/api/uploads/<upload_id:re:[0-9a-f]{32}>/url"),
    ("POST", "/api/uploads/<upload_id:re:[0-9a-f]{32}>/complete"),
}
"""Routes without an app in their path that look themselves at the app of the token."""


def other_app(publisher: Publisher) -> str:
    app_id = f"{publisher.app_id}.other"
    publisher.client.post("/api/apps", json={"app_id": app_id, "name": "Other"}).raise_for_status()
    return app_id


@pytest.fixture
def bound(publisher: Publisher) -> Iterator[httpx.Client]:
    """A client whose token is bound to the publisher's app."""
    made = publisher.client.post("/api/me/tokens", json={"app_id": publisher.app_id, "days": 30})
    assert made.status_code == 201
    with publisher.portal.client(made.json()["token"]) as client:
        yield client


def test_a_token_describes_itself_and_its_developer(publisher: Publisher, bound: httpx.Client) -> None:
    me = publisher.client.get("/api/me").json()
    assert (me["developer_id"], me["scope"], me["app_id"]) == (publisher.developer_id, "developer", None)
    assert me["name"] == publisher.developer_id.title()
    assert me["expires_at"] > me["created_at"]
    assert bound.get("/api/me").json()["app_id"] == publisher.app_id


def test_a_developer_lists_and_ends_its_own_tokens(publisher: Publisher, bound: httpx.Client) -> None:
    found = publisher.client.get("/api/me/tokens").json()["tokens"]
    listed = sorted(found, key=lambda token: token["app_id"] or "")  # those of one second are in no order
    assert [token["app_id"] for token in listed] == [None, publisher.app_id]
    assert "token" not in listed[1]
    ended = publisher.client.delete(f"/api/me/tokens/{listed[1]['token_id']}")
    assert ended.status_code == 204
    problem(bound.get("/api/me"), 401, "UNAUTHENTICATED")
    problem(publisher.client.delete("/api/me/tokens/0000000000000000"), 404, "NOT_FOUND")


def test_nobody_ends_the_token_of_another_developer(publisher: Publisher, reviewer_token: str) -> None:
    mine = publisher.client.get("/api/me").json()["token_id"]
    with publisher.portal.client(reviewer_token) as reviewer:
        problem(reviewer.delete(f"/api/me/tokens/{mine}"), 404, "NOT_FOUND")
    assert publisher.client.get("/api/me").status_code == 200


def test_a_token_is_bound_to_an_own_app_alone(publisher: Publisher) -> None:
    add_developer(publisher.portal.store, f"{publisher.developer_id}-else", key=None)
    app_id = f"{publisher.app_id}.else"
    with publisher.portal.client(add_developer(publisher.portal.store, f"{publisher.developer_id}-2", None)) as other:
        other.post("/api/apps", json={"app_id": app_id, "name": "Else"}).raise_for_status()
    for unknown in (app_id, "org.example.nowhere"):
        problem(publisher.client.post("/api/me/tokens", json={"app_id": unknown, "days": 1}), 404, "NOT_FOUND")
    for days in (0, 366):
        body = {"app_id": publisher.app_id, "days": days}
        problem(publisher.client.post("/api/me/tokens", json=body), 422, "VALIDATION_ERROR")


def test_a_bound_token_publishes_its_app_as_an_unbound_one(publisher: Publisher, bound: httpx.Client) -> None:
    owner, publisher.client = publisher.client, bound
    publisher.publish(1)
    body = publisher.package(2).read_bytes()
    made = bound.post(f"/api/apps/{publisher.app_id}/uploads", json={"size": len(body)}).json()
    renewed = bound.post(f"/api/uploads/{made['upload_id']}/url").json()
    httpx.put(publisher.portal.url + renewed["url"], content=body).raise_for_status()
    assert bound.post(f"/api/uploads/{made['upload_id']}/complete").json()["version_code"] == 2
    other_app(publisher_of(owner, publisher))
    assert [app["app_id"] for app in bound.get("/api/apps").json()["apps"]] == [publisher.app_id]


def publisher_of(client: httpx.Client, publisher: Publisher) -> Publisher:
    return Publisher(
        publisher.portal, client, publisher.reviewer, publisher.directory, publisher.app_id, publisher.key
    )  # fmt: skip


def test_a_bound_token_knows_no_upload_of_another_app(publisher: Publisher, bound: httpx.Client) -> None:
    other = other_app(publisher)
    made = publisher.client.post(f"/api/apps/{other}/uploads", json={"size": 1}).json()
    for step in ("url", "complete"):
        problem(bound.post(f"/api/uploads/{made['upload_id']}/{step}"), 404, "NOT_FOUND")


def declared() -> list[Operation]:
    return [route.operation for module in MODULES for route in module.routes]


def test_which_routes_see_to_bound_tokens_themselves() -> None:
    assert {(one.method, one.rule) for one in declared() if one.app_tokens} == AWARE


PROTECTED = [one for one in declared() if one.access.scopes and not one.app_tokens]


@pytest.mark.parametrize("operation", PROTECTED, ids=lambda one: f"{one.method} {one.rule}")
def test_a_bound_token_reaches_nothing_but_its_app(
    operation: Operation, publisher: Publisher, bound: httpx.Client
) -> None:
    """Every route that requires a token, with another app of the same developer in its path or none at all."""
    values = {"app_id": other_app(publisher), "developer_id": publisher.developer_id, "version_code": "1"}
    values |= {"number": "1", "token_id": "0" * 16, "key_id": "0" * 32, "upload_id": "0" * 32}
    values |= {"preview_id": "0" * 16}
    path = re.sub(r"<(\w+)(?::[^>]*)?>", lambda name: values[name[1]], operation.rule)
    answer = bound.request(operation.method, path)
    assert answer.status_code in (403, 404)
    assert answer.json()["code"] in ("FORBIDDEN", "NOT_FOUND")


def test_a_bound_token_sees_no_draft_of_another_app(publisher: Publisher, bound: httpx.Client) -> None:
    other = other_app(publisher)
    path = publisher.package(1, app_id=other)
    with path.open("rb") as file:
        url = publisher.client.post(f"/api/apps/{other}/versions", files={"package": file}).json()["download_url"]
    assert publisher.client.get(url).status_code == 200
    problem(bound.get(url), 404, "NOT_FOUND")


def test_a_bound_token_ends_itself_alone(publisher: Publisher, bound: httpx.Client) -> None:
    mine = publisher.client.get("/api/me").json()["token_id"]
    problem(bound.delete(f"/api/me/tokens/{mine}"), 404, "NOT_FOUND")
    assert bound.delete(f"/api/me/tokens/{bound.get('/api/me').json()['token_id']}").status_code == 204
    problem(bound.get("/api/me"), 401, "UNAUTHENTICATED")


def test_with_a_token_end_those_that_it_created(publisher: Publisher, bound: httpx.Client, portal: Portal) -> None:
    mine = publisher.client.get("/api/me").json()
    with portal.store.db.write() as tx:
        tokens.revoke(tx, Actor("admin", "admin", None, "test"), mine["developer_id"], mine["token_id"])
    problem(bound.get("/api/me"), 401, "UNAUTHENTICATED")


def test_a_release_without_bound_tokens_refuses_them(publisher: Publisher, bound: httpx.Client, portal: Portal) -> None:
    """It hashes the secret alone, and would take the token for one of all apps."""
    text = bound.headers["authorization"].removeprefix("Bearer ")
    with portal.store.db.write() as tx:
        tx.execute("UPDATE tokens SET app_id = NULL WHERE token_id = ?", (text.split("_")[1],))
    problem(bound.get("/api/me"), 401, "UNAUTHENTICATED")


def test_a_developer_sets_and_deletes_its_webhook(tmp_path: Path) -> None:
    with (
        Portal(make_store(tmp_path / "store", port=free_port(), webhooks="public")) as running,
        running.client(add_developer(running.store, "acme", None)) as client,
    ):
        problem(client.get("/api/me/webhook"), 404, "NOT_FOUND")
        made = client.put("/api/me/webhook", json={"url": "https://example.org/hook"}).json()
        assert made["secret"].startswith("whsec_")
        shown = client.get("/api/me/webhook").json()
        assert (shown["url"], shown["waiting"], "secret" in shown) == ("https://example.org/hook", 0, False)
        again = client.put("/api/me/webhook", json={"url": "https://example.org/hook"}).json()
        assert again["secret"] != made["secret"]
        assert client.delete("/api/me/webhook").status_code == 204
        problem(client.get("/api/me/webhook"), 404, "NOT_FOUND")
        problem(client.put("/api/me/webhook", json={"url": "http://10.0.0.1/"}), 422, "VALIDATION_ERROR")
