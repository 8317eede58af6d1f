"""What was typed into a form survives a session that has ended and a limit that was reached."""

import re
from collections.abc import Iterator

import httpx
import pytest

from portal.app import create_app
from portal.store import apps, tokens
from portal.store.audit import OPERATOR
from portal.store.store import Store
from tests.support import publishing
from tests.support.in_process import calling
from tests.support.portal import add_developer

APP_ID = "org.example.resent"
EDIT = f"/console/apps/{APP_ID}/edit"
TYPED = {"name": "Reader", "description": 'Two\nlines, "quoted" & <b>', "homepage": ""}
OF_A_PAGE = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def token(store: Store) -> str:
    token = add_developer(store, publishing.OWNER.developer_id)
    publishing.add_app(store, APP_ID)
    return token


@pytest.fixture
def browser(store: Store, token: str) -> Iterator[httpx.Client]:
    """Signed in."""
    with calling(store, headers=OF_A_PAGE) as client:
        assert client.post("/sign-in", data={"token": token, "next": ""}).status_code == 303
        yield client


def end_sessions(store: Store) -> None:
    with store.db.write() as tx:
        tx.execute("DELETE FROM sessions")


def resent(page: str) -> tuple[str, dict[str, str]]:
    """Where the form of the page goes, and what it sends."""
    form = re.search(r'<form class="actions" action="([^"]+)" method="post">(.*?)</form>', page, re.DOTALL)
    assert form
    fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form[2])
    unescaped = {"&lt;": "<", "&gt;": ">", "&#34;": '"', "&amp;": "&"}
    return form[1], {name: re.sub("&[^;]+;", lambda found: unescaped[found[0]], value) for name, value in fields}


def test_a_form_of_a_session_that_has_ended_is_sent_again_after_signing_in(
    store: Store, token: str, browser: httpx.Client
) -> None:
    end_sessions(store)
    answer = browser.post(EDIT, data=TYPED)
    assert (answer.status_code, "You are signed out" in answer.text) == (401, True)
    assert answer.headers["cache-control"] == "no-store"
    action, fields = resent(answer.text)
    assert (action, fields) == (EDIT, TYPED)
    browser.post("/sign-in", data={"token": token, "next": ""})
    assert browser.post(action, data=fields).status_code == 303
    assert apps.get(store.db.read(), APP_ID).description == TYPED["description"]


def test_a_form_over_a_limit_is_sent_again_later(store: Store, token: str) -> None:
    limited = store.settings.model_copy(update={"changes_per_hour": 1})
    headers = OF_A_PAGE | {"Authorization": f"Bearer {token}"}
    transport = httpx.WSGITransport(create_app(limited))
    with httpx.Client(transport=transport, base_url="http://nas.test", headers=headers) as client:
        answers = [client.post(EDIT, data=TYPED) for _ in range(3)]
    assert answers[-1].status_code == 429
    assert resent(answers[-1].text) == (EDIT, TYPED)
    assert "Retry-After" in answers[-1].headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_that_another_site_filled_in_is_not_offered(store: Store, browser: httpx.Client, site: str) -> None:
    end_sessions(store)
    answer = browser.post(EDIT, data=TYPED, headers={"Sec-Fetch-Site": site})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next={EDIT.replace('/', '%2F')}")


@pytest.mark.parametrize("secret", ["mosis_0123456789abcdef_" + "A" * 43, "-----BEGIN PRIVATE KEY-----\nMC4C"])
def test_a_page_never_repeats_a_secret(store: Store, browser: httpx.Client, secret: str) -> None:
    end_sessions(store)
    answer = browser.post("/console/keys", data={"statement": secret})
    assert (answer.status_code, secret[-4:] in answer.text) == (303, False)


def test_what_cannot_succeed_later_is_not_offered_again(browser: httpx.Client) -> None:
    answer = browser.post("/console/apps/org.example.nowhere/edit", data=TYPED)
    assert (answer.status_code, "Send again" in answer.text) == (404, False)


def test_programs_get_the_problem_as_before(store: Store, token: str, browser: httpx.Client) -> None:
    with store.db.write() as tx:
        [found] = [each for each in tokens.every(tx, "acme") if each.revoked_at is None]
        tokens.revoke(tx, OPERATOR, "acme", found.token_id)
    answer = browser.post(EDIT, data=TYPED, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
