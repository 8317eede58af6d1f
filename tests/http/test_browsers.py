"""What a browser does for another site: it reads nothing, and a link that is only opened changes nothing."""

import re
from collections.abc import Iterator

import httpx
import pytest

from portal.app import MODULES, PAGES, create_app
from portal.http.browsers import SAFE
from portal.store.store import Store
from tests.packages.samples import APP_ID
from tests.support.portal import add_developer
from tests.support.publishing import add_app

READING = sorted({
    route.operation.rule for module in (*MODULES, *PAGES) for route in module.routes
    if route.operation.method in SAFE
})  # fmt: skip
VALUES = {"app_id": APP_ID, "developer_id": "acme", "version_code": "1", "number": "1", "name": "icon-64.png"}
HEX = {"token_id": 16, "preview_id": 16, "key_id": 32, "upload_id": 32}


@pytest.fixture
def administrator(store: Store) -> Iterator[httpx.Client]:
    add_developer(store, "acme")
    add_app(store, APP_ID)
    token = add_developer(store, "admin", key=None, scope="admin")
    headers = {"Authorization": f"Bearer {token}", "Origin": "https://evil.example"}
    transport = httpx.WSGITransport(create_app(store.settings))
    with httpx.Client(transport=transport, base_url="http://portal", headers=headers) as client:
        yield client


def path_of(rule: str) -> str:
    return re.sub(r"<(\w+)(?::[^>]*)?>", lambda name: VALUES.get(name[1]) or "0" * HEX.get(name[1], 8), rule)


def content(store: Store) -> list[str]:
    """The database as SQL, without when a token was last used."""
    return [re.sub(r"(INSERT INTO \"tokens\").*", r"\1", line) for line in store.db.read().iterdump()]


def test_reading_changes_nothing_and_is_for_no_other_site(store: Store, administrator: httpx.Client) -> None:
    before, answered = content(store), set()
    for rule in READING:
        answer = administrator.get(path_of(rule))
        answered.add(answer.status_code)
        assert [name for name in answer.headers if name.startswith("access-control-")] == [], rule
    assert {200, 404} <= answered
    assert content(store) == before
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    answer = administrator.options("/api/apps", headers=preflight)
    assert "access-control-allow-origin" not in answer.headers


def test_what_a_token_reads_is_kept_by_no_cache(administrator: httpx.Client) -> None:
    for rule in READING:
        if rule.startswith(("/api/", "/console", "/review", "/status")) and not rule.startswith("/api/store"):
            assert "no-store" in administrator.get(path_of(rule)).headers["cache-control"], rule
