"""tus 1.0 over real HTTP, with tuspy as a real client and connections that are cut."""

import hashlib
import os
import signal
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from tusclient.client import TusClient

from portal.store import signed_uploads
from tests.support.cutting import CuttingProxy
from tests.support.patience import PATIENCE
from tests.support.portal import Portal, Publisher, free_port, make_store, only_publisher, problem

MIB = 1024 * 1024
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = TUS | {"Content-Type": "application/offset+octet-stream"}


class Upload:
    """An upload that tus opened."""

    def __init__(self, publisher: Publisher, size: int, **metadata: str) -> None:
        words = ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in metadata.items())
        headers = TUS | {"Upload-Length": str(size)} | ({"Upload-Metadata": words} if words else {})
        self.created = publisher.client.post(f"/api/apps/{publisher.app_id}/uploads", headers=headers)
        assert self.created.status_code == 201, self.created.text
        self.url = publisher.portal.url + self.created.headers["Location"]
        self.upload_id = self.created.json()["upload_id"]
        self._publisher = publisher

    def patch(self, offset: int, body: bytes, **headers: str) -> httpx.Response:
        return httpx.patch(self.url, content=body, headers=PIECE | {"Upload-Offset": str(offset)} | headers)

    def head(self) -> httpx.Response:
        return httpx.head(self.url, headers=TUS)

    @property
    def offset(self) -> int:
        return int(self.head().headers["Upload-Offset"])

    def complete(self) -> httpx.Response:
        return self._publisher.client.post(f"/api/uploads/{self.upload_id}/complete")


def digest(algorithm: str, body: bytes) -> str:
    return f"{algorithm} {b64encode(hashlib.new(algorithm, body).digest()).decode()}"


@pytest.fixture
def body(publisher: Publisher) -> bytes:
    return publisher.package(1, payload_bytes=100_000).read_bytes()


def test_what_is_spoken(publisher: Publisher) -> None:
    answer = publisher.client.options(f"/api/apps/{publisher.app_id}/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Extension"] == "creation,expiration,termination,checksum"
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256"
    assert answer.headers["Tus-Max-Size"] == str(publisher.portal.store.settings.package_max_bytes)


def test_an_upload_in_pieces(publisher: Publisher, body: bytes) -> None:
    upload = Upload(publisher, len(body), sha256=hashlib.sha256(body).hexdigest())
    assert upload.created.headers["Tus-Resumable"] == "1.0.0"
    assert "Upload-Expires" in upload.created.headers
    head = upload.head()
    assert head.status_code == 200
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("0", str(len(body)))
    assert head.headers["Cache-Control"] == "no-store"
    for start in range(0, len(body), 30_000):
        answer = upload.patch(start, body[start : start + 30_000])
        assert answer.status_code == 204, answer.text
        assert answer.headers["Upload-Offset"] == str(min(start + 30_000, len(body)))
        assert {"Upload-Expires", "Tus-Resumable"} <= {name.title() for name in answer.headers}
    version = upload.complete()
    assert (version.status_code, version.json()["sha256"]) == (201, hashlib.sha256(body).hexdigest())


def test_a_piece_must_continue_where_the_upload_is(publisher: Publisher, body: bytes) -> None:
    upload = Upload(publisher, len(body))
    assert upload.patch(0, body[:1000]).status_code == 204
    for offset in (0, 999, 1001):
        answer = upload.patch(offset, body[offset : offset + 10])
        problem(answer, 409, "OFFSET_CONFLICT")
        assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert upload.offset == 1000
    problem(upload.patch(1000, body[1000:] + b"x"), 413, "FILE_TOO_LARGE")
    assert upload.offset == 1000
    problem(upload.complete(), 409, "UPLOAD_INCOMPLETE")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Tus-Resumable": "0.2.2"}, 412, "TUS_VERSION"),
        ({"Content-Type": "application/octet-stream"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"Content-Encoding": "gzip"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"Upload-Offset": "-1"}, 400, "INVALID_REQUEST"),
        ({"Upload-Offset": "٣"}, 400, "INVALID_REQUEST"),
        ({"Upload-Checksum": "crc32 AAAA"}, 400, "INVALID_REQUEST"),
        ({"Upload-Checksum": "sha1 ?"}, 400, "INVALID_REQUEST"),
        ({"Upload-Checksum": digest("sha1", b"another piece")}, 460, "CHECKSUM_MISMATCH"),
        ({"Content-Digest": "sha-256=:AAAA:"}, 422, "DIGEST_MISMATCH"),
    ],
)
def test_a_refused_piece_leaves_nothing(
    publisher: Publisher, headers: dict[str, str], status: int, code: str
) -> None:  # fmt: skip
    size = signed_uploads.CHECKPOINT + 1000
    upload = Upload(publisher, size)
    encoded = {name: value.encode() for name, value in ({"Upload-Offset": "0"} | headers).items()}
    answer = httpx.patch(upload.url, content=bytes(size), headers=PIECE | encoded)
    problem(answer, status, code)
    if code == "TUS_VERSION":
        assert answer.headers["Tus-Version"] == "1.0.0"
    assert upload.offset == 0


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_piece_with_its_checksum(publisher: Publisher, body: bytes, algorithm: str) -> None:
    upload = Upload(publisher, len(body))
    assert upload.patch(0, body, **{"Upload-Checksum": digest(algorithm, body)}).status_code == 204
    assert upload.complete().status_code == 201


def test_the_whole_body_is_verified_in_the_end(publisher: Publisher, body: bytes) -> None:
    upload = Upload(publisher, len(body), sha256=hashlib.sha256(b"another").hexdigest())
    upload.patch(0, body[:10])
    assert upload.patch(10, body[10:]).status_code == 204
    problem(upload.complete(), 422, "DIGEST_MISMATCH")
    problem(upload.complete(), 409, "UPLOAD_USED")
    assert not publisher.portal.store.layout.staging(upload.upload_id).exists()
    [failed] = publisher.client.get(f"/api/apps/{publisher.app_id}/versions").json()["versions"]
    assert failed["status"] == "failed"


def test_an_upload_may_be_given_up(publisher: Publisher, body: bytes) -> None:
    upload = Upload(publisher, len(body))
    upload.patch(0, body[:10])
    assert httpx.delete(upload.url, headers=TUS).status_code == 204
    assert upload.head().status_code == 404
    problem(upload.patch(10, body[10:]), 404, "NOT_FOUND")
    assert not publisher.portal.store.layout.staging(upload.upload_id).exists()


def test_a_client_behind_a_strict_proxy_posts(publisher: Publisher, body: bytes) -> None:
    upload = Upload(publisher, len(body))
    override = PIECE | {"X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0"}
    assert httpx.post(upload.url, content=body, headers=override).status_code == 204
    problem(httpx.post(upload.url, headers=TUS | {"X-HTTP-Method-Override": "GET"}), 400, "INVALID_REQUEST")
    assert httpx.post(upload.url, headers=TUS | {"X-HTTP-Method-Override": "DELETE"}).status_code == 204
    assert upload.head().status_code == 404


@pytest.mark.parametrize("metadata", ["a !", "a YQ==,a YQ==", "sha256 YQ==", "a YQ==, ,b YQ=="])
def test_metadata_that_is_not(publisher: Publisher, metadata: str) -> None:
    headers = TUS | {"Upload-Length": "10", "Upload-Metadata": metadata}
    problem(publisher.client.post(f"/api/apps/{publisher.app_id}/uploads", headers=headers), 400, "INVALID_REQUEST")


def begin_patch(url: str, offset: int, length: int) -> socket.socket:
    """A PATCH whose body does not come yet."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)
    head = [
        f"PATCH {parts.path}?{parts.query} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Upload-Offset: {offset}",
        f"Content-Length: {length}",
        *(f"{name}: {value}" for name, value in PIECE.items()),
    ]
    connection.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
    return connection


def received(portal: Portal, upload: Upload, at_least: int) -> int:
    """What the portal's disk has for sure, once it is that much."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        row = signed_uploads.find(portal.store.db.read(), upload.upload_id)
        if row.received >= at_least:
            return row.received
    pytest.fail(f"{row.received} bytes arrived, not {at_least}")


def test_one_request_at_a_time(publisher: Publisher) -> None:
    size = 2 * signed_uploads.CHECKPOINT
    upload = Upload(publisher, size)
    with begin_patch(upload.url, 0, size) as first:
        first.sendall(bytes(signed_uploads.CHECKPOINT))
        received(publisher.portal, upload, signed_uploads.CHECKPOINT)
        problem(upload.patch(signed_uploads.CHECKPOINT, b"x"), 423, "UPLOAD_LOCKED")
        first.sendall(bytes(signed_uploads.CHECKPOINT))
        assert first.recv(1000).startswith(b"HTTP/1.1 204")
    assert upload.offset == size


def test_a_request_that_is_cut_keeps_what_came(publisher: Publisher, body: bytes) -> None:
    upload = Upload(publisher, len(body))
    with begin_patch(upload.url, 0, len(body)) as first:
        first.sendall(body[:12_345])
    assert received(publisher.portal, upload, 1) == 12_345
    assert upload.patch(12_345, body[12_345:]).status_code == 204
    assert upload.complete().status_code == 201


def test_a_put_that_is_cut_goes_on_by_tus_or_starts_again(publisher: Publisher, body: bytes) -> None:
    for resume in (True, False):
        upload = Upload(publisher, len(body))
        parts = urlsplit(upload.url)
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body[:5000])
        assert received(publisher.portal, upload, 1) == 5000
        answer = upload.patch(5000, body[5000:]) if resume else httpx.put(upload.url, content=body)
        assert answer.status_code == 204, answer.text
        if resume:
            httpx.delete(upload.url, headers=TUS).raise_for_status()
    assert upload.complete().status_code == 201


@pytest.mark.parametrize("checksum", [False, True])
def test_tuspy_uploads_through_ten_disconnects(publisher: Publisher, checksum: bool) -> None:
    path = publisher.package(1, payload_bytes=50 * MIB)
    size, port = path.stat().st_size, publisher.portal.store.settings.port
    with path.open("rb") as file, CuttingProxy(port, cuts=10, after=4_500_000) as proxy:
        client = TusClient(f"{proxy.url}/api/apps/{publisher.app_id}/uploads", headers=dict(publisher.client.headers))
        uploader = client.uploader(
            file_stream=file, retries=30, retry_delay=0, upload_checksum=checksum,
            **({"chunk_size": 4_000_000} if checksum else {}),
        )  # fmt: skip
        uploader.upload()
    if not checksum:
        assert proxy.cuts_left == 0
        assert proxy.carried < 2 * size, "more was sent again than a piece a cut"
    upload_id = urlsplit(uploader.url).path.rsplit("/", 1)[1]
    version = publisher.client.post(f"/api/uploads/{upload_id}/complete")
    assert version.status_code == 201, version.text
    assert version.json()["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Publisher]:
    """A developer at a portal of their own, which may be killed."""
    with (
        Portal(make_store(tmp_path / "mortal", port=free_port())) as portal,
        only_publisher(portal, tmp_path) as publisher,
    ):
        yield publisher


def test_a_killed_portal_has_what_it_acknowledged(mortal: Publisher) -> None:
    body = mortal.package(1, payload_bytes=30 * MIB).read_bytes()
    upload = Upload(mortal, len(body))
    with begin_patch(upload.url, 0, len(body)) as connection:
        connection.sendall(body[: 20 * MIB])
        acknowledged = received(mortal.portal, upload, 2 * signed_uploads.CHECKPOINT)
        mortal.portal.stop(signal.SIGKILL)
    file = mortal.portal.store.layout.staging(upload.upload_id) / "package.mosis"
    with file.open("ab") as tail:  # as a power cut may leave it
        tail.write(os.urandom(1000))
    mortal.portal.start()
    assert upload.offset == acknowledged == 2 * signed_uploads.CHECKPOINT
    assert upload.patch(acknowledged, body[acknowledged:]).status_code == 204
    version = upload.complete()
    assert (version.status_code, version.json()["sha256"]) == (201, hashlib.sha256(body).hexdigest())


@pytest.mark.parametrize(("name", "value"), [("Upload-Concat", "partial"), ("Upload-Defer-Length", "1")])
def test_extensions_that_are_not_there_open_no_upload(publisher: Publisher, name: str, value: str) -> None:
    """tus-js-client with parallelUploads opened one for each part, and learned of it after the last byte."""
    headers = TUS | {"Upload-Length": "5", name: value}
    answer = publisher.client.post(f"/api/apps/{publisher.app_id}/uploads", headers=headers)
    assert f"{name} is not supported" in problem(answer, 400, "INVALID_REQUEST")["detail"]
    assert publisher.client.get("/api/me").json()["usage"]["open_uploads"] == 0


@pytest.mark.parametrize("size", [5, 200_000])
def test_bytes_sent_with_a_creation_are_refused_for_what_they_are(publisher: Publisher, size: int) -> None:
    headers = PIECE | {"Upload-Length": str(size)}
    answer = publisher.client.post(f"/api/apps/{publisher.app_id}/uploads", headers=headers, content=bytes(size))
    assert "with PATCH" in problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")["detail"]
