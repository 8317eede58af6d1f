"""What a browser does for another site: it reads nothing, and a link that is only opened changes nothing.

And what an answer lets a browser make of it, whichever route gave it.
"""

import re
from collections.abc import Iterator, Mapping

import httpx
import pytest

from portal.app import MODULES, PAGES
from portal.http.browsers import SAFE
from portal.store.store import Store
from portal.web import static
from tests.packages.samples import APP_ID
from tests.support.in_process import calling
from tests.support.portal import add_developer
from tests.support.publishing import add_app, illustrate, publish

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
    with calling(store, token, "127.0.0.1", {"Origin": "https://evil.example"}) as client:
        yield client


def path_of(rule: str, values: Mapping[str, str] = {}) -> str:
    known = {**VALUES, **values}
    return re.sub(r"<(\w+)(?::[^>]*)?>", lambda name: known.get(name[1]) or "0" * HEX.get(name[1], 8), rule)


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


FORBIDDEN = {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"}
STYLE = {"folder": static.digest(), "name": "style.css"}
KINDS_OF_CONTENT = {"application/json", "text/html", "text/css", "text/plain", "image/png", "image/svg+xml",
                    "application/atom+xml", "application/octet-stream", "application/problem+json"}  # fmt: skip


@pytest.fixture
def answers(store: Store, administrator: httpx.Client) -> dict[str, httpx.Response]:
    """What each route answers about an app that is published."""
    illustrate(store, APP_ID)
    publish(store, APP_ID, 1)
    return {rule: administrator.get(path_of(rule, STYLE if rule.startswith("/static/") else {})) for rule in READING}


def test_no_answer_loads_what_is_foreign_or_is_shown_in_a_frame(answers: dict[str, httpx.Response]) -> None:
    for rule, answer in answers.items():
        assert set(answer.headers["content-security-policy"].split("; ")) >= FORBIDDEN, rule
        assert answer.headers["x-content-type-options"] == "nosniff", rule
        assert answer.headers["referrer-policy"] in ("no-referrer", "same-origin"), rule


def test_no_answer_is_taken_for_what_it_is_not(answers: dict[str, httpx.Response]) -> None:
    seen = set()
    for rule, answer in answers.items():
        kind, _, charset = answer.headers["content-type"].lower().partition(";")
        seen.add(kind)
        assert charset.endswith("charset=utf-8") or not re.search("^text/|xml", kind), rule
        if kind == "application/octet-stream":
            assert answer.headers["content-disposition"].startswith("attachment"), rule
    assert KINDS_OF_CONTENT - seen == set()


def test_each_page_of_somebody_who_is_signed_in_signs_them_out(store: Store, administrator: httpx.Client) -> None:
    publish(store, APP_ID, 1)
    administrator.headers["Accept"] = "text/html"
    pages = [rule for rule in READING if rule.startswith(("/console", "/review", "/status"))]
    shown = [answer for answer in map(administrator.get, map(path_of, pages)) if answer.is_success]
    assert len(shown) >= 5
    assert [str(answer.url) for answer in shown if 'action="/sign-out"' not in answer.text] == []
