"""Signed and resumable uploads through nginx as it is deployed."""

import dataclasses
import hashlib
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from tusclient.client import TusClient

from tests.support.cutting import CuttingProxy
from tests.support.nginx import NGINX, nginx_before
from tests.support.patience import PATIENCE
from tests.support.portal import Portal, Publisher, free_port, make_store, only_publisher, problem

MIB = 1024 * 1024
PIECE = "Content-Type: application/offset+octet-stream"

pytestmark = [
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
    # tuspy opens its file once for each piece, and the warning comes when Python collects it, in any test.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:unclosed file"),
]


@dataclasses.dataclass
class Fronted(Portal):
    """A portal that is asked through nginx."""

    front: str = ""

    @property
    def url(self) -> str:
        return self.front


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    root = tmp_path_factory.mktemp("fronted")
    with (
        Portal(make_store(root / "store", port=free_port(), accel=True, proxied=True)) as portal,
        nginx_before(portal) as url,
        only_publisher(Fronted(portal.store, front=url), root) as publisher,
    ):
        yield publisher


def begin(url: str, method: str, length: int, *lines: str) -> socket.socket:
    """A request whose body does not come yet."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)
    target = f"{parts.path}?{parts.query}"
    head = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {length}", *lines, "", ""]
    connection.sendall("\r\n".join(head).encode())
    return connection


def issued(publisher: Publisher, size: int) -> str:
    answer = publisher.client.post(f"/api/apps/{publisher.app_id}/uploads", json={"size": size}).raise_for_status()
    return publisher.portal.url + answer.json()["url"]


def test_tuspy_through_nginx_and_ten_disconnects(publisher: Publisher) -> None:
    path = publisher.package(1, payload_bytes=50 * MIB)
    port = urlsplit(publisher.portal.url).port
    with path.open("rb") as file, CuttingProxy(port, cuts=10, after=4_500_000) as proxy:
        client = TusClient(f"{proxy.url}/api/apps/{publisher.app_id}/uploads", headers=dict(publisher.client.headers))
        uploader = client.uploader(file_stream=file, retries=30, retry_delay=0)
        uploader.upload()
    assert proxy.cuts_left == 0
    # Who asks how far it is may overtake what is still in nginx's buffers, and then sends that piece again.
    assert proxy.carried < 2 * path.stat().st_size
    upload_id = urlsplit(uploader.url).path.rsplit("/", 1)[1]
    version = publisher.client.post(f"/api/uploads/{upload_id}/complete")
    assert version.status_code == 201, version.text
    assert version.json()["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def resumed(url: str, body: bytes) -> bool:
    """Whether the upload is whole now, or still locked."""
    tus = {"Tus-Resumable": "1.0.0"}
    found = httpx.head(url, headers=tus)
    if found.status_code == 200:
        offset = int(found.headers["Upload-Offset"])
        headers = tus | {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        found = httpx.patch(url, content=body[offset:], headers=headers)
        if found.status_code == 204:
            return True
    assert found.status_code in (409, 423), found.text
    return False


def test_a_client_that_vanished_does_not_keep_its_upload(publisher: Publisher) -> None:
    body = publisher.package(2).read_bytes()
    url = issued(publisher, len(body))
    with begin(url, "PATCH", len(body), "Tus-Resumable: 1.0.0", "Upload-Offset: 0", PIECE) as vanished:
        vanished.sendall(body[:1000])
        deadline = time.monotonic() + PATIENCE
        while not resumed(url, body):  # another network, the same client
            assert time.monotonic() < deadline
    upload_id = urlsplit(url).path.rsplit("/", 1)[1]
    publisher.client.post(f"/api/uploads/{upload_id}/complete").raise_for_status()


def test_expect_100(publisher: Publisher) -> None:
    url = issued(publisher, 1000)
    with begin(url, "PUT", 1000, "Expect: 100-continue") as connection:
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(bytes(1000))
        assert connection.recv(1000).startswith(b"HTTP/1.1 204 ")


def test_what_is_refused_early_is_told(publisher: Publisher) -> None:
    url = issued(publisher, 1000)
    settings = publisher.portal.store.settings
    for size in (1001, 10 * MIB, settings.package_max_bytes + 2 * MIB):
        problem(httpx.put(url, content=bytes(size), timeout=60), 413, "FILE_TOO_LARGE")
    problem(httpx.put(url[:-1] + "x", content=bytes(10 * MIB), timeout=60), 403, "URL_INVALID")


def test_no_signature_is_logged(publisher: Publisher) -> None:
    url = issued(publisher, 1000)
    httpx.put(url, content=bytes(1000)).raise_for_status()
    signature = url.rpartition("signature=")[2]
    root = publisher.portal.store.layout.root
    for name in ("access.log", "run/nginx.log", "portal.log"):
        assert signature not in (root / name).read_text()
