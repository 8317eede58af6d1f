"""What /openapi.json says of fields and bodies is what is answered."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from portal.http.headers import RESPONSE
from tests.support.portal import Portal, Publisher

TUS = {"Tus-Resumable": "1.0.0"}
CREATE, UPLOAD = "/api/apps/{app_id}/uploads", "/api/uploads/{upload_id}"
LATEST = "/api/store/apps/{app_id}/download"
IMMUTABLE = "/downloads/{developer_id}/{app_id}/{version_code}/package.mosis"


@pytest.fixture(scope="module")
def described(portal: Portal) -> dict[str, Any]:
    return httpx.get(f"{portal.url}/openapi.json").json()


def check(described: dict[str, Any], path: str, answer: httpx.Response) -> httpx.Response:
    """The answer has every field that the description promises, and none of the API's that it does not name."""
    operation = described["paths"][path][answer.request.method.lower()]
    named = operation["responses"][str(answer.status_code)].get("headers", {})
    promised = {name.lower() for name, field in named.items() if field["required"]}
    assert promised - set(answer.headers) == set()
    api = {name.lower() for name in RESPONSE}
    assert api & set(answer.headers) - {name.lower() for name in named} == set()
    return answer


def test_uploads(described: dict[str, Any], publisher: Publisher) -> None:
    url = publisher.portal.url
    body = publisher.package(1).read_bytes()
    piece = TUS | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    create = f"/api/apps/{publisher.app_id}/uploads"
    check(described, CREATE, publisher.client.options(create))
    check(described, CREATE, publisher.client.post(create, json={"size": 1}))
    made = check(described, CREATE, publisher.client.post(create, headers=TUS | {"Upload-Length": str(len(body))}))
    check(described, CREATE, publisher.client.post(create, headers={"Tus-Resumable": "2", "Upload-Length": "1"}))
    check(described, CREATE, httpx.post(url + create))
    signed = url + made.headers["location"]
    for answer in (
        httpx.options(signed),
        httpx.head(signed, headers=TUS),
        httpx.head(signed),
        httpx.patch(signed, headers=piece | {"Upload-Offset": "7"}),
        httpx.patch(signed, headers=piece, content=body[:7]),
        httpx.put(signed, content=body),
        httpx.put(signed + "0", content=body),
        httpx.delete(signed, headers=TUS),
    ):
        check(described, UPLOAD, answer)
    made = publisher.client.post(create, json={"size": 1}).json()
    renewed = publisher.client.post(f"/api/uploads/{made['upload_id']}/url", headers=TUS)
    check(described, f"{UPLOAD}/url", renewed)
    again = httpx.post(url + made["url"], headers=piece | {"X-HTTP-Method-Override": "PATCH"}, content=b"x")
    assert check(described, UPLOAD, again).status_code == 204


def test_downloads(described: dict[str, Any], publisher: Publisher) -> None:
    publisher.publish(1)
    latest = f"/api/store/apps/{publisher.app_id}/download"
    info = publisher.client.get(latest.removesuffix("/download")).json()
    etag = f'"{info["sha256"]}"'
    for fields, status in (
        ({}, 200),
        ({"Range": "bytes=0-9", "If-Range": etag}, 206),
        ({"Range": "bytes=0-9,20-29", "If-Match": etag}, 200),
        ({"If-None-Match": etag}, 304),
        ({"If-Match": '"another"'}, 412),
        ({"Range": "bytes=99999999-", "If-Range": etag}, 416),
    ):
        for path, target in ((LATEST, latest), (IMMUTABLE, info["download_url"])):
            answer = check(described, path, publisher.client.get(target, headers=fields))
            assert answer.status_code == status
    assert check(described, LATEST, publisher.client.get(latest, headers={"Range": "bytes=0-9"})).status_code == 428


def test_a_signed_url_is_a_way_in(described: dict[str, Any]) -> None:
    schemes = described["components"]["securitySchemes"]
    assert (schemes["signed_url"]["in"], schemes["signed_url"]["name"]) == ("query", "signature")
    assert described["paths"][UPLOAD]["put"]["security"] == [{"signed_url": []}]
    assert {"signed_url": []} in described["paths"][IMMUTABLE]["get"]["security"]
    assert list(described["paths"][UPLOAD]["patch"]["requestBody"]["content"]) == ["application/offset+octet-stream"]


DIALECT = re.compile(r"\b(?:told|tells|said|says|whoever|spoken|speaks|goes on|go on|gave|asked for|is here)\b")


def test_what_people_read_is_in_the_terms_of_the_field(described: dict[str, Any]) -> None:
    texts = list(prose(described))
    assert len(texts) > 100
    assert [text for text in texts if DIALECT.search(text)] == []


def prose(node: object) -> Iterator[str]:
    """The summaries and descriptions anywhere in a document."""
    if isinstance(node, dict):
        yield from (node[name] for name in ("summary", "description") if isinstance(node.get(name), str))
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from prose(child)
