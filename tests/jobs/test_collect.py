"""Uploads through the mirror's private bucket: a real portal, a real engine, and the job between them."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from portal.jobs import collect
from portal.mirror import direct, objects
from portal.mirror.client import Bucket
from portal.settings import S3
from tests.http.test_uploads import complete, issued, sha256
from tests.support.portal import (
    Portal,
    Publisher,
    free_port,
    make_store,
    only_publisher,
)


def private(empty: S3) -> dict[str, object]:
    """The settings of a mirror whose private bucket is `empty`."""
    return empty.model_dump(mode="json") | {"bucket": "mosis", "private_bucket": empty.bucket}


@pytest.fixture
def publisher(tmp_path: Path, empty: S3) -> Iterator[Publisher]:
    """A developer at a portal of the test's own, whose private bucket is empty."""
    running = Portal(make_store(tmp_path / "store", port=free_port(), mirror=private(empty))).start()
    with only_publisher(running, tmp_path) as one:
        yield one
    running.stop()


@pytest.fixture
def body(publisher: Publisher) -> bytes:
    return publisher.package(1, payload_bytes=3_000_000).read_bytes()


def via_mirror(publisher: Publisher, body: bytes, **more: object) -> dict:
    return issued(publisher, size=len(body), via="mirror", **more)


def put(upload: dict, body: bytes, **headers: str) -> httpx.Response:
    return httpx.put(upload["url"], content=body, headers=upload["headers"] | headers, timeout=60, trust_env=False)


def run(publisher: Publisher, watch: float = 0) -> list[tuple[str, str]]:
    """One run of the job; what it reported."""
    done: list[tuple[str, str]] = []
    collect.collect(publisher.portal.store, watch=watch, report=lambda verb, key: done.append((verb, key)))
    return done


def keys(publisher: Publisher) -> list[str]:
    return [found.key for found in objects.listed(Bucket(publisher.portal.store.settings.mirror.private))]


def test_a_package_goes_in_by_the_bucket(publisher: Publisher, body: bytes) -> None:
    upload = via_mirror(publisher, body, sha256=sha256(body))
    assert upload["method"] == "PUT"
    assert urlsplit(upload["url"]).path.endswith(f"/temp/{upload['upload_id']}/package.mosis")
    assert "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost" in upload["url"]
    assert put(upload, body).status_code == 200

    waiting = complete(publisher, upload)
    assert (waiting.status_code, waiting.json()["status"]) == (202, "uploading")
    assert int(waiting.headers["Retry-After"]) > 0
    key = direct.key_of(upload["upload_id"])
    assert run(publisher) == [("fetched", key)]

    version = complete(publisher, upload)
    assert version.status_code == 201, version.text
    assert (version.json()["status"], version.json()["sha256"]) == ("draft", sha256(body))
    assert publisher.client.get(version.json()["download_url"]).content == body
    assert complete(publisher, upload).json() == version.json()
    assert keys(publisher) == []
    assert not publisher.portal.store.layout.staging(upload["upload_id"]).exists()
