"""Idempotency-Key over real HTTP."""

import hashlib
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from portal.http import idempotency
from tests.support.portal import Portal, Publisher, problem

KEY = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


def add_app(publisher: Publisher, name: str = "Again", **headers: str) -> httpx.Response:
    body = {"app_id": f"{publisher.app_id}.again", "name": name}
    return publisher.client.post("/api/apps", json=body, headers=KEY | headers)


def number_of_apps(publisher: Publisher) -> int:
    return len(publisher.client.get("/api/apps").json()["apps"])


def test_a_repeated_request_creates_nothing_and_has_the_first_answer(publisher: Publisher) -> None:
    first, second = add_app(publisher), add_app(publisher)
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert first.headers["Content-Type"] == second.headers["Content-Type"]
    problem(add_app(publisher, **{"Idempotency-Key": "another"}), 409, "APP_EXISTS")


def test_a_key_belongs_to_one_body(publisher: Publisher) -> None:
    add_app(publisher)
    problem(add_app(publisher, name="Other"), 422, "IDEMPOTENCY_MISMATCH")


def test_a_key_belongs_to_one_token_and_route(publisher: Publisher, admin_token: str) -> None:
    add_app(publisher)
    path = f"/api/apps/{publisher.app_id}/uploads"
    assert publisher.client.post(path, json={"size": 10}, headers=KEY).status_code == 201
    with publisher.portal.client(admin_token) as admin:
        body = {"app_id": f"{publisher.app_id}.again", "name": "Again"}
        problem(admin.post("/api/apps", json=body, headers=KEY), 409, "APP_EXISTS")


def test_a_refused_request_may_be_tried_again(publisher: Publisher) -> None:
    problem(add_app(publisher, name=""), 422, "VALIDATION_ERROR")
    assert add_app(publisher).status_code == 201


@pytest.mark.parametrize("key", ["", "a b", '"', "x" * 256])
def test_a_key_has_a_form(publisher: Publisher, key: str) -> None:
    problem(add_app(publisher, **{"Idempotency-Key": key}), 400, "INVALID_REQUEST")


def test_an_answer_is_kept_for_a_day(publisher: Publisher) -> None:
    add_app(publisher)
    with publisher.portal.store.db.write() as tx:
        tx.execute("UPDATE idempotency SET at = at - ?", (idempotency.KEPT_SECONDS - 60,))
    assert add_app(publisher).status_code == 201
    with publisher.portal.store.db.write() as tx:
        tx.execute("UPDATE idempotency SET at = at - 60")
    problem(add_app(publisher), 409, "APP_EXISTS")


def test_a_claim_of_an_older_release_that_nobody_answered_is_void(publisher: Publisher) -> None:
    add_app(publisher)
    with publisher.portal.store.db.write() as tx:
        tx.execute("UPDATE idempotency SET status = NULL")
    problem(add_app(publisher), 409, "APP_EXISTS")


def test_at_once_they_create_one(publisher: Publisher) -> None:
    def issue(_: int) -> httpx.Response:
        headers = {"Authorization": publisher.client.headers["Authorization"]} | KEY
        return httpx.post(
            f"{publisher.portal.url}/api/apps/{publisher.app_id}/uploads", json={"size": 10}, headers=headers
        )  # fmt: skip

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(issue, range(8)))
    created = {answer.json()["upload_id"] for answer in answers if answer.status_code == 201}
    assert len(created) == 1
    for answer in answers:
        if answer.status_code != 201:
            problem(answer, 409, "IDEMPOTENCY_CONFLICT")


def send_form(publisher: Publisher, path: Path, boundary: str) -> httpx.Response:
    with path.open("rb") as file:
        return publisher.client.post(
            f"/api/apps/{publisher.app_id}/versions",
            files={"package": file},
            headers=KEY | {"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )


def test_a_package_sent_again_in_another_form_is_the_same(publisher: Publisher) -> None:
    path = publisher.package(1, payload_bytes=600_000)
    first, second = send_form(publisher, path, "one"), send_form(publisher, path, "another-longer-boundary")
    assert first.status_code == second.status_code == 201, second.text
    assert first.json() == second.json()
    publisher.package(2, payload_bytes=600_000).rename(path)
    problem(send_form(publisher, path, "one"), 422, "IDEMPOTENCY_MISMATCH")


def test_a_tus_creation_is_told_by_its_headers(publisher: Publisher) -> None:
    def create(size: int) -> httpx.Response:
        headers = KEY | {"Tus-Resumable": "1.0.0", "Upload-Length": str(size)}
        return publisher.client.post(f"/api/apps/{publisher.app_id}/uploads", headers=headers)

    first, second = create(10), create(10)
    assert first.headers["Location"] == second.headers["Location"]
    assert second.headers["Tus-Resumable"] == "1.0.0"
    problem(create(11), 422, "IDEMPOTENCY_MISMATCH")


def test_no_secret_is_kept(portal: Portal, admin_token: str, publisher: Publisher) -> None:
    with portal.client(admin_token) as admin:
        path = f"/api/developers/{publisher.developer_id}/tokens"
        tokens = {admin.post(path, json={"scope": "developer", "days": 1}, headers=KEY).json()["token"] for _ in "ab"}
    assert len(tokens) == 2
    kept = portal.store.db.read().execute("SELECT body FROM idempotency WHERE target = ?", (path,)).fetchall()
    assert kept == []


def test_a_repeated_body_is_checked_against_its_digest(publisher: Publisher) -> None:
    wrong = {"Content-Digest": f"sha-256=:{b64encode(hashlib.sha256(b'').digest()).decode()}:"}
    add_app(publisher)
    problem(add_app(publisher, **wrong), 422, "DIGEST_MISMATCH")
