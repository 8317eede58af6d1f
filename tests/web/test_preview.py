"""A preview link opens a page with a version that is not in the store, for those who have it and nobody else."""

import logging
from collections.abc import Iterator

import httpx
import pytest

from portal.store import apps, assets, audit, deletion, developers, previews, tokens, transfers, uploads
from portal.store.audit import OPERATOR
from portal.store.store import Store
from tests.packages.samples import make_package
from tests.support import clock, publishing
from tests.support.in_process import calling
from tests.support.portal import add_developer, problem

APP_ID = "org.example.previewed"
PREVIEWS = f"/api/apps/{APP_ID}/versions/1/previews"
BROWSER = {"Accept": "text/html"}
SECRET = "mosis_0123456789abcdef_" + "A" * 43


@pytest.fixture
def owner(store: Store) -> Iterator[httpx.Client]:
    """The owner of an app with a draft, an icon and a screenshot."""
    token = add_developer(store, publishing.OWNER.developer_id)
    publishing.add_app(store, APP_ID)
    publishing.upload(store, APP_ID, 1, name="Reader", description="Reads aloud.", changelog="The *first* one.")
    publishing.illustrate(store, APP_ID, screenshots=1)
    with calling(store, token) as made:
        yield made


@pytest.fixture
def nobody(store: Store) -> Iterator[httpx.Client]:
    with calling(store) as made:
        yield made


def shared(owner: httpx.Client, **body: int) -> str:
    """The address of a new link."""
    made = owner.post(PREVIEWS, json=body)
    assert made.status_code == 201
    return str(made.json()["url"])


def opens(nobody: httpx.Client, url: str) -> bool:
    page, package = nobody.get(url), nobody.get(f"{url}/package.mosis")
    assert page.status_code == package.status_code
    return page.status_code == 200


def test_whoever_has_the_link_sees_the_page_its_images_and_the_package(
    store: Store, owner: httpx.Client, nobody: httpx.Client
) -> None:
    url = shared(owner)
    page = nobody.get(url, headers=BROWSER)
    assert page.status_code == 200
    for text in ("Reader", "Reads aloud.", "<em>first</em>"):
        assert text in page.text
    assert nobody.get(f"{url}/package.mosis").content == store.layout.package("acme", APP_ID, 1).read_bytes()
    images = [asset for asset in owner.get(f"/api/apps/{APP_ID}").json()["assets"] if "32" not in asset["name"]]
    for asset in images:
        assert nobody.get(asset["url"]).status_code == 404
        image = nobody.get(f"{url}{asset['url']}")
        assert (image.status_code, image.headers["content-type"]) == (200, "image/png")
        assert image.headers["cache-control"] == "private, no-store"


def test_testers_and_reviewers_see_the_app_as_it_will_be_once_the_version_is_published(
    store: Store, owner: httpx.Client, nobody: httpx.Client
) -> None:
    """Else a reviewer would approve another name than the store then shows."""
    free = {"name": "Bank", "description": "Free money.", "homepage": "https://example.org/free"}
    owner.patch(f"/api/apps/{APP_ID}", json=free).raise_for_status()
    url = shared(owner)
    owner.post(f"/api/apps/{APP_ID}/versions/1/submit").raise_for_status()
    token = add_developer(store, "rev", None, "reviewer")
    with calling(store, token) as reviewer:
        assert [one["app_name"] for one in reviewer.get("/api/review").json()["versions"]] == ["Reader"]
        pages = [reviewer.get(path, headers=BROWSER).text for path in ("/review", f"/review/{APP_ID}/1")]
    for page in (*pages, nobody.get(url, headers=BROWSER).text):
        assert "Reader" in page
        assert not any(text in page for text in free.values())


def test_a_preview_is_kept_by_no_cache_and_no_search_engine_and_named_to_no_other_site(
    owner: httpx.Client, nobody: httpx.Client
) -> None:
    url = shared(owner)
    page = nobody.get(url)
    assert page.headers["cache-control"] == "private, no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-robots-tag"] == "noindex, nofollow"
    assert nobody.get(f"{url}/package.mosis").headers["cache-control"] == "private, no-store"


def test_without_the_link_a_draft_does_not_exist(owner: httpx.Client, nobody: httpx.Client) -> None:
    url = shared(owner)
    wrong = [url[:-1] + ("A" if url[-1] != "A" else "B"), f"/preview/{SECRET}"]
    answers = [nobody.get(address, headers=BROWSER) for address in wrong]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].text == answers[1].text
    assert "Reader" not in nobody.get(f"/apps/{APP_ID}", headers=BROWSER).text
    other = url.replace("/preview/", f"/preview/{SECRET}/assets/")
    assert nobody.get(other).status_code == 404


def test_a_link_shows_images_of_its_own_app_alone(store: Store, owner: httpx.Client, nobody: httpx.Client) -> None:
    publishing.add_app(store, "org.example.other")
    assets.put_icon(
        store, publishing.OWNER, apps.get(store.db.read(), "org.example.other"), {64: publishing.png(64, 64)}
    )
    url = shared(owner)
    assert nobody.get(f"{url}/assets/{APP_ID}/icon-64.png").status_code == 200
    assert nobody.get(f"{url}/assets/org.example.other/icon-64.png").status_code == 404


def test_a_link_ends_when_it_is_revoked_or_expires(
    store: Store, owner: httpx.Client, nobody: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoked, kept = shared(owner), shared(owner, days=2)
    listed = owner.get(PREVIEWS).json()["previews"]
    assert {preview["developer_id"] for preview in listed} == {"acme"}
    assert not any("url" in preview for preview in listed)
    preview_id = revoked.partition("_")[2][:16]
    assert owner.delete(f"{PREVIEWS}/{preview_id}").status_code == 204
    problem(owner.delete(f"{PREVIEWS}/{preview_id}"), 404, "NOT_FOUND")
    assert (opens(nobody, revoked), opens(nobody, kept)) == (False, True)
    clock.move(monkeypatch, 2 * previews.DAY)
    with calling(store, add_developer(store, "later", scope="reviewer", key=None)) as reviewer:
        assert reviewer.get(PREVIEWS).json() == {"previews": []}
    assert not opens(nobody, kept)


def test_a_link_follows_the_version_through_its_review(store: Store, owner: httpx.Client, nobody: httpx.Client) -> None:
    url = shared(owner)
    publishing.change(store, APP_ID, 1, "submit")
    assert opens(nobody, url)
    publishing.change(store, APP_ID, 1, "withdraw")
    assert opens(nobody, url)
    publishing.change(store, APP_ID, 1, "submit")
    publishing.change(store, APP_ID, 1, "reject", "It crashes.")
    assert not opens(nobody, url)
    problem(owner.post(PREVIEWS), 409, "WRONG_STATE")


@pytest.mark.parametrize("steps", [("submit", "publish"), ("submit", "publish", "yank")], ids=["published", "yanked"])
def test_a_link_leads_to_the_page_of_what_has_been_published(
    store: Store, owner: httpx.Client, nobody: httpx.Client, steps: tuple[str, ...]
) -> None:
    url = shared(owner)
    for step in steps:
        publishing.change(store, APP_ID, 1, step, "It loses data.")
    answer = nobody.get(url)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/apps/{APP_ID}")
    assert nobody.get(f"{url}/package.mosis").status_code == 404


def test_a_link_goes_on_to_the_package_that_replaces_its_version(
    store: Store, owner: httpx.Client, nobody: httpx.Client
) -> None:
    url = shared(owner)
    app = apps.get(store.db.read(), APP_ID)
    with uploads.receiving(store, app) as incoming:
        make_package(incoming.package, app_id=APP_ID, version_code=1, name="Better reader")
        content = incoming.package.read_bytes()
        received = uploads.files.Received(len(content), uploads.files.digest(incoming.package))
        uploads.complete(store, publishing.OWNER, incoming, received, replace=True)
    assert "Better reader" in nobody.get(url).text
    assert nobody.get(f"{url}/package.mosis").content == content


def deleted(store: Store) -> None:
    deletion.delete_version(store, publishing.OWNER, APP_ID, 1, "")


def deleted_and_uploaded_anew(store: Store) -> None:
    deleted(store)
    publishing.upload(store, APP_ID, 1)


def app_deleted(store: Store) -> None:
    publishing.delete_app(store, APP_ID)


def transferred(store: Store) -> None:
    add_developer(store, "heir", key=None)
    transfers.transfer(store, OPERATOR, APP_ID, "heir", "Sold.")


def owner_disabled(store: Store) -> None:
    with store.db.write() as tx:
        developers.disable(tx, OPERATOR, "acme", "Gone.")


def token_revoked(store: Store) -> None:
    [token] = tokens.every(store.db.read(), "acme")
    with store.db.write() as tx:
        tokens.revoke(tx, OPERATOR, "acme", token.token_id)


@pytest.mark.parametrize(
    "end", [deleted, deleted_and_uploaded_anew, app_deleted, transferred, owner_disabled, token_revoked]
)
def test_a_link_ends_with_what_it_depends_on(store: Store, owner: httpx.Client, nobody: httpx.Client, end) -> None:
    url = shared(owner)
    assert opens(nobody, url)
    end(store)
    assert not opens(nobody, url)


def test_a_version_has_a_bounded_number_of_links(owner: httpx.Client) -> None:
    for _ in range(previews.MOST):
        shared(owner)
    problem(owner.post(PREVIEWS), 403, "QUOTA_EXCEEDED")


def test_a_reviewer_may_share_a_version_and_each_link_is_in_the_audit_log(store: Store, owner: httpx.Client) -> None:
    with calling(store, add_developer(store, "reviewer", scope="reviewer", key=None)) as reviewer:
        url = shared(reviewer)
        [preview] = owner.get(PREVIEWS).json()["previews"]
        assert owner.delete(f"{PREVIEWS}/{preview['preview_id']}").status_code == 204
    logged = [
        (entry.actor, entry.action) for entry, _ in audit.about(store.db.read(), f"{APP_ID}/1")
        if "share" in entry.action
    ]  # fmt: skip
    assert logged == [("reviewer", "version.share"), ("acme", "version.unshare")]
    assert url.rpartition("_")[2] not in str([entry.detail for entry in audit.entries(store.db.read())])


def test_logs_and_errors_hide_a_link_as_they_hide_a_token(
    owner: httpx.Client, nobody: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert tokens.PATTERN.fullmatch(shared(owner).removeprefix("/preview/"))
    with caplog.at_level(logging.DEBUG, "portal"):
        for path in (f"/preview/{SECRET}", f"/preview/{SECRET}/", f"/preview/x{SECRET}/package.mosis"):
            for headers in (BROWSER, {}):
                answer = nobody.get(path, headers=headers)
                assert (answer.status_code, SECRET in answer.text) == (404, False)
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("portal")]
    assert [text for text in logged if SECRET in text] == []
