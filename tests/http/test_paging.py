"""Lists that can grow without end come in pages, each row once, whatever is added between two."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from portal.app import MODULES
from portal.developer.answers import Apps
from portal.developer.client import Client
from portal.developer.credentials import Account
from portal.http import paging, schemas
from portal.store import apps
from portal.store.store import Store
from tests.packages.samples import APP_ID
from tests.support.in_process import calling
from tests.support.portal import add_developer, make_store, problem
from tests.support.publishing import OWNER, add_app, change, upload

WHOLE = {
    "/api/apps/<app_id>": "an app has eight images",
    "/api/apps/<app_id>/images": "an app has eight images",
    "/api/apps/<app_id>/publishers": "an app trusts at most 20",
    "/api/store/apps/<app_id>": "an app has eight images; its keys change a few times a year",
    "/api/apps/<app_id>/versions/<version_code:code>/previews": "a version has at most 20 links",
    "/api/apps/<app_id>/downloads": "90 days, and a number per version",
    "/api/apps/<app_id>/versions/<version_code:code>/changes": "of the files only the first are named",
}
"""Answers with a list that is bounded otherwise."""


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = make_store(tmp_path_factory.mktemp("paging") / "store")
    yield store
    store.db.close()


def proposed(store: Store, app_id: str) -> None:
    """Note that images of the app were changed."""
    with store.db.write() as tx:
        tx.execute("INSERT INTO proposals (app_id, changed_at) VALUES (?, 1)", (app_id,))


@pytest.fixture(scope="module")
def client(full: Store) -> Iterator[httpx.Client]:
    """Of an administrator, who is also a developer with five of everything."""
    store = full
    token = add_developer(store, "acme", scope="admin")
    for number in range(5):
        add_developer(store, f"other{number}", key=None)
        add_app(store, f"org.example.app{number}")
    add_app(store, APP_ID)
    for code in range(1, 6):
        upload(store, APP_ID, code)
        change(store, APP_ID, code, "submit")
        proposed(store, f"org.example.app{code - 1}")
    with calling(store, token) as admin:
        for _ in range(4):
            made = admin.post("/api/me/tokens", json={"app_id": APP_ID, "days": 1})
            assert made.status_code == 201
        yield admin


LISTS = {
    "/api/apps": ("apps", "app_id"),
    "/api/developers": ("developers", "developer_id"),
    "/api/developers/acme/apps": ("apps", "app_id"),
    "/api/developers/acme/keys": ("keys", "key_id"),
    "/api/developers/acme/tokens": ("tokens", "token_id"),
    "/api/me/tokens": ("tokens", "token_id"),
    "/api/review": ("versions", "version_code"),
    "/api/review/images": ("images", "app_id"),
    f"/api/apps/{APP_ID}/versions": ("versions", "version_code"),
}


def pages(client: httpx.Client, path: str, member: str, limit: int) -> Iterator[list[dict]]:
    cursor = ""
    while True:
        page = client.get(path, params={"limit": limit, "cursor": cursor}).raise_for_status().json()
        yield page[member]
        cursor = page["cursor"]
        if cursor is None:
            return


@pytest.mark.parametrize("path", LISTS)
def test_the_pages_of_a_list_are_the_list(client: httpx.Client, path: str) -> None:
    member, key = LISTS[path]
    whole = client.get(path).raise_for_status().json()
    assert whole["cursor"] is None
    for limit in (1, 2, 6):
        found = list(pages(client, path, member, limit))
        assert all(len(page) <= limit for page in found)
        assert [row[key] for page in found for row in page] == [row[key] for row in whole[member]]
    assert len(whole[member]) >= (1 if member == "keys" else 5)


def test_what_is_added_between_two_pages_shifts_nothing(full: Store, client: httpx.Client) -> None:
    before, seen = [app["app_id"] for app in client.get("/api/apps").json()["apps"]], list[str]()
    for page in pages(client, "/api/apps", "apps", 2):
        seen += [app["app_id"] for app in page]
        with full.db.write() as tx:
            apps.add(tx, OWNER, f"org.example.aaa{len(seen)}", "First", "")
    assert seen == before


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "limit=-1", "cursor=x", "cursor=WzFd", "cursor=bnVsbA", "cursor=W10",
              "cursor=WyJhIiwiYiIsImMiLCJkIl0", "cursor=WzFlOTk5XQ", "cursor=Wzk5OTk5OTk5OTk5OTk5OTk5OTk5XQ",
              "cursor=WyJcdWQ4MDAiXQ", "cursor=WzEsIlx1ZDgwMCJd", "cursor=WzEsMSwiXHVkODAwIl0"]  # half a pair
)  # fmt: skip
def test_another_cursor_or_limit_is_refused(client: httpx.Client, query: str) -> None:
    for path in LISTS:
        problem(client.get(f"{path}?{query}"), 400, "INVALID_REQUEST")


def test_a_token_of_one_app_learns_of_no_other_by_a_cursor(client: httpx.Client) -> None:
    made = client.post("/api/me/tokens", json={"app_id": APP_ID, "days": 1}).json()
    bound = {"Authorization": f"Bearer {made['token']}"}
    page = client.get("/api/apps", params={"limit": 1}, headers=bound).json()
    assert ([app["app_id"] for app in page["apps"]], page["cursor"]) == ([APP_ID], None)


def test_every_list_has_pages() -> None:
    lists = {
        route.operation.rule: route
        for module in MODULES
        for route in module.routes
        if route.answer and route.operation.method == "GET" and any(map(is_list, route.answer.model_fields.values()))
    }
    unbounded = {
        rule
        for rule, route in lists.items()
        if not issubclass(route.answer, schemas.Listing) and "cursor" not in route.operation.query
    }
    paged = {rule for rule, route in lists.items() if set(paging.QUERY) <= set(route.operation.query)}
    assert paged == {rule for rule, route in lists.items() if issubclass(route.answer, schemas.Listing)}
    assert unbounded == set(WHOLE), unbounded


def is_list(field: object) -> bool:
    """A model that names a later one has the text of the annotation until it is first used."""
    return "list[" in str(field.annotation)


def test_the_client_reads_all_pages(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, reader = client.get("/api/apps").json()["apps"], Client(Account("http://portal", "token"))
    asked: list[str] = []

    def get(path: str, kind: Callable[..., Apps]) -> Apps:
        asked.append(path)
        return kind.model_validate(client.get(path, params={"limit": 2} if "?" not in path else None).json())

    monkeypatch.setattr(reader, "get", get)
    assert len(reader.every("/api/apps", Apps, "apps").as_sent()["apps"]) == len(whole)
    assert len(asked) == 2
