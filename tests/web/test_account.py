"""Tokens and keys in the console."""

import httpx
import pytest
from playwright.sync_api import expect

from tests.support.portal import Portal, add_developer
from tests.web.conftest import Visiting

APP = "org.tokens.app"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_a_developer_creates_and_revokes_a_token_for_one_app(
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
    page.get_by_role("link", name=f"Revoke token {me['token_id']}").click()
    shown.accessible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.get_by_text("You are signed in with this token").count() == 0
    page.get_by_role("button", name="Revoke token").click()
    page.wait_for_url("**?done=revoke")
    expect(page.get_by_role("status")).to_contain_text("The token is revoked")
    assert text not in page.content()
    assert httpx.get(f"{front}/api/me", headers={"Authorization": f"Bearer {text}"}).status_code == 401


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
def test_revoking_the_token_of_this_session_needs_a_second_step_and_is_explained(
    site: Portal, front: str, visit: Visiting, script: bool
) -> None:
    token = add_developer(site.store, f"own-token-{script}".lower(), key=None)
    bearer = {"Authorization": f"Bearer {token}"}
    page = visit("/sign-in", java_script_enabled=script).page
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console")
    page.get_by_role("link", name="Tokens").click()
    revoke = page.get_by_role("link", name=f"Revoke token {token.split('_')[1]}")
    revoke.click()
    expect(page.get_by_text("You will be signed out")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    assert httpx.get(f"{front}/api/me", headers=bearer).status_code == 200
    revoke.click()
    page.get_by_role("button", name="Revoke token").click()
    page.wait_for_url("**/sign-in?done=revoke")
    expect(page.get_by_role("status")).to_contain_text("you are signed out")
    assert page.context.cookies() == []
    assert httpx.get(f"{front}/api/me", headers=bearer).status_code == 401


def test_nobody_revokes_the_token_of_another_developer(site: Portal, front: str) -> None:
    mine, theirs = (add_developer(site.store, name, key=None) for name in ("token-mine", "token-theirs"))
    bearer = {"Authorization": f"Bearer {mine}"}
    revoke = f"{front}/console/tokens/{theirs.split('_')[1]}/revoke"
    assert httpx.get(revoke, headers=bearer).status_code == 404
    assert httpx.post(revoke, headers=bearer).status_code == 404
    assert httpx.get(f"{front}/api/me", headers={"Authorization": f"Bearer {theirs}"}).status_code == 200
