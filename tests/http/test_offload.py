"""With `download = "redirect"` devices are sent to the mirror, for what is published and verified there only."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from portal import settings
from portal.jobs import mirror
from portal.mirror.client import Bucket
from portal.settings import S3, SettingsError
from tests.http.test_openapi import check
from tests.support.portal import Portal, Publisher, free_port, make_store, only_publisher, problem

CDN = "https://cdn.example.org/apps"


@pytest.fixture
def offloading(tmp_path: Path, empty: S3) -> Iterator[Publisher]:
    """A portal that has a public mirror, and a developer who may publish."""
    bucket = empty.model_dump(mode="json") | {"public_url": f"{CDN}/"}
    store = make_store(tmp_path / "store", port=free_port(), mirror=bucket, download="redirect")
    with Portal(store) as portal, only_publisher(portal, tmp_path, scope="admin") as publisher:
        yield publisher


def download(publisher: Publisher, code: int, **headers: str) -> httpx.Response:
    path = f"/downloads/{publisher.developer_id}/{publisher.app_id}/{code}/package.mosis"
    with publisher.portal.client() as device:
        return device.get(path, headers=headers)


def test_what_the_mirror_has_is_downloaded_there(offloading: Publisher, empty: S3) -> None:
    package = offloading.publish(1)
    assert download(offloading, 1).content == package.read_bytes(), "it has not been copied yet"
    mirror.mirror(offloading.portal.store)
    key = f"packages/{offloading.developer_id}/{offloading.app_id}/1/package.mosis"
    with offloading.portal.client() as device:
        latest = device.get(f"/api/store/apps/{offloading.app_id}/download")
        info = device.get(f"/api/store/apps/{offloading.app_id}").json()
        described = device.get("/openapi.json").json()
    check(described, "/api/store/apps/{app_id}/download", latest)
    for answer in (download(offloading, 1), latest):
        assert (answer.status_code, answer.headers["location"]) == (302, f"{CDN}/{key}")
        assert answer.headers["cache-control"] == "public, max-age=60"
        assert answer.headers["x-mosis-signature"] == info["signature"]
    assert Bucket(empty).call("get_object", Key=key)["Body"].read() == package.read_bytes()


def test_what_devices_may_not_have_is_never_redirected(offloading: Publisher) -> None:
    offloading.publish(1)
    mirror.mirror(offloading.portal.store)
    offloading.upload(offloading.package(2)).raise_for_status()
    path = f"/downloads/{offloading.developer_id}/{offloading.app_id}"
    assert offloading.client.get(f"{path}/2/package.mosis").status_code == 200, "a draft, for its owner"
    offloading.step(1, "yank", reason="broken").raise_for_status()
    problem(download(offloading, 1), 410, "YANKED")
    mirror.mirror(offloading.portal.store)
    assert offloading.client.get(f"{path}/1/package.mosis").status_code == 200, "a yanked one, for its owner"


def test_a_download_that_began_here_is_continued_here(offloading: Publisher) -> None:
    package = offloading.publish(1).read_bytes()
    tag = download(offloading, 1).headers["etag"]
    mirror.mirror(offloading.portal.store)
    rest = download(offloading, 1, **{"Range": "bytes=100-", "If-Range": tag})
    assert (rest.status_code, rest.content) == (206, package[100:])
    assert download(offloading, 1, **{"If-None-Match": tag}).status_code == 304
    assert download(offloading, 1, **{"Range": "bytes=100-", "If-Range": '"of the bucket"'}).status_code == 302


def test_a_redirect_needs_somewhere_to_go(empty: S3) -> None:
    private = {"root": "/srv/mosis", "download": "redirect", "mirror": empty.model_dump(mode="json")}
    with pytest.raises(SettingsError, match=r"^settings: download: redirect requires mirror\.public_url\.$"):
        settings.parse(private)
    with pytest.raises(SettingsError, match="requires mirror"):
        settings.parse({"root": "/srv/mosis", "download": "redirect"})
