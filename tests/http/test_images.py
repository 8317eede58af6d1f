"""Icons and screenshots, over real HTTP."""

import re
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import httpx
from PIL import Image

from portal.http import caching
from portal.store import apps, assets, audit
from tests.support.portal import Publisher, problem


def png(width: int, height: int) -> bytes:
    out = BytesIO()
    Image.effect_noise((width, height), 50).convert("RGB").save(out, "PNG")
    return out.getvalue()


def test_an_icon_comes_back_in_three_sizes(publisher: Publisher) -> None:
    publisher.publish(1)
    url = f"/api/apps/{publisher.app_id}/icon"
    for data in (png(512, 512), png(256, 256)):
        put = publisher.client.post(url, files={"icon": data}).raise_for_status().json()["assets"]
        publisher.approve_images()
        for asset, edge in zip(put, (32, 64, 128), strict=True):
            answer = httpx.get(publisher.portal.url + asset["url"]).raise_for_status()
            assert Image.open(BytesIO(answer.content)).size == (edge, edge)
            assert answer.headers["content-type"] == "image/png"
            assert answer.headers["etag"] == f'"{asset["sha256"]}"'
    folder = publisher.portal.store.layout.area("assets") / publisher.app_id
    names = [f"icon-{edge}.{digest}" for edge, digest in zip((32, 64, 128), digests(put), strict=True)]
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "icon-128.png",
        "icon-32.png",
        "icon-64.png",
        *names,
    }


def test_another_image_has_another_url_that_may_be_cached_for_good(publisher: Publisher) -> None:
    publisher.publish(1)
    url = f"/api/apps/{publisher.app_id}/icon"
    old, new = (publisher.client.post(url, files={"icon": png(64, 64)}).json()["assets"][0] for _ in range(2))
    publisher.approve_images()
    del new["proposed"]
    assert new in httpx.get(f"{publisher.portal.url}/api/store/apps/{publisher.app_id}").json()["assets"]
    assert old["url"] != new["url"]
    answer = httpx.get(publisher.portal.url + new["url"])
    assert (answer.status_code, answer.headers["etag"]) == (200, f'"{new["sha256"]}"')
    assert "immutable" in answer.headers["cache-control"]
    part = httpx.get(publisher.portal.url + new["url"], headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, answer.content[1:4])
    problem(httpx.get(publisher.portal.url + old["url"]), 404, "NOT_FOUND")
    plain = httpx.get(f"{publisher.portal.url}/assets/{publisher.app_id}/icon-32.png")
    assert plain.content == answer.content
    cached = httpx.get(f"{publisher.portal.url}/api/store/apps/{publisher.app_id}").headers["cache-control"]
    assert plain.headers["cache-control"] == cached, "no cache has another icon than the one that it says there is"


def test_no_cache_keeps_what_is_for_one_client_of_tus(publisher: Publisher) -> None:
    publisher.publish(1)
    info = f"{publisher.portal.url}/api/store/apps/{publisher.app_id}"
    assert "tus-resumable" not in httpx.get(info, headers={"Tus-Resumable": "1.0.0"}).headers


def test_only_what_was_public_is_refused_by_caches_too(publisher: Publisher) -> None:
    """Else a stranger could fill a cache with refusals, or tell drafts from what is not there."""
    app, base = publisher.app_id, publisher.portal.url
    image = publisher.client.post(f"/api/apps/{app}/icon", files={"icon": png(64, 64)}).json()["assets"][0]["url"]
    addresses = [f"/api/store/apps/{app}", image, f"/apps/{app}/qr.svg"]
    unknown = ["/api/store/apps/org.example.unknown", f"/assets/{app}/icon-64.{'0' * 16}.png"]
    assert {httpx.get(base + path).headers["cache-control"] for path in addresses} == {"no-store"}
    publisher.publish(1)
    publisher.step(1, "yank", reason="It loses data.").raise_for_status()
    answers = [httpx.get(base + path) for path in addresses]
    assert {answer.status_code for answer in answers} <= {404, 410}
    assert {answer.headers["cache-control"] for answer in answers} == {caching.GONE["Cache-Control"]}
    assert {httpx.get(base + path).headers["cache-control"] for path in unknown} == {"no-store"}


def digests(put: list[dict]) -> list[str]:
    return [f"{asset['sha256'][:16]}.png" for asset in put]


def test_what_is_no_icon_is_refused(publisher: Publisher) -> None:
    url = f"/api/apps/{publisher.app_id}/icon"
    problem(publisher.client.post(url, files={"icon": b"no image"}), 400, "INVALID_IMAGE")
    problem(publisher.client.post(url, files={"icon": png(200, 100)}), 400, "INVALID_DIMENSIONS")
    problem(publisher.client.post(url, files={"other": png(64, 64)}), 400, "INVALID_FILE")
    problem(publisher.client.post(url, json={}), 415, "UNSUPPORTED_MEDIA_TYPE")
    problem(publisher.client.post(url, files={"icon": b"x" * 10_000_001}), 413, "FILE_TOO_LARGE")
    assert list(publisher.portal.store.layout.area("temp").glob("image-*")) == []


def test_five_screenshots_and_no_more(publisher: Publisher) -> None:
    url, shot = f"/api/apps/{publisher.app_id}/screenshots", png(720, 1280)
    for number in range(1, 6):
        put = publisher.client.post(url, files={"screenshot": shot})
        assert (put.status_code, put.json()["name"]) == (201, f"screenshots/{number}.png")
    problem(publisher.client.post(url, files={"screenshot": shot}), 409, "TOO_MANY_SCREENSHOTS")
    assert publisher.client.delete(f"{url}/2").status_code == 204
    problem(publisher.client.delete(f"{url}/2"), 404, "NOT_FOUND")
    problem(httpx.get(f"{publisher.portal.url}/assets/{publisher.app_id}/screenshots/2.png"), 404, "NOT_FOUND")
    assert publisher.client.post(url, files={"screenshot": png(1280, 720)}).json()["name"] == "screenshots/2.png"
    problem(publisher.client.post(f"{url}/3", files={"screenshot": png(640, 360)}), 400, "INVALID_DIMENSIONS")


def test_screenshots_sent_at_once_have_numbers_of_their_own(publisher: Publisher) -> None:
    url = f"/api/apps/{publisher.app_id}/screenshots"
    pngs = [png(720, 1280) for _ in range(8)]
    with ThreadPoolExecutor(len(pngs)) as pool:
        answers = list(pool.map(lambda shot: publisher.client.post(url, files={"screenshot": shot}), pngs))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [409] * 3
    added = {answer.json()["name"]: shot for answer, shot in zip(answers, pngs, strict=True) if answer.is_success}
    assert sorted(added) == [f"screenshots/{number}.png" for number in range(1, 6)]
    publisher.publish(1)
    for name, shot in added.items():
        stored = httpx.get(f"{publisher.portal.url}/assets/{publisher.app_id}/{name}").raise_for_status().content
        assert pixels(stored) == pixels(shot)


def test_the_order_of_screenshots_is_that_of_the_store_and_of_its_page(publisher: Publisher) -> None:
    store, url = publisher.portal.store, f"/api/apps/{publisher.app_id}/screenshots"
    app, owner = apps.get(store.db.read(), publisher.app_id), audit.Actor("dev", "developer", None, "test")
    added = [assets.add_screenshot(store, owner, app, png).sha256 for png in (b"one", b"two", b"three")]
    answer = publisher.client.put(url, json={"order": [3, 1, 2]}).raise_for_status().json()
    wanted = [added[2], added[0], added[1]]
    publisher.publish(1)
    shown = httpx.get(f"{publisher.portal.url}/api/store/apps/{publisher.app_id}").json()["assets"]
    page = httpx.get(f"{publisher.portal.url}/apps/{publisher.app_id}").text
    assert [asset["sha256"] for asset in answer["assets"]] == [asset["sha256"] for asset in shown] == wanted
    assert re.findall(r'src="/assets/[^"]+/screenshots/[0-9]\.([0-9a-f]+)', page) == [sha[:16] for sha in wanted]
    problem(publisher.client.put(url, json={"order": [1, 2]}), 422, "VALIDATION_ERROR")


def pixels(data: bytes) -> bytes:
    return Image.open(BytesIO(data)).convert("RGB").tobytes()
