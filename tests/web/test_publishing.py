"""The whole way of an app in the browser: created, uploaded over a bad network, reviewed by keyboard, found by all."""

from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Page, expect

from tests.support.cutting import CuttingProxy
from tests.support.nginx import https_before
from tests.support.portal import Portal, add_developer
from tests.web.conftest import Visiting
from tests.web.test_console import MANY, SIZE, package

HARDLY = 30_000  # bytes of each connection, so that the upload does not end before the test wants it
APP = "org.newcomer.first"


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")


def test_a_newcomers_first_app(site: Portal, front: str, visit: Visiting, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    developer, reviewer = (
        add_developer(site.store, "newcomer", key),
        add_developer(site.store, "desk", None, "reviewer"),
    )
    with (
        https_before(front, tmp_path / "https") as https,
        CuttingProxy(int(https.rpartition(":")[2]), cuts=0, after=HARDLY) as proxy,
    ):
        secure = {"base": f"https://store.test:{proxy.url.rpartition(':')[2]}", "ignore_https_errors": True}
        page = visit("/console", faulty=True, **secure).page
        sign_in(page, developer)
        page.wait_for_url("**/console")
        [cookie] = page.context.cookies()
        assert (cookie["name"], cookie["secure"], cookie["httpOnly"]) == ("__Host-mosis-session", True, True)
        page.get_by_label("App ID").fill(APP)
        page.get_by_label("Name").fill("First")
        page.get_by_role("button", name="Create app").click()
        page.wait_for_url("**?done=app")
        proxy.cuts_left = MANY
        page.get_by_label("Package (.mosis)").set_input_files(
            package(tmp_path, APP, payload_bytes=SIZE, key=key, name="First of all", permissions=["storage.read"])
        )
        page.get_by_role("button", name="Upload").click()
        expect(page.locator("#transfer-state")).to_have_text("The connection is lost. Trying again…")
        proxy.cuts_left = 0
        page.goto(f"/console/apps/{APP}")  # it continues by itself
        page.wait_for_url("**?done=upload")
        page.get_by_label("Note for the reviewer").fill("My first one.")
        page.get_by_role("button", name="Submit for review").click()
        page.wait_for_url("**?done=submit")

        strangers = httpx.get(f"{front}/apps/{APP}"), httpx.get(f"{front}/downloads/newcomer/{APP}/1/package.mosis")
        assert [answer.status_code for answer in strangers] == [404, 404]
        page = visit(f"/review/{APP}/1", faulty=True, **secure).page
        sign_in(page, reviewer)
        page.wait_for_url(f"**/review/{APP}/1")
        expect(page.get_by_text("My first one.").first).to_be_visible()
        publish = page.get_by_role("button", name="Publish 1.0.0")
        publish.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/review?done=publish")
    page = visit("/?q=first+of+all").page
    page.get_by_role("link", name="First of all").click()
    expect(page.get_by_role("link", name="Download 1.0.0").first).to_be_visible()
