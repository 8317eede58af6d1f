"""Uploads by signed URL, over real HTTP."""

import hashlib
from base64 import b64encode
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from tests.support.portal import Publisher, add_developer, problem

MIB = 1024 * 1024


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def issue(publisher: Publisher, **body: object) -> httpx.Response:
    return publisher.client.post(f"/api/apps/{publisher.app_id}/uploads", json=body)


def issued(publisher: Publisher, **body: object) -> dict:
    answer = issue(publisher, **body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def put(publisher: Publisher, upload: dict, body: bytes, **headers: str) -> httpx.Response:
    return httpx.put(publisher.portal.url + upload["url"], content=body, headers=upload["headers"] | headers, timeout=60)


def complete(publisher: Publisher, upload: dict) -> httpx.Response:
    return publisher.client.post(f"/api/uploads/{upload['upload_id']}/complete")


@pytest.mark.parametrize("announced", [True, False])
def test_a_package_goes_in_by_a_signed_url(publisher: Publisher, announced: bool) -> None:
    path = publisher.package(1, payload_bytes=17 * MIB)
    body, digest = path.read_bytes(), {"sha256": sha256(path)} if announced else {}
    upload = issued(publisher, size=len(body), **digest)
    assert upload["method"] == "PUT"
    assert put(publisher, upload, body).status_code == 204
    version = complete(publisher, upload)
    assert version.status_code == 201, version.text
    assert (version.json()["status"], version.json()["sha256"]) == ("draft", sha256(path))
    stored = publisher.client.get(version.json()["download_url"])
    assert stored.content == body
    assert complete(publisher, upload).json() == version.json()
    problem(put(publisher, upload, body), 409, "UPLOAD_USED")
    assert not (publisher.portal.store.layout.staging(upload["upload_id"])).exists()
