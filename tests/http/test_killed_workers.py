"""A worker that is killed takes nothing with it: what it had claimed is free at once, and the retry succeeds."""

import io
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.support.half_sent import half_sent
from tests.support.portal import Portal, Publisher, children, free_port, make_store, mosis, only_publisher, problem

KEY = {"Idempotency-Key": "one"}
PATCH = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
PAYLOAD = 600_000  # bytes, so that half of a body is more than the portal reads at once


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Publisher]:
    """A publisher at a portal whose workers may be killed."""
    with (
        Portal(make_store(tmp_path / "store", port=free_port())) as portal,
        only_publisher(portal, tmp_path) as publisher,
    ):
        yield publisher


def form(publisher: Publisher, headers: dict[str, str] | None = None) -> httpx.Request:
    path = f"/api/apps/{publisher.app_id}/versions"
    return publisher.client.build_request("POST", path, files={"package": package(publisher)}, headers=headers)


def form_with_key(publisher: Publisher) -> httpx.Request:
    return form(publisher, KEY)


def icon(publisher: Publisher) -> httpx.Request:
    file = io.BytesIO()
    Image.frombytes("RGB", (512, 512), os.urandom(512 * 512 * 3)).save(file, "PNG")
    path = f"/api/apps/{publisher.app_id}/icon"
    return publisher.client.build_request("POST", path, files={"icon": file.getvalue()})


def put(publisher: Publisher) -> httpx.Request:
    return httpx.Request("PUT", signed_url(publisher), content=package(publisher))


def patch(publisher: Publisher) -> httpx.Request:
    return httpx.Request("PATCH", signed_url(publisher), content=package(publisher), headers=PATCH)


def package(publisher: Publisher) -> bytes:
    return publisher.package(1, payload_bytes=PAYLOAD).read_bytes()


def signed_url(publisher: Publisher) -> str:
    size = len(package(publisher))
    made = publisher.client.post(f"/api/apps/{publisher.app_id}/uploads", json={"size": size}).raise_for_status()
    return publisher.portal.url + made.json()["url"]


def temporary(portal: Portal) -> list[Path]:
    return list(portal.store.layout.area("temp").rglob("*"))


def kill_workers(portal: Portal) -> None:
    """Kill them all, and wait until others answer."""
    killed = set(children(portal.process.pid))
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    while len(found := children(portal.process.pid)) < len(killed) or killed & set(found):
        assert portal.process.poll() is None
    assert mosis(portal.store, "status", "--wait", "30").returncode == 0


@pytest.mark.parametrize("make", [form, form_with_key, icon, put, patch])
def test_the_retry_succeeds(own: Publisher, make: Callable[[Publisher], httpx.Request]) -> None:
    request = make(own)
    with half_sent(own.portal, request):
        kill_workers(own.portal)
    answer = own.client.send(request)
    assert answer.is_success, answer.text


def test_a_key_is_claimed_for_all_portals_while_its_first_request_is_under_way(own: Publisher) -> None:
    settings = own.portal.store.settings.model_copy(update={"port": free_port()})
    second = Portal(replace(own.portal.store, settings=settings))  # as in an exchange of two releases
    request = form_with_key(own)
    with half_sent(own.portal, request):
        problem(own.client.send(request), 409, "IDEMPOTENCY_CONFLICT")
        second.start()
        try:
            request.url = request.url.copy_with(port=settings.port)
            problem(own.client.send(request), 409, "IDEMPOTENCY_CONFLICT")
            kill_workers(own.portal)
            assert own.client.send(request).status_code == 201
        finally:
            second.stop()


@pytest.mark.parametrize("make", [form, icon])
def test_the_next_start_removes_what_a_killed_portal_was_receiving(
    own: Publisher, make: Callable[[Publisher], httpx.Request]
) -> None:
    with half_sent(own.portal, make(own)):
        own.portal.stop(signal.SIGKILL)
    own.portal.start()
    assert temporary(own.portal) == []
    assert own.client.get(f"/api/apps/{own.app_id}/versions").json()["versions"] == []
    assert "which a crash left" in (own.portal.store.layout.root / "portal.log").read_text()


def test_a_portal_that_starts_beside_another_removes_nothing_of_its_requests(own: Publisher) -> None:
    request = form(own)
    settings = own.portal.store.settings.model_copy(update={"port": free_port()})
    second = Portal(replace(own.portal.store, settings=settings))
    with half_sent(own.portal, request) as connection:
        second.start()
        try:
            assert [path.name for path in temporary(own.portal) if path.is_file()] == ["package.mosis"]
        finally:
            second.stop()
        body = request.read()
        connection.sendall(body[len(body) // 2 :])
        assert connection.recv(65536).startswith(b"HTTP/1.1 201")
