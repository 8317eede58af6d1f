"""What a device learns before it downloads: updates of all its apps at once, and when an answer is still the same."""

import json

import httpx
import pytest

from portal.http import forms, schemas
from portal.store import releases
from portal.store.store import Store
from tests.store.test_apps import plans, scans
from tests.support.portal import Publisher, problem

DESCRIBED = {
    "author": "Ada",
    "license": "MIT",
    "homepage": "https://example.org/reader",
    "permissions": ["camera", "net.internet"],
    "min_api": 3,
    "changelog": "Faster.",
}


def ask(publisher: Publisher, installed: dict[str, int], **members: object) -> dict:
    answer = httpx.post(f"{publisher.portal.url}/api/store/updates", json={"apps": installed, **members})
    return answer.raise_for_status().json()


def offered(publisher: Publisher, installed: int, **members: object) -> list[int]:
    return [update["version_code"] for update in ask(publisher, {publisher.app_id: installed}, **members)["updates"]]


def info(publisher: Publisher, **headers: str) -> httpx.Response:
    return httpx.get(f"{publisher.portal.url}/api/store/apps/{publisher.app_id}", headers=headers)


def test_the_store_info_has_what_the_manifest_says(publisher: Publisher) -> None:
    publisher.publish(1)
    plain = info(publisher).json()
    assert {name: plain[name] for name in DESCRIBED} == dict.fromkeys(DESCRIBED) | {"permissions": []}
    path = publisher.publish(2, **DESCRIBED)
    full = info(publisher).json()
    assert {name: full[name] for name in DESCRIBED} == DESCRIBED
    assert full["size"] == path.stat().st_size


def test_an_update_is_what_its_download_needs(publisher: Publisher) -> None:
    publisher.publish(1)
    path = publisher.publish(2, **DESCRIBED)
    [update] = ask(publisher, {publisher.app_id: 1, "org.example.unknown": 1, "no app ID": 1})["updates"]
    assert update == {name: info(publisher).json()[name] for name in schemas.Release.model_fields}
    assert httpx.get(publisher.portal.url + update["download_url"]).content == path.read_bytes()


@pytest.mark.parametrize("channel", ["stable", "beta", "edge"])
def test_every_channel_includes_the_releases(publisher: Publisher, channel: str) -> None:
    publisher.publish(1)
    assert offered(publisher, 0, channel=channel) == [1]


def test_a_device_never_gets_a_version_that_it_cannot_run(publisher: Publisher) -> None:
    for code, min_api in ((1, None), (2, 3), (3, 3), (4, 5)):
        publisher.publish(code, min_api=min_api)
    fitting = {None: 4, 1: 1, 2: 1, 3: 3, 4: 3, 5: 4, 2**31 - 1: 4}
    for installed in range(6):
        for level, newest in fitting.items():
            wanted = [newest] if newest > installed else []
            assert offered(publisher, installed, min_api=level) == wanted, (installed, level)


def test_a_yanked_version_is_named_and_never_offered(publisher: Publisher) -> None:
    for code in (1, 2, 3):
        publisher.publish(code)
    publisher.step(3, "yank", reason="It loses data.").raise_for_status()
    withdrawn = {"app_id": publisher.app_id, "version_code": 3, "reason": "It loses data."}
    assert ask(publisher, {publisher.app_id: 3}) == {"updates": [], "withdrawn": [withdrawn]}
    publisher.step(1, "yank", reason="Old.").raise_for_status()
    answer = ask(publisher, {publisher.app_id: 1})
    assert [one["version_code"] for one in answer["updates"]] == [2]
    assert [one["version_code"] for one in answer["withdrawn"]] == [1]


def test_drafts_and_reviews_are_no_updates(publisher: Publisher) -> None:
    publisher.publish(1)
    for code in (2, 3):
        publisher.upload(publisher.package(code)).raise_for_status()
    publisher.step(2, "submit").raise_for_status()
    assert offered(publisher, 1) == []


def test_as_many_apps_with_ids_as_long_as_there_can_be(publisher: Publisher) -> None:
    publisher.publish(1)
    longest = {f"org.{number:03}{'x' * 121}": 2**53 - 1 for number in range(schemas.INSTALLED_MAX - 1)}
    body = {"apps": {publisher.app_id: 0, **longest}, "min_api": 2**31 - 1, "channel": "stable"}
    assert all(len(app_id) == 128 for app_id in longest)
    assert len(json.dumps(body)) < forms.JSON_MAX
    assert [update["version_code"] for update in ask(publisher, body["apps"])["updates"]] == [1]
    url = f"{publisher.portal.url}/api/store/updates"
    too_many = {"apps": body["apps"] | {"org.example.more": 0}}
    assert "500" in problem(httpx.post(url, json=too_many), 422, "VALIDATION_ERROR")["errors"][0]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"apps": []},
        {"apps": {"org.example.a": "1"}},
        {"apps": {"org.example.a": -1}},
        {"apps": {"org.example.a": 2**53}},
        {"apps": {"x" * 129: 1}},
        {"apps": {}, "min_api": 0},
        {"apps": {}, "min_api": 2**31},
        {"apps": {}, "channel": "nightly"},
        {"apps": {}, "other": 1},
    ],
)
def test_a_question_that_makes_no_sense(publisher: Publisher, body: dict[str, object]) -> None:
    answer = httpx.post(f"{publisher.portal.url}/api/store/updates", json=body)
    assert problem(answer, 422, "VALIDATION_ERROR")["errors"]


def test_a_long_changelog_is_cut_in_an_answer_about_many_apps(publisher: Publisher) -> None:
    changelog = "ä" * 20_000
    publisher.publish(1, changelog=changelog)
    [update] = ask(publisher, {publisher.app_id: 0})["updates"]
    assert update["changelog"] == changelog[: schemas.CHANGELOG_MAX]
    assert info(publisher).json()["changelog"] == changelog


def test_the_answer_comes_from_indexes(store: Store) -> None:
    db, installed = store.db.read(), {"org.example.a": 1}
    steps = plans(store, lambda: (releases.newer(db, installed, 1), releases.withdrawn(db, installed)))
    assert [step for step in scans(steps) if "installed" not in step] == []
    assert not [step for step in steps if "TEMP B-TREE" in step]


@pytest.mark.parametrize(
    "path", ["/api/store/apps?q={app_id}", "/api/store/apps/{app_id}", "/openapi.json", "/schemas/manifest.json"]
)
def test_an_answer_that_is_the_same_is_not_sent_again(publisher: Publisher, path: str) -> None:
    publisher.publish(1)
    url = publisher.portal.url + path.format(app_id=publisher.app_id)
    first = httpx.get(url)
    tag = first.headers["etag"]
    for condition in (tag, f'W/{tag}, "other"', "*"):
        again = httpx.get(url, headers={"If-None-Match": condition})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["cache-control"] == first.headers["cache-control"]
    assert httpx.get(url, headers={"If-None-Match": '"other"'}).content == first.content
    problem(httpx.get(url, headers={"If-Match": '"other"'}), 412, "PRECONDITION_FAILED")
    assert httpx.head(url).headers["etag"] == tag
    if "store" in path:
        publisher.publish(2)
        changed = httpx.get(url, headers={"If-None-Match": tag})
        assert changed.status_code == 200
        assert changed.headers["etag"] != tag
