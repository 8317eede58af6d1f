"""Uploads by signed URL, over real HTTP."""

import hashlib
import socket
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from portal.store import audit, presign
from portal.store.clock import now
from tests.http.test_service import metric
from tests.support.patience import PATIENCE
from tests.support.portal import Publisher, add_developer, children, mosis, problem

MIB = 1024 * 1024
WORKER_GROWTH_MAX = 24 * MIB
"""Of four uploads in one worker: their chunks, and what the server has read ahead of them."""


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def field(body: bytes, algorithm: str = "sha-256") -> str:
    """A value of Content-Digest or Repr-Digest."""
    return f"{algorithm}=:{b64encode(hashlib.new(algorithm.replace('-', ''), body).digest()).decode()}:"


def issue(publisher: Publisher, **body: object) -> httpx.Response:
    return publisher.client.post(f"/api/apps/{publisher.app_id}/uploads", json=body)


def issued(publisher: Publisher, **body: object) -> dict:
    answer = issue(publisher, **body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def put(publisher: Publisher, upload: dict, body: bytes, **headers: str) -> httpx.Response:
    url = publisher.portal.url + upload["url"]
    return httpx.put(url, content=body, headers=upload["headers"] | headers, timeout=60)


def complete(publisher: Publisher, upload: dict) -> httpx.Response:
    return publisher.client.post(f"/api/uploads/{upload['upload_id']}/complete")


@pytest.fixture
def body(publisher: Publisher) -> bytes:
    return publisher.package(1, payload_bytes=100_000).read_bytes()


@pytest.mark.parametrize("announced", [True, False])
def test_a_package_goes_in_by_a_signed_url(publisher: Publisher, announced: bool) -> None:
    body = publisher.package(1, payload_bytes=17 * MIB).read_bytes()
    upload = issued(publisher, size=len(body), **({"sha256": sha256(body)} if announced else {}))
    assert upload["method"] == "PUT"
    assert put(publisher, upload, body).status_code == 204
    problem(put(publisher, upload, body), 409, "UPLOAD_USED")
    version = complete(publisher, upload)
    assert version.status_code == 201, version.text
    assert (version.json()["status"], version.json()["sha256"]) == ("draft", sha256(body))
    assert publisher.client.get(version.json()["download_url"]).content == body
    assert complete(publisher, upload).json() == version.json()
    problem(put(publisher, upload, body), 409, "UPLOAD_USED")
    assert not publisher.portal.store.layout.staging(upload["upload_id"]).exists()


def test_a_client_that_expects_100_sends_no_body_in_vain(publisher: Publisher) -> None:
    upload = issued(publisher, size=1000)
    expect = "Expect: 100-continue"
    assert first_answer(publisher, upload, 1000, expect) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert first_answer(publisher, upload, 1001, expect).startswith(b"HTTP/1.1 413 ")


def first_answer(publisher: Publisher, upload: dict, length: int, *lines: str) -> bytes:
    """The first of the answer to a PUT whose body never comes."""
    parts = urlsplit(publisher.portal.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as connection:
        head = [f"PUT {upload['url']} HTTP/1.1", "Host: portal", f"Content-Length: {length}", *lines, "", ""]
        connection.sendall("\r\n".join(head).encode())
        return connection.recv(1000)


def test_the_body_has_the_signed_size(publisher: Publisher, body: bytes) -> None:
    upload = issued(publisher, size=len(body))
    problem(put(publisher, upload, body + b"x"), 413, "FILE_TOO_LARGE")
    problem(put(publisher, upload, body[:-1]), 400, "INVALID_REQUEST")
    for content, status in ((body + b"x", 413), (body[:-1], 400), (body, 204)):
        halves = iter([content[:50_000], content[50_000:]])  # chunked: the size shows only in the end
        answer = httpx.put(publisher.portal.url + upload["url"], content=halves)
        assert answer.status_code == status, answer.text
    too_large = publisher.portal.store.settings.package_max_bytes + 1
    problem(issue(publisher, size=too_large), 413, "FILE_TOO_LARGE")
    for size in (0, -1, None, "many"):
        problem(issue(publisher, size=size), 422, "VALIDATION_ERROR")


@pytest.mark.parametrize("name", [*presign.QUERY, "path", "more", "twice", "less", "method"])
def test_an_altered_url_is_refused(publisher: Publisher, body: bytes, name: str) -> None:
    upload, other = issued(publisher, size=len(body)), issued(publisher, size=len(body))
    parts = urlsplit(upload["url"])
    path, query = parts.path, parse_qsl(parts.query, keep_blank_values=True)
    match name:
        case "path":
            path = urlsplit(other["url"]).path
        case "more":
            query.append(("more", "1"))
        case "twice":
            query.append(query[0])
        case "less":
            query = query[1:]
        case "method":
            grant = presign.Grant("GET", path, len(body), None, now() + 100, upload["upload_id"])
            keys = presign.load(publisher.portal.store.layout.presign_keys)
            query = list(presign.sign(keys, grant).items())
        case _:
            query = [(key, altered(value) if key == name else value) for key, value in query]
    answer = put(publisher, upload | {"url": f"{path}?{urlencode(query)}"}, body)
    problem(answer, 403, "URL_INVALID")
    assert put(publisher, upload, body).status_code == 204


def altered(value: str) -> str:
    return "a" * 64 if value == "" else value[:-1] + ("1" if value[-1] == "2" else "2")


def test_an_expired_url_is_refused(publisher: Publisher, body: bytes) -> None:
    upload = issued(publisher, size=len(body))
    path = urlsplit(upload["url"]).path
    grant = presign.Grant("PUT", path, len(body), None, now() - 1, upload["upload_id"])
    query = presign.sign(presign.load(publisher.portal.store.layout.presign_keys), grant)
    problem(put(publisher, upload | {"url": f"{path}?{urlencode(query)}"}, body), 403, "URL_EXPIRED")


def test_an_upload_whose_url_expired_goes_on_by_another(publisher: Publisher, body: bytes) -> None:
    upload = issued(publisher, size=len(body), sha256=sha256(body))
    tus = {"Tus-Resumable": "1.0.0"}
    piece = tus | {"Content-Type": "application/offset+octet-stream"}

    def send(url: str, offset: int, stop: int | None = None) -> httpx.Response:
        headers = piece | {"Upload-Offset": str(offset)}
        return httpx.patch(publisher.portal.url + url, content=body[offset:stop], headers=headers)

    assert send(upload["url"], 0, 40_000).status_code == 204
    store = publisher.portal.store
    with store.db.write() as tx:
        tx.execute("UPDATE uploads SET expires_at = ? WHERE upload_id = ?", (now() - 1, upload["upload_id"]))
    issued(publisher, size=1)  # which leaves it alone, as long as there is room for both
    renewal = f"/api/uploads/{upload['upload_id']}/url"
    answer = publisher.client.post(renewal)
    assert answer.status_code == 201, answer.text
    renewed = answer.json()
    assert answer.headers["location"] == renewed["url"]
    assert renewed["upload_id"] == upload["upload_id"]
    assert answer.headers["upload-offset"] == "40000"
    head = httpx.head(publisher.portal.url + renewed["url"], headers=tus)
    assert head.headers["upload-offset"] == "40000"
    assert head.headers["upload-expires"] == answer.headers["upload-expires"]
    assert send(renewed["url"], 40_000).status_code == 204
    assert complete(publisher, upload).status_code == 201
    problem(publisher.client.post(renewal), 409, "UPLOAD_USED")


def test_only_its_owner_renews_an_upload(publisher: Publisher) -> None:
    upload = issued(publisher, size=100)
    renewal = f"/api/uploads/{upload['upload_id']}/url"
    stranger = add_developer(publisher.portal.store, f"{publisher.developer_id}-stranger", key=None)
    with publisher.portal.client(stranger) as client:
        problem(client.post(renewal), 404, "NOT_FOUND")
    problem(httpx.post(publisher.portal.url + renewal), 401, "UNAUTHENTICATED")
    put(publisher, upload, bytes(100)).raise_for_status()
    assert publisher.client.post(renewal).status_code == 201  # harmless: the body is here, and stays what it is
    problem(complete(publisher, upload), 422, "VALIDATION_ERROR")
    problem(publisher.client.post(renewal), 409, "UPLOAD_USED")


def test_a_body_with_another_digest_than_announced_may_be_sent_again(publisher: Publisher, body: bytes) -> None:
    upload = issued(publisher, size=len(body), sha256=sha256(body))
    problem(put(publisher, upload, bytes(len(body))), 422, "DIGEST_MISMATCH")
    problem(complete(publisher, upload), 409, "UPLOAD_INCOMPLETE")
    assert put(publisher, upload, body).status_code == 204
    assert complete(publisher, upload).status_code == 201


@pytest.mark.parametrize("name", ["Content-Digest", "Repr-Digest"])
def test_digests_of_the_request_are_checked(publisher: Publisher, body: bytes, name: str) -> None:
    upload = issued(publisher, size=len(body))
    for value, status, code in (
        (field(b"another"), 422, "DIGEST_MISMATCH"),
        (field(body) + ", " + field(b"another", "sha-512"), 422, "DIGEST_MISMATCH"),
        ("sha-256=:AAAA:", 422, "DIGEST_MISMATCH"),
        ("sha-256=:?:", 400, "INVALID_REQUEST"),
        ("sha-256", 400, "INVALID_REQUEST"),
    ):
        problem(put(publisher, upload, body, **{name: value}), status, code)
    good = "md5=:AAAA:, " + field(body, "sha-512") + "," + field(body)
    assert put(publisher, upload, body, **{name: good}).status_code == 204


def test_digests_of_forms_and_json_are_checked(publisher: Publisher) -> None:
    path = publisher.package(1)
    wrong = {"Content-Digest": field(b"another")}
    with path.open("rb") as file:
        answer = publisher.client.post(
            f"/api/apps/{publisher.app_id}/versions", files={"package": file}, headers=wrong
        )  # fmt: skip
    problem(answer, 422, "DIGEST_MISMATCH")
    assert publisher.client.get(f"/api/apps/{publisher.app_id}/versions").json()["versions"] == []
    answer = publisher.client.post(f"/api/apps/{publisher.app_id}/uploads", json={"size": 10}, headers=wrong)
    problem(answer, 422, "DIGEST_MISMATCH")


def test_quota_is_reserved_and_given_back(publisher: Publisher, body: bytes) -> None:
    store = publisher.portal.store
    uploads = [issued(publisher, size=len(body)) for _ in range(store.settings.open_uploads_max)]
    problem(issue(publisher, size=1), 403, "QUOTA_EXCEEDED")
    given_up = httpx.delete(publisher.portal.url + uploads.pop()["url"], headers={"Tus-Resumable": "1.0.0"})
    assert given_up.status_code == 204
    put(publisher, uploads[0], body)
    uploads.append(issued(publisher, size=1))
    problem(issue(publisher, size=1), 403, "QUOTA_EXCEEDED")
    assert complete(publisher, uploads[0]).status_code == 201
    uploads.append(issued(publisher, size=1))
    problem(issue(publisher, size=1), 403, "QUOTA_EXCEEDED")
    expired = uploads.pop()["upload_id"]
    with store.db.write() as tx:
        tx.execute("UPDATE uploads SET expires_at = ? WHERE upload_id = ?", (now(), expired))
    issued(publisher, size=1)
    assert not store.layout.staging(expired).exists()


def test_quota_counts_bytes(publisher: Publisher) -> None:
    settings = publisher.portal.store.settings
    largest = settings.package_max_bytes
    left = settings.open_uploads_max_bytes - 1
    issued(publisher, size=1)
    while left >= largest:
        issued(publisher, size=largest)
        left -= largest
    assert 0 < left < largest
    problem(issue(publisher, size=left + 1), 403, "QUOTA_EXCEEDED")
    issued(publisher, size=left)


def test_uploads_are_their_developers(publisher: Publisher, body: bytes) -> None:
    upload = issued(publisher, size=len(body))
    stranger = add_developer(publisher.portal.store, f"{publisher.developer_id}-stranger", key=None)
    with publisher.portal.client(stranger) as client:
        problem(client.post(f"/api/apps/{publisher.app_id}/uploads", json={"size": 1}), 404, "NOT_FOUND")
        problem(client.post(f"/api/uploads/{upload['upload_id']}/complete"), 404, "NOT_FOUND")
    problem(httpx.post(f"{publisher.portal.url}/api/apps/{publisher.app_id}/uploads"), 401, "UNAUTHENTICATED")
    problem(complete(publisher, {"upload_id": "0" * 32}), 404, "NOT_FOUND")


def test_a_package_that_is_not_valid_is_over(publisher: Publisher) -> None:
    upload = issued(publisher, size=100)
    assert put(publisher, upload, bytes(100)).status_code == 204
    refused = metric(publisher.portal, "mosis_uploads_total", kind="package", reason="VALIDATION_ERROR")
    reasons = problem(complete(publisher, upload), 422, "VALIDATION_ERROR")["errors"]
    assert metric(publisher.portal, "mosis_uploads_total", kind="package", reason="VALIDATION_ERROR") == refused + 1
    problem(complete(publisher, upload), 409, "UPLOAD_USED")
    problem(put(publisher, upload, bytes(100)), 409, "UPLOAD_USED")
    assert not publisher.portal.store.layout.staging(upload["upload_id"]).exists()
    [failed] = publisher.client.get(f"/api/apps/{publisher.app_id}/versions").json()["versions"]
    assert (failed["status"], failed["reasons"]) == ("failed", reasons)


def test_an_upload_counts_once(publisher: Publisher, body: bytes) -> None:
    def numbers() -> list[float]:
        portal = publisher.portal
        return [metric(portal, "mosis_uploads_total", kind="package"), metric(portal, "mosis_upload_bytes_total")]

    before = numbers()
    upload = issued(publisher, size=len(body))
    put(publisher, upload, body)
    complete(publisher, upload)
    assert [b - a for a, b in zip(before, numbers(), strict=True)] == [1, len(body)]


def test_a_rotation_breaks_no_url_given_out(publisher: Publisher, body: bytes) -> None:
    store = publisher.portal.store
    first = issued(publisher, size=len(body))
    rotated = mosis(store, "presign", "rotate")
    assert rotated.returncode == 0, rotated.stderr
    second = issued(publisher, size=len(body))
    key_id = dict(parse_qsl(urlsplit(second["url"]).query))["key"]
    assert key_id in rotated.stdout.split()
    [row] = audit.filtered(store.db.read(), action="presign")
    assert (row.action, row.subject, row.detail) == ("presign.rotate", key_id, '{"forgotten":[]}')
    for upload in (first, second):
        assert put(publisher, upload, body).status_code == 204
    assert mosis(store, "presign", "rotate").returncode == 1
    dropped = issued(publisher, size=len(body))
    assert mosis(store, "presign", "rotate", "--drop").returncode == 0
    problem(put(publisher, dropped, body), 403, "URL_INVALID")
    assert store.layout.presign_keys.stat().st_mode & 0o777 == 0o600


def peak(pid: int) -> int:
    """The most bytes of memory that the process had at once."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.parametrize("form", [False, True], ids=["signed", "form"])
def test_memory_does_not_grow_with_uploads(publisher: Publisher, form: bool) -> None:
    portal = publisher.portal
    paths = [publisher.package(code, payload_bytes=50 * MIB) for code in range(1, 5)]
    bodies = [path.read_bytes() for path in paths]
    targets = [] if form else [issued(publisher, size=len(body)) for body in bodies]
    workers = children(portal.process.pid)
    for pid in workers:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the peak, proc(5)
    before = {pid: peak(pid) for pid in workers}
    with ThreadPoolExecutor(4) as pool:
        if form:
            answers = list(pool.map(publisher.upload, paths))
        else:
            answers = list(pool.map(partial(put, publisher), targets, bodies))
    assert [answer.status_code for answer in answers] == [201 if form else 204] * 4
    growth = {pid: peak(pid) - before[pid] for pid in workers}
    assert max(growth.values()) < WORKER_GROWTH_MAX, growth
