"""One app: what its owner and reviewers see of it, edits, and a submission that is withdrawn."""

import json
import time

import httpx
import pytest

from portal.store import audit
from tests.support.patience import PATIENCE
from tests.support.portal import Publisher, add_developer, problem


def listing(publisher: Publisher) -> dict[str, str | None]:
    app = publisher.client.get(f"/api/apps/{publisher.app_id}").json()
    return {name: app[name] for name in ("name", "description", "homepage")}


def edit(publisher: Publisher, **changes: str | None) -> httpx.Response:
    return publisher.client.patch(f"/api/apps/{publisher.app_id}", json=changes)


def test_owner_and_reviewer_see_an_app_and_nobody_else_does(publisher: Publisher) -> None:
    path = f"/api/apps/{publisher.app_id}"
    for client in (publisher.client, publisher.reviewer):
        app = client.get(path).raise_for_status().json()
        assert (app["app_id"], app["published_code"], app["assets"]) == (publisher.app_id, None, [])
    stranger = add_developer(publisher.portal.store, f"{publisher.developer_id}-stranger", key=None)
    with publisher.portal.client(stranger) as client:
        problem(client.get(path), 404, "NOT_FOUND")
        problem(client.patch(path, json={"name": "Mine"}), 404, "NOT_FOUND")
    problem(publisher.reviewer.patch(path, json={"name": "Mine"}), 403, "FORBIDDEN")


def test_before_the_first_publish_everything_can_be_edited(publisher: Publisher) -> None:
    before = listing(publisher)
    assert edit(publisher, homepage="https://example.org/").status_code == 200
    assert listing(publisher) == before | {"homepage": "https://example.org/"}
    edit(publisher, name="Chess", description="Two play.", homepage=None).raise_for_status()
    assert listing(publisher) == {"name": "Chess", "description": "Two play.", "homepage": None}


@pytest.mark.parametrize(
    "body",
    [{"name": ""}, {"name": None}, {"name": "a\nb"}, {"homepage": "ftp://example.org"}, {"homepage": "javascript:x"},
     {"description": None}, {"developer_id": "me"}],
)  # fmt: skip
def test_an_edit_that_does_not_fit_changes_nothing(publisher: Publisher, body: dict[str, str | None]) -> None:
    before = listing(publisher)
    problem(edit(publisher, **body), 422, "VALIDATION_ERROR")
    assert listing(publisher) == before


def test_a_published_app_shows_nothing_that_no_reviewer_has_seen(publisher: Publisher) -> None:
    """Else an owner could rename an app, or advertise another one, after its review."""
    edit(publisher, description="Free money.", homepage="https://example.org/bank").raise_for_status()
    publisher.publish(1, name="Chess")
    shown = {"name": "Chess", "description": "", "homepage": None}
    for change in ({"name": "Bank"}, {"description": "Free money."}, {"homepage": "https://example.org/bank"}):
        assert "publish another version" in problem(edit(publisher, **change), 409, "WRONG_STATE")["detail"]
    edit(publisher, **shown).raise_for_status()
    assert listing(publisher) == shown
    info = httpx.get(f"{publisher.portal.url}/api/store/apps/{publisher.app_id}").json()
    assert {name: info[name] for name in shown} == shown
    publisher.step(1, "yank", reason="It crashes.").raise_for_status()  # its page still shows what it was
    problem(edit(publisher, name="Bank"), 409, "WRONG_STATE")
    publisher.publish(2, name="Chess 2", description="Two play.", homepage="https://example.org/chess")
    assert listing(publisher) == {
        "name": "Chess 2", "description": "Two play.", "homepage": "https://example.org/chess",
    }  # fmt: skip


def test_a_withdrawn_version_is_a_draft_again(publisher: Publisher) -> None:
    publisher.upload(publisher.package(1)).raise_for_status()
    problem(publisher.step(1, "withdraw"), 409, "WRONG_STATE")
    publisher.step(1, "submit", reason="The icon is new.").raise_for_status()
    problem(publisher.reviewer.post(f"/api/apps/{publisher.app_id}/versions/1/withdraw"), 403, "FORBIDDEN")
    assert publisher.step(1, "withdraw").json()["status"] == "draft"
    problem(publisher.step(1, "publish"), 409, "WRONG_STATE")
    publisher.step(1, "submit").raise_for_status()
    publisher.step(1, "publish").raise_for_status()
    problem(publisher.step(1, "withdraw"), 409, "WRONG_STATE")


def test_the_owner_reads_notes_and_requirements_of_a_version(publisher: Publisher) -> None:
    described = {"changelog": "Faster." * 200, "min_api": 3, "permissions": ["location"]}
    version = publisher.upload(publisher.package(1, **described)).json()
    assert version["changelog"] == described["changelog"][:1000]
    assert (version["min_api"], version["permissions"]) == (3, ["location"])


def test_failed_tries_do_not_fill_the_list(publisher: Publisher) -> None:
    """Only the last one is listed, until a package is accepted; the audit log has the reasons of each."""
    broken = publisher.directory / "broken.mosis"
    for number in range(3):
        broken.write_bytes(b"no package" * (number + 1))
        problem(publisher.upload(broken), 422, "VALIDATION_ERROR")

    def listed() -> list[str]:
        found = publisher.client.get(f"/api/apps/{publisher.app_id}/versions").json()["versions"]
        return [version["status"] for version in found]

    assert listed() == ["failed"]
    publisher.upload(publisher.package(1)).raise_for_status()
    assert listed() == ["draft"]
    log = audit.entries(publisher.portal.store.db.read())
    details = [json.loads(row.detail) for row in log if row[5:7] == ("version.fail", publisher.app_id)]
    assert [bool(detail["reasons"]) for detail in details] == [True] * 3


def test_an_owner_replaces_a_draft_by_deleting_it(publisher: Publisher) -> None:
    path = f"/api/apps/{publisher.app_id}/versions/1"
    publisher.upload(publisher.package(1)).raise_for_status()
    problem(publisher.reviewer.delete(path), 403, "FORBIDDEN")
    assert publisher.client.delete(path).status_code == 204
    publisher.upload(publisher.package(1)).raise_for_status()
    publisher.step(1, "submit").raise_for_status()
    problem(publisher.client.delete(path), 409, "WRONG_STATE")


def test_only_an_administrator_deletes_what_was_published(publisher: Publisher, admin_token: str) -> None:
    app, reason = f"/api/apps/{publisher.app_id}", {"reason": "By order of a court."}
    store_info = f"{publisher.portal.url}/api/store/apps/{publisher.app_id}"
    for code in (1, 2):
        publisher.publish(code)
    url = httpx.get(store_info).json()["download_url"]
    for client, status in ((publisher.client, 409), (publisher.reviewer, 403)):
        assert client.request("DELETE", f"{app}/versions/2", json=reason).status_code == status
        assert client.request("DELETE", app, json=reason).status_code == 403
    with publisher.portal.client(admin_token) as admin:
        problem(admin.delete(f"{app}/versions/2"), 422, "VALIDATION_ERROR")
        assert admin.request("DELETE", f"{app}/versions/2", json=reason).status_code == 204
        assert httpx.get(store_info).json()["version_code"] == 1
        problem(httpx.get(publisher.portal.url + url), 404, "NOT_FOUND")
        problem(publisher.upload(publisher.package(2)), 409, "VERSION_CONFLICT")
        assert admin.request("DELETE", app, json=reason).status_code == 204
        problem(admin.request("DELETE", app, json=reason), 404, "NOT_FOUND")
    problem(httpx.get(store_info), 404, "NOT_FOUND")
    again = {"app_id": publisher.app_id, "name": "Again"}
    problem(publisher.client.post("/api/apps", json=again), 409, "APP_DELETED")


def test_downloads_are_counted_once_each(publisher: Publisher) -> None:
    """Each worker adds its own to the database, half a minute after the first."""
    publisher.publish(1)
    publisher.upload(publisher.package(2)).raise_for_status()
    path, latest = f"/api/apps/{publisher.app_id}/downloads", f"/api/store/apps/{publisher.app_id}/download"
    assert publisher.client.get(path).json() == {"days": [], "totals": {}}
    stranger = add_developer(publisher.portal.store, f"{publisher.developer_id}-stranger", key=None)
    with publisher.portal.client(stranger) as client:
        problem(client.get(path), 404, "NOT_FOUND")
    base = publisher.portal.url
    info = httpx.get(f"{base}{latest.removesuffix('/download')}").json()
    tag, versions = f'"{info["sha256"]}"', f"/downloads/{publisher.developer_id}/{publisher.app_id}"
    for counted in (latest, info["download_url"]):
        httpx.get(base + counted).raise_for_status()
        httpx.get(base + counted, headers={"Range": "bytes=0-9", "If-Range": tag}).raise_for_status()
    httpx.get(base + latest, headers={"Range": "bytes=5-9", "If-Range": tag}).raise_for_status()
    httpx.head(base + latest).raise_for_status()
    assert httpx.get(base + latest, headers={"If-None-Match": tag}).status_code == 304
    publisher.client.get(f"{versions}/2/package.mosis").raise_for_status()
    deadline = time.monotonic() + PATIENCE
    while (found := publisher.client.get(path).json()["totals"]).get("1", 0) < 4:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    assert found == {"1": 4}


def test_a_dry_run_answers_as_an_attempt_and_adds_nothing(publisher: Publisher) -> None:
    body = {"app_id": f"{publisher.app_id}.dry", "name": "Dry", "dry_run": True}
    for _ in range(2):
        assert publisher.client.post("/api/apps", json=body).raise_for_status().json()["name"] == "Dry"
    problem(publisher.client.get(f"/api/apps/{publisher.app_id}.dry"), 404, "NOT_FOUND")
    assert not list(audit.about(publisher.portal.store.db.read(), f"{publisher.app_id}.dry"))
    other = add_developer(publisher.portal.store, f"{publisher.developer_id}-dry", key=None)
    with publisher.portal.client(other) as client:
        problem(client.post("/api/apps", json={**body, "app_id": publisher.app_id}), 409, "APP_EXISTS")
