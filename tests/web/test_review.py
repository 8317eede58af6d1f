"""The review: what has changed is shown, and a decision needs no mouse."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from portal.store import apps, audit, proposals, versions
from tests.support import publishing
from tests.support.portal import Portal, add_developer
from tests.web.conftest import Visiting


@pytest.fixture(scope="session")
def reviewer(site: Portal) -> str:
    return add_developer(site.store, "page-reviewer", key=None, scope="reviewer")


def submitted(site: Portal, app_id: str, code: int, **described: object) -> None:
    publishing.upload(site.store, app_id, code, **described)
    publishing.change(site.store, app_id, code, "submit", "Please look at the sync.")


def signed_in(visit: Visiting, token: str, **options: object) -> Page:
    page = visit("/sign-in", **options).page
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/review")
    return page


def status(site: Portal, app_id: str, code: int) -> str:
    return versions.get(site.store.db.read(), app_id, code).status


def press_until(page: Page, name: str, key: str = "Tab", most: int = 60) -> None:
    """Move the focus as somebody without a mouse does, until it is on what has this name."""
    for _ in range(most):
        page.keyboard.press(key)
        focused = page.evaluate("document.activeElement.textContent || document.activeElement.id")
        if name in focused:
            return
    raise AssertionError(f"{name} cannot be reached by {key}")


def test_a_reviewer_sees_what_changes_and_approves_by_keyboard(
    site: Portal, reviewer: str, app_id: str, visit: Visiting
) -> None:
    publishing.publish(site.store, app_id, 1, permissions=["storage.read"], name="Reviewed")
    submitted(
        site, app_id, 2, permissions=["storage.read", "camera"], name="Reviewed", version_name="2.0.0",
        payload_bytes=20_000,
    )  # fmt: skip
    page = signed_in(visit, reviewer)
    press_until(page, "Reviewed 2.0.0")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/review/{app_id}/2")
    text = page.locator("main").inner_text()
    assert re.search(r"operator · \d+ \w+ \d+, \d\d:\d\d UTC", text), text
    for shown in ("Please look at the sync.", "New permissions: camera", "Changes since 1.0.0"):
        assert shown in text
    assert re.search(r"\d+ (added|changed)\n", text), text
    press_until(page, "Publish 2.0.0")
    page.keyboard.press("Enter")
    page.wait_for_url("**/review?done=publish")
    assert status(site, app_id, 2) == "published"
    expect(page.get_by_role("status")).to_have_text("Published. Devices find it within a minute.")


def test_a_rejection_needs_a_reason_and_can_take_one_from_the_list(
    site: Portal, reviewer: str, app_id: str, visit: Visiting
) -> None:
    submitted(site, app_id, 1)
    page = signed_in(visit, reviewer, faulty=True)
    page.goto(f"/review/{app_id}/1")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("alert")).to_have_text("Choose a reason or write one.")
    expect(page.get_by_label("What to fix")).to_have_attribute("aria-invalid", "true")
    assert status(site, app_id, 1) == "in_review"
    page.get_by_label("Reason").select_option("It crashes or does not start.")
    page.get_by_label("What to fix").fill("On API level 3.")
    page.get_by_role("button", name="Reject").click()
    page.wait_for_url("**/review?done=reject")
    assert versions.get(site.store.db.read(), app_id, 1).reason == "It crashes or does not start. On API level 3."


def test_a_decision_is_about_what_was_seen(site: Portal, reviewer: str, app_id: str, visit: Visiting) -> None:
    submitted(site, app_id, 1)
    page = signed_in(visit, reviewer, faulty=True)
    page.goto(f"/review/{app_id}/1")
    publishing.change(site.store, app_id, 1, "withdraw")
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("alert")).to_contain_text("Only a version that is in review can be")
    assert status(site, app_id, 1) == "draft"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_the_review_suits_every_screen_and_reader(
    site: Portal, reviewer: str, visit: Visiting, width: int, scheme: str
) -> None:
    app_id = f"org.example.reviewed{width}"
    publishing.add_app(site.store, app_id)
    publishing.illustrate(site.store, app_id)
    publishing.publish(site.store, app_id, 1, author="A", description="Old")
    submitted(site, app_id, 2, permissions=["camera"], changelog="- *New*", description="New", payload_bytes=30_000)
    shown = visit("/sign-in", viewport={"width": width, "height": 800}, color_scheme=scheme)
    shown.page.get_by_label("Token").fill(reviewer)
    shown.page.keyboard.press("Enter")
    shown.page.wait_for_url("**/review")
    for path in ("/review", f"/review/{app_id}/2"):
        shown.page.goto(path)
        shown.accessible()
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_reviewer_with_apps_of_others_only_is_led_to_the_queue(
    site: Portal, reviewer: str, visit: Visiting, app_id: str
) -> None:
    page = signed_in(visit, reviewer)  # the console has nothing for this scope
    assert page.get_by_role("link", name="My apps").count() == 0


def test_a_version_is_the_first_only_if_none_was_published(
    site: Portal, front: str, reviewer: str, app_id: str
) -> None:
    publishing.publish(site.store, app_id, 1)
    publishing.change(site.store, app_id, 1, "yank", "It loses data.")
    submitted(site, app_id, 2)
    headers = {"Accept": "text/html", "Authorization": f"Bearer {reviewer}"}
    shown = httpx.get(f"{front}/review/{app_id}/2", headers=headers).text
    assert "first version" not in shown.lower()
    assert "The whole version: all earlier ones are withdrawn" in shown


def test_a_version_in_the_queue_says_that_it_publishes_images_too(
    site: Portal, front: str, reviewer: str, app_id: str
) -> None:
    publishing.publish(site.store, app_id, 1)
    submitted(site, app_id, 2)
    headers = {"Accept": "text/html", "Authorization": f"Bearer {reviewer}"}

    def card() -> str:
        cards = httpx.get(f"{front}/review", headers=headers).text.split("<li ")
        return next(card for card in cards if f"/review/{app_id}/2" in card)

    def images() -> str:
        return httpx.get(f"{front}/review/{app_id}/images", headers=headers).text

    assert "and images" not in card()
    publishing.illustrate(site.store, app_id)
    assert "and images" in card()
    assert "As they will be" in images()
    with site.store.db.write() as tx:
        digest = proposals.digest(proposals.applied(tx, app_id))
        proposals.reject(tx, audit.OPERATOR, apps.get(tx, app_id), digest, "Blurred.")
    assert "and images" not in card()
    assert "As they were proposed" in images() and "As they will be" not in images()


def test_a_developer_has_no_queue(front: str, site: Portal, app_id: str, tmp_path: Path) -> None:
    submitted(site, app_id, 1)
    developer = {"Authorization": f"Bearer {add_developer(site.store, 'curious', key=None)}"}
    for path in ("/review", f"/review/{app_id}/1"):
        assert httpx.get(front + path, headers=developer).status_code == 403
        assert httpx.get(front + path).status_code == 401
    for step in ("publish", "reject"):
        answer = httpx.post(f"{front}/review/{app_id}/1/{step}", data={"reason": "x"}, headers=developer)
        assert answer.status_code == 403
    assert apps.get(site.store.db.read(), app_id).published_code is None
