"""From an upload to a download, over real HTTP."""

import json

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.http import caching
from portal.recovery.records import APP, VERSION
from portal.store import audit, presign
from portal.store import versions as store_versions
from portal.store.clock import now
from tests.support.portal import Publisher, add_developer, problem, registration

MIB = 1024 * 1024


def files_below(publisher: Publisher, area: str) -> list[str]:
    """Without the records, which the portal writes when it likes."""
    root = publisher.portal.store.layout.area(area)
    found = (path for path in root.rglob(f"*{publisher.app_id}/**/*") if path.is_file())
    return sorted(str(path.relative_to(root)) for path in found if path.name not in (APP, VERSION))


@pytest.mark.parametrize("size", [MIB, 17 * MIB, 50 * MIB])
def test_a_published_package_comes_back_byte_for_byte(publisher: Publisher, size: int) -> None:
    path = publisher.publish(1, payload_bytes=size, version_name="1.2.3")
    info = httpx.get(f"{publisher.portal.url}/api/store/apps/{publisher.app_id}").raise_for_status().json()
    answer = httpx.get(publisher.portal.url + info["download_url"])
    assert answer.content == path.read_bytes()
    assert answer.headers["cache-control"] == "public, max-age=86400, immutable"
    assert answer.headers["etag"] == f'"{info["sha256"]}"'
    assert answer.headers["repr-digest"].startswith("sha-256=:")
    latest = httpx.get(f"{publisher.portal.url}/api/store/apps/{publisher.app_id}/download")
    assert latest.content == answer.content
    assert latest.headers["content-disposition"] == f"attachment; filename={publisher.app_id}-1.2.3.mosis"
    assert latest.headers["x-mosis-version"] == "1.2.3"
    assert latest.headers["x-mosis-signature"] == info["signature"]
    directory = f"{publisher.developer_id}/{publisher.app_id}/1"
    assert files_below(publisher, "packages") == [f"{directory}/manifest.json", f"{directory}/package.mosis"]
    stored = publisher.portal.store.layout.package_directory(publisher.developer_id, publisher.app_id, 1)
    assert json.loads((stored / "manifest.json").read_bytes())["version_name"] == "1.2.3"


def test_the_form_may_name_the_version_but_not_another_one(publisher: Publisher) -> None:
    path = publisher.package(4)
    body = problem(publisher.upload(path, version_code="5", version_name="9.9.9"), 422, "VALIDATION_ERROR")
    assert len(body["errors"]) == 2
    assert publisher.upload(path, version_code="4", version_name="1.0.0").status_code == 201


def test_a_refused_package_leaves_its_reasons_and_nothing_on_disk(publisher: Publisher) -> None:
    path = publisher.package(1)
    path.write_bytes(path.read_bytes()[:-10])
    temp = publisher.portal.store.layout.area("temp")
    before = set(temp.iterdir())  # uploads that other tests left open
    body = problem(publisher.upload(path), 422, "VALIDATION_ERROR")
    assert files_below(publisher, "packages") == []
    assert set(temp.iterdir()) == before
    [failed] = publisher.client.get(f"/api/apps/{publisher.app_id}/versions").json()["versions"]
    assert (failed["status"], failed["reasons"]) == ("failed", body["errors"])


def test_a_package_signed_with_an_unregistered_key_is_refused(publisher: Publisher) -> None:
    other = Ed25519PrivateKey.generate()
    body = problem(publisher.upload(publisher.package(1, key=other)), 422, "VALIDATION_ERROR")
    assert "not registered" in body["errors"][0]


def test_a_package_of_another_app_is_refused(publisher: Publisher) -> None:
    problem(publisher.upload(publisher.package(1, app_id="org.example.other")), 422, "VALIDATION_ERROR")


def test_a_version_code_is_used_once_and_only_grows(publisher: Publisher) -> None:
    publisher.publish(3)
    problem(publisher.upload(publisher.package(3, payload_bytes=9)), 409, "VERSION_CONFLICT")
    problem(publisher.upload(publisher.package(2)), 409, "VERSION_CONFLICT")
    publisher.upload(publisher.package(4)).raise_for_status()
    problem(publisher.upload(publisher.package(4, payload_bytes=9)), 409, "VERSION_EXISTS")


def test_a_refused_code_names_the_state_of_its_version_and_the_way(publisher: Publisher) -> None:
    publisher.upload(publisher.package(1)).raise_for_status()
    other = publisher.package(1, payload_bytes=9)
    ways = {
        "submit": "in review: withdraw it from review and delete it, or raise version_code.",
        "reject": "rejected: delete it, or raise version_code.",
    }

    def refusal() -> str:
        detail: str = problem(publisher.upload(other), 409, "VERSION_EXISTS")["detail"]
        return detail

    assert "a draft: delete it, or raise version_code." in refusal()
    for action, way in ways.items():
        publisher.step(1, action, reason="So.").raise_for_status()
        assert way in refusal()
    publisher.client.delete(f"/api/apps/{publisher.app_id}/versions/1").raise_for_status()
    publisher.upload(other).raise_for_status()


def test_an_upload_whose_answer_was_lost_can_be_repeated(publisher: Publisher) -> None:
    """By a form and by a signed URL, whatever has become of the version since."""
    path, app = publisher.package(1), f"/api/apps/{publisher.app_id}"
    first = publisher.upload(path).raise_for_status().json()
    assert publisher.upload(path).raise_for_status().json() == first
    for action in ("submit", "publish", "yank"):
        there = publisher.step(1, action, reason="So.").raise_for_status().json()
        assert publisher.upload(path).raise_for_status().json() == there
        signed = publisher.client.post(f"{app}/uploads", json={"size": path.stat().st_size}).json()
        publisher.client.put(signed["url"], content=path.read_bytes()).raise_for_status()
        for _ in range(2):  # the answer may be lost again
            assert publisher.client.post(f"/api/uploads/{signed['upload_id']}/complete").json() == there
    assert [one["status"] for one in publisher.client.get(f"{app}/versions").json()["versions"]] == ["yanked"]
    assert publisher.client.get("/api/me").json()["usage"]["open_uploads"] == 0


def test_a_repetition_ends_with_the_version_that_had_its_package(publisher: Publisher) -> None:
    path, app = publisher.package(1), f"/api/apps/{publisher.app_id}"
    publisher.upload(path).raise_for_status()
    signed = publisher.client.post(f"{app}/uploads", json={"size": path.stat().st_size}).json()
    publisher.client.put(signed["url"], content=path.read_bytes()).raise_for_status()
    complete = f"/api/uploads/{signed['upload_id']}/complete"
    publisher.client.post(complete).raise_for_status()
    publisher.client.delete(f"{app}/versions/1").raise_for_status()
    detail = problem(publisher.client.post(complete), 409, "UPLOAD_USED")["detail"]
    assert detail == "The version that had this package was deleted since: upload the package again."
    assert publisher.client.get(f"{app}/versions").json()["versions"] == []
    assert publisher.upload(path).raise_for_status().json()["status"] == "draft"


def test_the_first_publish_pins_the_key(publisher: Publisher) -> None:
    second = Ed25519PrivateKey.generate()
    keys = f"/api/developers/{publisher.developer_id}/keys"
    publisher.client.post(keys, json=registration(publisher.developer_id, second)).raise_for_status()
    for code, key in ((1, publisher.key), (2, second)):
        publisher.upload(publisher.package(code, key=key)).raise_for_status()
        publisher.step(code, "submit").raise_for_status()
    publisher.step(1, "publish").raise_for_status()
    assert "pinned" in problem(publisher.step(2, "publish"), 409, "UNTRUSTED_KEY")["detail"]
    body = problem(publisher.upload(publisher.package(3, key=second)), 422, "VALIDATION_ERROR")
    assert "pinned" in body["errors"][0]


def test_a_revoked_key_signs_nothing_more(publisher: Publisher) -> None:
    publisher.upload(publisher.package(1)).raise_for_status()
    publisher.step(1, "submit").raise_for_status()
    keys = f"/api/developers/{publisher.developer_id}/keys"
    [key] = publisher.client.get(keys).json()["keys"]
    assert publisher.client.delete(f"{keys}/{key['key_id']}").status_code == 204
    assert "revoked" in problem(publisher.upload(publisher.package(2)), 422, "VALIDATION_ERROR")["errors"][0]
    problem(publisher.step(1, "publish"), 409, "UNTRUSTED_KEY")


def test_review_goes_step_by_step(publisher: Publisher) -> None:
    publisher.upload(publisher.package(1)).raise_for_status()
    problem(publisher.step(1, "publish"), 409, "WRONG_STATE")
    publisher.step(1, "submit").raise_for_status()
    problem(publisher.step(1, "submit"), 409, "WRONG_STATE")
    queue = publisher.reviewer.get("/api/review").json()["versions"]
    assert publisher.app_id in {version["app_id"] for version in queue}
    rejected = publisher.step(1, "reject", reason="The icon is missing.").json()
    assert (rejected["status"], rejected["reasons"]) == ("rejected", ["The icon is missing."])
    problem(publisher.client.post(f"/api/apps/{publisher.app_id}/versions/1/publish"), 403, "FORBIDDEN")
    problem(publisher.step(7, "submit"), 404, "NOT_FOUND")


def test_a_yanked_version_gives_way_to_the_one_before(publisher: Publisher) -> None:
    publisher.publish(1)
    publisher.publish(2)
    info = f"{publisher.portal.url}/api/store/apps/{publisher.app_id}"
    assert httpx.get(info).json()["version_code"] == 2
    publisher.step(2, "yank", reason="It loses data.").raise_for_status()
    assert httpx.get(info).json()["version_code"] == 1
    problem(publisher.upload(publisher.package(2, payload_bytes=9)), 409, "VERSION_CONFLICT")


def test_an_app_whose_versions_are_all_yanked_is_gone_and_says_why(publisher: Publisher) -> None:
    info = f"{publisher.portal.url}/api/store/apps/{publisher.app_id}"
    problem(httpx.get(info), 404, "NOT_FOUND")
    for code in (1, 2):
        publisher.publish(code, version_name=f"{code}.0.0")
    url = httpx.get(info).json()["download_url"]
    publisher.step(1, "yank", reason="Old.").raise_for_status()
    publisher.step(2, "yank", reason="It loses data.").raise_for_status()
    for gone in (info, f"{info}/download", publisher.portal.url + url):
        answer = httpx.get(gone)
        assert answer.headers["cache-control"] == caching.GONE["Cache-Control"], "in place of the answer before"
        detail = problem(answer, 410, "YANKED")["detail"]
        assert detail == f"{publisher.app_id} 2.0.0 was withdrawn from the store: It loses data."
    problem(httpx.get(publisher.portal.url + url.replace(publisher.developer_id, "other")), 404, "NOT_FOUND")


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": " \n"}])
@pytest.mark.parametrize("action", ["reject", "yank"])
def test_a_rejection_and_a_yank_have_a_reason(publisher: Publisher, action: str, body: dict[str, str]) -> None:
    publisher.upload(publisher.package(1)).raise_for_status()
    publisher.step(1, "submit").raise_for_status()
    if action == "yank":
        publisher.step(1, "publish").raise_for_status()
    errors = problem(publisher.step(1, action, **body), 422, "VALIDATION_ERROR")["errors"]
    assert errors[0].startswith("reason: ")
    publisher.step(1, action, reason="It loses data.").raise_for_status()


def test_unpublished_packages_are_for_owner_and_reviewer(publisher: Publisher) -> None:
    path = publisher.package(1)
    url = publisher.upload(path).raise_for_status().json()["download_url"]
    problem(httpx.get(publisher.portal.url + url), 404, "NOT_FOUND")
    stranger = add_developer(publisher.portal.store, f"{publisher.developer_id}-stranger", key=None)
    with publisher.portal.client(stranger) as client:
        problem(client.get(url), 404, "NOT_FOUND")
        problem(client.get(f"/api/apps/{publisher.app_id}/versions"), 404, "NOT_FOUND")
        problem(client.post(f"/api/apps/{publisher.app_id}/versions/1/submit"), 404, "NOT_FOUND")
    for client in (publisher.client, publisher.reviewer):
        answer = client.get(url)
        assert answer.content == path.read_bytes()
        assert answer.headers["cache-control"] == "private, no-store"


def test_a_signed_url_opens_one_unpublished_version_for_a_while(
    publisher: Publisher,
) -> None:
    paths = {code: publisher.package(code) for code in (1, 2)}
    for path in paths.values():
        publisher.upload(path).raise_for_status()
    versions = f"/api/apps/{publisher.app_id}/versions"
    signed = publisher.reviewer.post(f"{versions}/1/download-url")
    assert signed.status_code == 201
    [row] = audit.filtered(publisher.portal.store.db.read(), subject=f"{publisher.app_id}/1", action="version.sign-url")
    assert row.detail == f'{{"expires_at":{row.at + publisher.portal.store.settings.upload_url_seconds}}}'
    url = publisher.portal.url + signed.json()["url"]
    answer = httpx.get(url)
    assert answer.content == paths[1].read_bytes()
    assert answer.headers["cache-control"] == "private, no-store"
    assert httpx.head(url).status_code == 200
    stranger = add_developer(publisher.portal.store, f"{publisher.developer_id}-other", key=None)
    with publisher.portal.client(stranger) as client:
        problem(client.post(f"{versions}/1/download-url"), 404, "NOT_FOUND")
    for altered in (
        url.replace("/1/package", "/2/package"),
        url[:-1],
        url.replace("expires=1", "expires=2"),
        url + "&a=b",
    ):
        problem(httpx.get(altered), 404, "NOT_FOUND")
    store = publisher.portal.store
    version = store_versions.get(store.db.read(), publisher.app_id, 1)
    path = httpx.URL(url).path
    grant = presign.Grant("GET", path, version.size, version.sha256, now() - 1, version.version_id)
    query = presign.sign(presign.load(store.layout.presign_keys), grant)
    problem(httpx.get(publisher.portal.url + path, params=query), 403, "URL_EXPIRED")


def test_a_missing_file_is_told_apart_from_a_missing_app(publisher: Publisher) -> None:
    publisher.publish(1)
    publisher.portal.store.layout.package(publisher.developer_id, publisher.app_id, 1).unlink()
    answer = httpx.get(f"{publisher.portal.url}/api/store/apps/{publisher.app_id}/download")
    problem(answer, 404, "FILE_NOT_FOUND")
    assert "etag" not in answer.headers


def test_an_orphan_of_a_crash_does_not_block_its_version(publisher: Publisher) -> None:
    directory = publisher.portal.store.layout.package_directory(publisher.developer_id, publisher.app_id, 1)
    directory.mkdir(parents=True)
    (directory / "package.mosis").write_bytes(b"from before the power cut")
    path = publisher.publish(1)
    assert (directory / "package.mosis").read_bytes() == path.read_bytes()


def test_a_resume_never_splices_two_versions(publisher: Publisher) -> None:
    first = publisher.publish(1, payload_bytes=50_000)
    url = f"{publisher.portal.url}/api/store/apps/{publisher.app_id}/download"
    tag = httpx.get(url).headers["etag"]
    part = {"Range": "bytes=1000-"}
    assert httpx.get(url, headers=part | {"If-Range": tag}).content == first.read_bytes()[1000:]
    second = publisher.publish(2, payload_bytes=60_000)
    refusal = problem(httpx.get(url, headers=part), 428, "PRECONDITION_REQUIRED")
    assert httpx.get(url, headers=part | {"If-Range": tag}).content == second.read_bytes()
    info = httpx.get(url.removesuffix("/download")).json()
    assert info["download_url"] in refusal["detail"]
    assert httpx.get(publisher.portal.url + info["download_url"], headers=part).content == second.read_bytes()[1000:]


def test_a_range_beyond_the_end(publisher: Publisher) -> None:
    path = publisher.publish(1)
    url = httpx.get(f"{publisher.portal.url}/api/store/apps/{publisher.app_id}").json()["download_url"]
    answer = httpx.get(publisher.portal.url + url, headers={"Range": "bytes=9999999-"})
    problem(answer, 416, "RANGE_NOT_SATISFIABLE")
    assert answer.headers["content-range"] == f"bytes */{path.stat().st_size}"
