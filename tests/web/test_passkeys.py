"""Signing in with a passkey: by an authenticator in software, and by Chromium's virtual one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import CDPSession, Page, expect

from portal.app import create_app
from portal.store import apps, audit, passkeys, tokens
from portal.store.audit import Actor
from portal.store.authenticators import RelyingParty
from portal.store.store import Store
from portal.web.passkeys import relying_party
from tests.packages.samples import APP_ID
from tests.support.authenticator import Authenticator
from tests.support.in_process import calling
from tests.support.portal import Portal, add_developer, make_store, problem
from tests.web.conftest import Visiting

ORIGIN = "https://store.test"
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = make_store(tmp_path / "store", public_url=ORIGIN, auth_failures_per_minute=3)
    yield made
    made.db.close()


@pytest.fixture
def token(store: Store) -> str:
    return add_developer(store, "dev", key=None)


@pytest.fixture
def device() -> Authenticator:
    return Authenticator(ORIGIN)


def browser(store: Store, token: str | None = None) -> httpx.Client:
    """A browser, signed in if there is a token."""
    transport = httpx.WSGITransport(create_app(store.settings))
    client = httpx.Client(transport=transport, base_url=ORIGIN, headers=SAME)
    if token:
        assert client.post("/sign-in", data={"token": token}).status_code == 303
    return client


def register(client: httpx.Client, token: str, device: Authenticator, name: str = "Laptop") -> httpx.Response:
    options = client.post("/console/passkeys/options", json={"token": token})
    if options.status_code != 200:
        return options
    made = device.make(options.json())
    return client.post("/console/passkeys", json={"token": token, "name": name, "credential": made})


def sign_in(client: httpx.Client, device: Authenticator) -> httpx.Response:
    signed = device.sign(client.get("/sign-in/passkey").json())
    return client.post("/sign-in/passkey", json={"credential": signed})


def test_a_passkey_signs_in_until_it_is_removed(store: Store, token: str, device: Authenticator) -> None:
    mine = browser(store, token)
    assert register(mine, token, device, "<b>Laptop").status_code == 204
    assert "&lt;b&gt;Laptop" in mine.get("/console/tokens").text
    other = browser(store)
    assert sign_in(other, device).status_code == 204
    [kept] = other.cookies.jar
    assert kept.name == "__Host-mosis-session" and kept.secure and kept.has_nonstandard_attr("HttpOnly")
    me = other.get("/api/me").json()
    assert (me["developer_id"], me["scope"], me["passkey"]) == ("dev", "developer", "<b>Laptop")
    asked = mine.get(f"/console/tokens/{me['token_id']}/revoke").text
    assert "Remove this passkey?" in asked and "You are signed in" not in asked
    removed = mine.post(f"/console/tokens/{me['token_id']}/revoke")
    assert removed.headers["location"] == "/console/tokens?done=remove"
    problem(other.get("/api/me"), 401, "UNAUTHENTICATED")
    problem(sign_in(other, device), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("way", ["token", "passkey"])
def test_signing_in_again_ends_the_session_before(store: Store, token: str, device: Authenticator, way: str) -> None:
    """Somebody who copied the cookie of that session keeps nothing."""
    mine, thief = browser(store, token), browser(store)
    assert register(mine, token, device).status_code == 204
    thief.cookies = httpx.Cookies(mine.cookies)
    if way == "token":
        assert mine.post("/sign-in", data={"token": token}).status_code == 303
    else:
        assert sign_in(mine, device).status_code == 204
    assert mine.get("/api/me").status_code == 200
    problem(thief.get("/api/me"), 401, "UNAUTHENTICATED")


def test_signing_out_clears_what_pages_kept_in_the_browser(store: Store, token: str) -> None:
    assert browser(store, token).post("/sign-out").headers["clear-site-data"] == '"storage"'


def test_who_removes_the_passkey_of_this_session_is_signed_out(store: Store, token: str, device: Authenticator) -> None:
    register(browser(store, token), token, device)
    mine = browser(store)
    sign_in(mine, device)
    path = f"/console/tokens/{mine.get('/api/me').json()['token_id']}/revoke"
    assert "You are signed in with this passkey" in mine.get(path).text
    assert mine.post(path).headers["location"] == "/sign-in?done=remove"
    assert "passkey is removed, and you are signed out" in mine.get("/sign-in?done=remove").text


def test_a_browser_that_is_signed_in_registers_none_without_a_token(
    store: Store, token: str, device: Authenticator
) -> None:
    """Somebody at the desk of a reviewer has a session, and wants more."""
    mine = browser(store, token)
    problem(register(mine, "", device), 403, "FORBIDDEN")
    problem(register(mine, token[:-4] + "AAAA", device), 403, "FORBIDDEN")
    problem(register(mine, add_developer(store, "other", key=None), device), 403, "FORBIDDEN")
    problem(register(browser(store), token, device), 401, "UNAUTHENTICATED")
    assert passkeys.of_developer(store.db.read(), "dev") == []


def test_a_session_that_is_bound_to_one_app_registers_none(store: Store, token: str, device: Authenticator) -> None:
    dev = Actor("dev", "developer", token.split("_")[1], "test")
    with store.db.write() as tx:
        apps.add(tx, dev, APP_ID, "App", "")
        _, bound = tokens.issue_own(tx, dev, APP_ID, 1)
    problem(register(browser(store, bound), token, device), 403, "FORBIDDEN")
    problem(register(browser(store, token), bound, device), 403, "FORBIDDEN")


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}], ids=str)
def test_a_page_of_another_site_signs_nobody_in(
    store: Store, token: str, device: Authenticator, headers: dict[str, str]
) -> None:
    mine = browser(store, token)
    register(mine, token, device)
    victim = browser(store)
    signed = device.sign(victim.get("/sign-in/passkey").json())
    problem(victim.post("/sign-in/passkey", json={"credential": signed}, headers=headers), 403, "FORBIDDEN")
    problem(mine.post("/console/passkeys/options", json={"token": token}, headers=headers), 403, "FORBIDDEN")


def test_what_does_not_sign_in_counts_like_a_wrong_token(store: Store, token: str, device: Authenticator) -> None:
    register(browser(store, token), token, device)
    stranger = browser(store)
    unknown = Authenticator(ORIGIN)
    for _ in range(3):
        problem(sign_in(stranger, unknown), 401, "UNAUTHENTICATED")
    problem(sign_in(stranger, unknown), 429, "RATE_LIMITED")
    assert stranger.post("/sign-in", data={"token": "mosis_x"}).status_code == 429
    assert sign_in(stranger, device).status_code == 204, "a valid one always passes"


def test_sign_ins_with_a_passkey_are_limited(tmp_path: Path, device: Authenticator) -> None:
    """For each by itself: whoever uses up the developer's changes keeps nobody out."""
    store = make_store(tmp_path / "busy", public_url=ORIGIN, changes_per_hour=3)
    token = add_developer(store, "dev", key=None)
    register(browser(store, token), token, device)
    assert [sign_in(browser(store), device).status_code for _ in range(4)] == [204, 204, 204, 429]
    assert [entry.action for entry in audit.entries(store.db.read())].count("session.start") == 4
    store.db.close()


def test_the_portal_starts_without_the_library() -> None:
    program = "import sys, portal.app; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"bottle", "portal.web.passkeys"} <= set(ran.stdout.split())
    assert {"webauthn", "cbor2", "OpenSSL"} & set(ran.stdout.split()) == set()


@pytest.mark.parametrize(
    "body", [{}, {"credential": "x"}, {"credential": {}}, {"credential": {"rawId": 1}}, []], ids=str
)
def test_a_body_that_is_no_credential_is_refused(store: Store, token: str, body: object) -> None:
    assert browser(store).post("/sign-in/passkey", json=body).status_code in (400, 422)


RELYING = {
    "https://store.example.org": RelyingParty("store.example.org", "https://store.example.org"),
    "https://Store.example.org:443/mosis": RelyingParty("store.example.org", "https://store.example.org"),
    "https://bücher.example": RelyingParty("xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    "https://nas:8443": RelyingParty("nas", "https://nas:8443"),
    "http://localhost:8080": RelyingParty("localhost", "http://localhost:8080"),
    "http://store.example.org": None,
    "http://nas": None,
    "https://192.0.2.1": None,
    "https://[2001:db8::1]": None,
    "http://127.0.0.1:8080": None,
    "https://": None,
    "https://[": None,
    "https://a:x": None,
    f"https://{'a' * 64}.example": None,
}


@pytest.mark.parametrize("url", RELYING)
def test_passkeys_are_for_https_with_a_name_and_for_localhost(url: str) -> None:
    assert relying_party(url) == RELYING[url]


def test_a_store_without_https_offers_none(tmp_path: Path) -> None:
    store = make_store(tmp_path / "plain")
    with calling(store, headers=SAME) as client:
        assert "passkey" not in client.get("/sign-in").text
        problem(client.get("/sign-in/passkey"), 403, "FORBIDDEN")
        client.post("/sign-in", data={"token": add_developer(store, "dev", key=None)})
        shown = client.get("/console/tokens").text
        assert "need a store with https" in shown
        assert "http://localhost" in shown, "where a try-out has them"
    store.db.close()


def virtual_authenticator(page: Page) -> tuple[CDPSession, str]:
    """The session and the id of one that checks the person without asking anybody."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    kind = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
            "isUserVerified": True}  # fmt: skip
    return cdp, cdp.send("WebAuthn.addVirtualAuthenticator", {"options": kind})["authenticatorId"]


def test_chromium_registers_a_passkey_signs_in_with_it_and_removes_it(portal: Portal, visit: Visiting) -> None:
    token = add_developer(portal.store, "passkeys", key=None)
    base = portal.url.replace("127.0.0.1", "localhost")
    visited = visit("/sign-in", base=base, viewport={"width": 360, "height": 800}, faulty=True)  # one 401, at the end
    page = visited.page
    cdp, authenticator = virtual_authenticator(page)

    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("this browser has none for localhost")
    visited.accessible()
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console")

    page.get_by_role("link", name="Tokens").click()
    page.get_by_label("Name of the passkey").fill("Laptop")
    page.get_by_label("Your token").fill(token)
    page.get_by_role("button", name="Register passkey").click()
    page.wait_for_url("**?done=passkey")
    visited.accessible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_label("Name of the passkey").fill("Again")
    page.get_by_label("Your token").fill(token)
    page.get_by_role("button", name="Register passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("already has a passkey for localhost")

    page.get_by_role("button", name="Sign out").click()
    page.goto("/sign-in?next=/console/tokens")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url("**/console/tokens")
    expect(page.get_by_text("this session")).to_have_count(1)
    page.get_by_role("link", name="Remove passkey Laptop").click()
    visited.accessible()
    page.get_by_role("button", name="Remove passkey").click()
    page.wait_for_url("**/sign-in?done=remove")

    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("does not know this passkey")
    assert all("401" in fault for fault in visited.faults), visited.faults
    assert [entry.action for entry in audit.entries(portal.store.db.read()) if entry.actor == "passkeys"] == [
        "session.start", "passkey.register", "session.end", "session.start", "passkey.remove",
    ]  # fmt: skip
    cdp.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": authenticator})
