"""Tokens and keys in the console."""

import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.support.portal import Portal, add_developer
from tests.web.conftest import Visiting

APP = "org.tokens.app"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_a_developer_creates_and_ends_a_token_for_one_app(
    site: Portal, front: str, visit: Visiting, width: int, scheme: str
) -> None:
    app_id = f"{APP}{width}"
    token = add_developer(site.store, f"tokens{width}", key=None)
    bearer = {"Authorization": f"Bearer {token}"}
    made = {"app_id": app_id, "name": "App"}
    httpx.post(f"{front}/api/apps", json=made, headers=bearer).raise_for_status()
    shown = visit("/sign-in", viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = shown.page
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console")
    page.get_by_role("link", name="Tokens").click()
    page.get_by_role("button", name="Create token").click()
    text = page.locator("#made").inner_text()
    shown.accessible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    me = httpx.get(f"{front}/api/me", headers={"Authorization": f"Bearer {text}"}).json()
    assert me["app_id"] == app_id
    page.get_by_role("button", name=f"End token {me['token_id']}").click()
    page.wait_for_url("**?done=end")
    assert text not in page.content()
    assert httpx.get(f"{front}/api/me", headers={"Authorization": f"Bearer {text}"}).status_code == 401
    page.get_by_role("button", name=f"End token {re.split('_', token)[1]}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")  # with the token, this session has ended


def test_nobody_ends_the_token_of_another_developer(site: Portal, front: str) -> None:
    mine, theirs = (add_developer(site.store, name, key=None) for name in ("token-mine", "token-theirs"))
    bearer = {"Authorization": f"Bearer {mine}"}
    assert httpx.post(f"{front}/console/tokens/{theirs.split('_')[1]}/end", headers=bearer).status_code == 404
    assert httpx.get(f"{front}/api/me", headers={"Authorization": f"Bearer {theirs}"}).status_code == 200
