"""The console: a developer's first app, uploads over bad networks, and what is wrong with a package."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Page, Route, expect

from portal.store import quotas, versions
from tests.http.test_images import png
from tests.packages.samples import make_package
from tests.support import publishing
from tests.support.cutting import CuttingProxy
from tests.support.portal import Portal, add_developer
from tests.web.conftest import PATIENCE, Visiting

pytestmark = pytest.mark.seconds(40)

expect.set_options(timeout=PATIENCE)
SIGNER = Ed25519PrivateKey.generate()
AFTER = 30_000  # bytes of a connection that is cut
SIZE = 3_000_000  # bytes of a package, which takes longer than a test looks at
MANY = 10**9  # cuts: as long as the test wants


@pytest.fixture(scope="session")
def token(site: Portal) -> str:
    """A developer of the test process; tests have apps of their own."""
    return add_developer(site.store, "console", SIGNER)


@pytest.fixture
def mine(front: str, token: str, request: pytest.FixtureRequest) -> str:
    """An app of that developer, without versions."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[-50:].strip("-")
    made = {"app_id": f"org.console.{name}", "name": "App"}
    httpx.post(f"{front}/api/apps", json=made, headers={"Authorization": f"Bearer {token}"}).raise_for_status()
    return made["app_id"]


def signed_in(visit: Visiting, token: str, path: str = "/console", **options: object) -> Page:
    page = visit("/sign-in", **options).page
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console")
    if path != "/console":
        page.goto(path)
    return page


def package(directory: Path, app_id: str, code: int = 1, **options: object) -> Path:
    path = directory / f"{app_id}-{code}.mosis"
    make_package(path, **{"app_id": app_id, "version_code": code, "key": SIGNER} | options)
    return path


def upload(page: Page, path: Path) -> None:
    page.get_by_label("Package (.mosis)").set_input_files(path)
    page.get_by_role("button", name="Upload").click()


def statuses(site: Portal, app_id: str) -> list[str]:
    rows = site.store.db.read().execute("SELECT status FROM versions WHERE app_id = ? ORDER BY created_at", (app_id,))
    return [row["status"] for row in rows]


def placed(site: Portal, app_id: str) -> list[tuple[int, str, str]]:
    return [(v.version_code, v.status, v.sha256) for v in versions.placed_of_app(site.store.db.read(), app_id)]


def test_a_first_app_gets_from_nothing_into_review(
    site: Portal, token: str, visit: Visiting, tmp_path: Path
) -> None:  # fmt: skip
    page, app_id = signed_in(visit, token), "org.console.first"
    page.get_by_label("App ID").fill(app_id)
    page.get_by_label("Name").fill("First app")
    page.get_by_role("button", name="Create app").click()
    page.wait_for_url(f"**/console/apps/{app_id}?done=app")
    (tmp_path / "icon.png").write_bytes(png(128, 128))
    page.get_by_label("Square picture").set_input_files(tmp_path / "icon.png")
    page.get_by_role("button", name="Use as icon").click()
    page.wait_for_url("**?done=icon")
    (tmp_path / "shot.png").write_bytes(png(1280, 720))
    page.get_by_label("1280").set_input_files(tmp_path / "shot.png")
    page.get_by_role("button", name="Add screenshot").click()
    page.wait_for_url("**?done=screenshot")
    expect(page.get_by_role("img", name="Screenshot 1")).to_be_visible()
    upload(page, package(tmp_path, app_id))
    page.wait_for_url("**?done=upload")
    page.get_by_role("button", name="Submit for review").click()
    page.wait_for_url("**?done=submit")
    assert statuses(site, app_id) == ["in_review"]
    page.get_by_role("button", name="Withdraw from review").click()
    page.wait_for_url("**?done=withdraw")
    assert statuses(site, app_id) == ["draft"]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_the_console_suits_every_screen_and_reader(
    site: Portal, token: str, mine: str, visit: Visiting, width: int, scheme: str, tmp_path: Path
) -> None:
    """With a version in every state that the page has something to say about."""
    drafts = [package(tmp_path, mine, code, payload_bytes=1, version_name=f"1.{code}.0") for code in range(1, 5)]
    bearer = {"Authorization": f"Bearer {token}"}
    for path in drafts:
        with path.open("rb") as file:
            url = f"{site.url}/api/apps/{mine}/versions"
            httpx.post(url, files={"package": file}, headers=bearer).raise_for_status()
    for code, steps in ((1, ("submit", "publish", "yank")), (2, ("submit", "publish")), (3, ("submit", "reject"))):
        for step in steps:
            publishing.change(site.store, mine, code, step, "It crashes.")
    httpx.post(f"{site.url}/api/apps/{mine}/versions", files={"package": b"x"}, headers=bearer)
    publishing.illustrate(site.store, mine)
    link = httpx.post(f"{site.url}/api/apps/{mine}/versions/4/previews", headers=bearer).json()["url"]
    shown = visit("/sign-in", viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = shown.page
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console")
    for path in ("/console", "/console/keys", f"/console/apps/{mine}", urlsplit(link).path):
        page.goto(path)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        shown.accessible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_versions_pictures_and_links_are_changed_by_keyboard_without_javascript(
    site: Portal, token: str, mine: str, visit: Visiting
) -> None:
    for code in (1, 2):
        publishing.upload(site.store, mine, code, key=SIGNER, version_name=f"1.{code}.0")
    publishing.illustrate(site.store, mine)
    page = signed_in(visit, token, f"/console/apps/{mine}", java_script_enabled=False, faulty=True)
    page.get_by_role("button", name="Up screenshot 2").press("Enter")
    page.wait_for_url("**?done=move#pictures")
    page.get_by_text("Change several versions at once").press("Enter")
    for name in ("1.1.0", "1.2.0"):
        page.get_by_role("checkbox", name=name).press("Space")
    page.get_by_role("button", name="Change the ticked versions").press("Enter")
    page.wait_for_url("**?done=several-submit")
    assert statuses(site, mine) == ["in_review"] * 2
    page.locator("summary", has_text="Preview link of 1.2.0").press("Enter")
    page.get_by_role("button", name="Create preview link of 1.2.0").press("Enter")
    link = page.locator("#made").inner_text()
    preview = visit(urlsplit(link).path).page
    expect(preview.get_by_text("This is a preview")).to_be_visible()
    with preview.expect_download() as started:
        preview.get_by_role("link", name="Download 1.2.0").click()
    assert started.value.suggested_filename == f"{mine}-1.2.0.mosis"
    page.get_by_role("button", name="Revoke the link").press("Enter")
    page.wait_for_url("**?done=unshare")
    assert httpx.get(f"{site.url}{urlsplit(link).path}").status_code == 404


def test_an_upload_survives_lost_connections_a_pause_and_a_reload(
    site: Portal, front: str, token: str, mine: str, visit: Visiting, tmp_path: Path
) -> None:
    port = int(front.rpartition(":")[2])
    with CuttingProxy(port, cuts=MANY, after=AFTER) as proxy:
        page = signed_in(visit, token, f"/console/apps/{mine}", base=proxy.url, faulty=True)
        upload(page, package(tmp_path, mine, payload_bytes=SIZE))
        expect(page.get_by_role("status")).to_have_text("The connection is lost. Trying again…")
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_role("status")).to_have_text("Paused.")
        page.reload()
        expect(page.get_by_role("button", name="Pause")).to_be_visible()  # it continues by itself
        proxy.cuts_left = 1
        page.wait_for_url("**?done=upload")
        assert proxy.cuts_left == 0
    assert statuses(site, mine) == ["draft"]


def test_a_paused_upload_waits_and_continues(
    site: Portal, front: str, token: str, mine: str, visit: Visiting, tmp_path: Path
) -> None:
    with CuttingProxy(int(front.rpartition(":")[2]), cuts=MANY, after=AFTER) as proxy:
        page = signed_in(visit, token, f"/console/apps/{mine}", base=proxy.url, faulty=True)
        upload(page, package(tmp_path, mine, payload_bytes=SIZE))
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_role("status")).to_have_text("Paused.")
        proxy.cuts_left = 0
        assert statuses(site, mine) == ["uploading"]
        page.get_by_role("button", name="Resume").click()
        page.wait_for_url("**?done=upload")


def test_an_expired_url_is_renewed(
    site: Portal, front: str, token: str, mine: str, visit: Visiting, tmp_path: Path
) -> None:
    page = signed_in(visit, token, f"/console/apps/{mine}", faulty=True)

    def expire(route: Route) -> None:
        response = route.fetch()
        made = response.json()
        made["url"] = re.sub(r"expires=\d+", "expires=1000000000", made["url"])
        route.fulfill(response=response, json=made)

    page.route("**/api/apps/*/uploads", expire, times=1)
    upload(page, package(tmp_path, mine))
    page.wait_for_url("**?done=upload")
    assert statuses(site, mine) == ["draft"]


def test_a_cancelled_upload_leaves_nothing(
    site: Portal, front: str, token: str, mine: str, visit: Visiting, tmp_path: Path
) -> None:
    with CuttingProxy(int(front.rpartition(":")[2]), cuts=MANY, after=AFTER) as proxy:
        page = signed_in(visit, token, f"/console/apps/{mine}", base=proxy.url, faulty=True)
        upload(page, package(tmp_path, mine, payload_bytes=SIZE))
        expect(page.get_by_role("status")).to_have_text("The connection is lost. Trying again…")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_label("Package (.mosis)")).to_be_visible()
    assert statuses(site, mine) == []


def test_an_upload_beyond_the_quota_ends_at_once_and_says_what_to_do(
    site: Portal, front: str, visit: Visiting, tmp_path: Path
) -> None:
    """It was tried again until the page was closed."""
    app_id, small = "org.console.quota", add_developer(site.store, "console-quota", key=None)
    made = httpx.post(
        f"{front}/api/apps", json={"app_id": app_id, "name": "App"}, headers={"Authorization": f"Bearer {small}"}
    )
    assert made.status_code == 201
    with site.store.db.write() as tx:
        quotas.change(tx, "console-quota", {"bytes": 100})
    page = signed_in(visit, small, f"/console/apps/{app_id}", faulty=True)
    upload(page, package(tmp_path, app_id))
    page.get_by_text("You have 0 B of 100 B of packages, images and open uploads").wait_for()
    expect(page.get_by_text("delete drafts and rejected versions")).to_be_visible()


def test_each_fault_of_a_package_stands_beside_what_mends_it(
    site: Portal, token: str, mine: str, visit: Visiting, tmp_path: Path
) -> None:
    page = signed_in(visit, token, f"/console/apps/{mine}", faulty=True)
    upload(page, package(tmp_path, "org.console.another"))
    expect(page.get_by_role("alert")).to_contain_text("the upload declares")
    expect(page.get_by_text("The package is another app's")).to_be_visible()
    upload(page, package(tmp_path, mine, key=Ed25519PrivateKey.generate()))
    expect(page.get_by_role("alert")).to_contain_text("is not registered")
    expect(page.get_by_text("Register the key once")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
@pytest.mark.parametrize("status", ["draft", "rejected"])
def test_a_valid_package_replaces_a_draft_or_a_rejected_version_of_its_code(
    site: Portal, token: str, mine: str, visit: Visiting, tmp_path: Path, script: bool, status: str
) -> None:
    page = signed_in(visit, token, f"/console/apps/{mine}", java_script_enabled=script, faulty=True)
    upload(page, package(tmp_path, mine, payload_bytes=1))
    page.wait_for_url("**?done=upload")
    if status == "rejected":
        publishing.change(site.store, mine, 1, "submit")
        publishing.change(site.store, mine, 1, "reject", "It crashes.")
    before = placed(site, mine)
    page.goto(f"/console/apps/{mine}")
    upload(page, package(tmp_path, mine, key=Ed25519PrivateKey.generate()))
    page.get_by_text("is not registered").first.wait_for()
    assert placed(site, mine) == before  # an invalid package replaces nothing
    upload(page, package(tmp_path, mine, payload_bytes=2))
    page.wait_for_url("**?done=upload")
    [(code, now, sha256)] = placed(site, mine)
    assert (code, now) == (1, "draft")
    assert sha256 != before[0][2]


def test_what_waits_for_a_review_is_not_replaced(
    site: Portal, token: str, mine: str, visit: Visiting, tmp_path: Path
) -> None:
    page = signed_in(visit, token, f"/console/apps/{mine}", faulty=True)
    upload(page, package(tmp_path, mine, payload_bytes=1))
    page.wait_for_url("**?done=upload")
    publishing.change(site.store, mine, 1, "submit")
    before = placed(site, mine)
    upload(page, package(tmp_path, mine, payload_bytes=2))
    expect(page.get_by_text("Withdraw the other version first")).to_be_visible()
    assert placed(site, mine) == before


@pytest.mark.parametrize(("status", "label"), [("draft", "Delete draft"), ("rejected", "Delete")])
def test_a_draft_or_a_rejected_version_is_deleted_in_two_steps(
    site: Portal, token: str, mine: str, visit: Visiting, status: str, label: str
) -> None:
    publishing.upload(site.store, mine, 1, key=SIGNER)
    if status == "rejected":
        publishing.change(site.store, mine, 1, "submit")
        publishing.change(site.store, mine, 1, "reject", "It crashes.")
    page = signed_in(visit, token, f"/console/apps/{mine}", java_script_enabled=False)
    delete = page.get_by_role("button", name=f"{label} 1.0.0", exact=True)
    expect(delete).to_be_hidden()
    page.locator("summary").get_by_text(label).click()
    delete.click()
    page.wait_for_url("**?done=delete-version")
    assert placed(site, mine) == []


def test_nobody_deletes_what_waits_for_a_review_or_is_published(
    site: Portal, front: str, token: str, mine: str
) -> None:
    bearer = {"Authorization": f"Bearer {token}"}
    publishing.upload(site.store, mine, 1, key=SIGNER)
    for step in ("submit", "publish"):
        publishing.change(site.store, mine, 1, step)
        answer = httpx.post(f"{front}/console/apps/{mine}/versions/1/delete", headers=bearer)
        assert answer.status_code == 409
        assert len(placed(site, mine)) == 1
    page = httpx.get(f"{front}/console/apps/{mine}", headers=bearer).text
    assert "versions/1/delete" not in page


def test_a_rejected_version_that_a_newer_one_has_overtaken_asks_for_nothing(
    site: Portal, token: str, mine: str, visit: Visiting
) -> None:
    for code, decision in ((1, "reject"), (2, "publish")):
        publishing.upload(site.store, mine, code, key=SIGNER)
        publishing.change(site.store, mine, code, "submit")
        page = signed_in(visit, token)
        in_review = page.locator(".card", has_text=mine).get_by_text("in review")
        expect(in_review).to_be_visible()
        publishing.change(site.store, mine, code, decision, "It crashes.")
        page.goto(f"/console/apps/{mine}")
        expect(page.get_by_text("Upload a corrected version")).to_have_count(2 - code)
    expect(page.get_by_text("A newer version has been published.")).to_be_visible()


def test_a_field_that_is_wrong_says_so_in_a_sentence(token: str, visit: Visiting) -> None:
    visited = visit("/sign-in", faulty=True)
    page = visited.page
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console")
    page.get_by_label("App ID").fill("Reader")
    page.get_by_label("Name").fill("Reader")
    page.get_by_role("button", name="Create app").click()
    wrong = "App ID: must be a reverse-DNS identifier in lower-case ASCII, such as org.example.reader."
    expect(page.get_by_role("alert")).to_have_text(wrong)
    expect(page.get_by_label("App ID")).to_have_accessible_description(re.compile(re.escape(wrong)))
    expect(page.get_by_label("App ID")).to_have_attribute("aria-invalid", "true")
    visited.accessible()


def test_the_console_works_without_javascript(
    site: Portal, token: str, mine: str, visit: Visiting, tmp_path: Path
) -> None:
    page = signed_in(visit, token, f"/console/apps/{mine}", java_script_enabled=False, faulty=True)
    upload(page, package(tmp_path, mine))
    page.wait_for_url("**?done=upload")
    page.get_by_role("button", name="Submit for review").click()
    page.wait_for_url("**?done=submit")
    upload(page, package(tmp_path, mine))
    expect(page.get_by_role("alert")).to_contain_text("already has a version 1")
    publishing.change(site.store, mine, 1, "publish")
    page.goto(f"/console/apps/{mine}")
    page.get_by_text("Withdraw from the store").click()
    page.get_by_label("Reason").fill("It loses data.")
    page.get_by_role("button", name="Withdraw 1.0.0 from the store").click()
    page.wait_for_url("**?done=yank")
    page.get_by_role("button", name="Put back into the store").click()
    page.wait_for_url("**?done=unyank")
    assert statuses(site, mine) == ["failed", "published"] or statuses(site, mine) == ["published", "failed"]


def test_a_developer_sees_no_app_of_another(site: Portal, token: str, visit: Visiting, app_id: str) -> None:
    publishing.publish(site.store, app_id, 1)
    page = signed_in(visit, token, f"/console/apps/{app_id}", faulty=True)
    assert page.get_by_role("heading", level=1).inner_text() == "Not found"
    page.goto("/console")
    assert app_id not in page.content()


def test_what_a_developer_writes_is_text_in_the_console(site: Portal, token: str, mine: str, visit: Visiting) -> None:
    page = signed_in(visit, token, f"/console/apps/{mine}")
    page.get_by_label("Name").fill('"><img src=x onerror=alert(1)>')
    page.get_by_label("Description").fill("</textarea><script>alert(1)</script>")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**?done=edit")
    assert page.get_by_role("heading", level=1).inner_text() == '"><img src=x onerror=alert(1)>'
    assert page.get_by_label("Description").input_value() == "</textarea><script>alert(1)</script>"
