"""Developers, tokens and keys, over real HTTP."""

import base64

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel

from portal.http import schemas
from portal.store import tokens
from tests.support.portal import Portal, Publisher, add_developer, problem, registration


def test_a_token_is_shown_once_and_its_secret_stored_nowhere(portal: Portal, admin_token: str) -> None:
    with portal.client(admin_token) as admin:
        assert admin.post("/api/developers", json={"developer_id": "shown", "name": "Shown"}).status_code == 201
        issued = admin.post("/api/developers/shown/tokens", json={"scope": "developer", "days": 3})
        assert issued.status_code == 201
        token = issued.json()["token"]
        assert token not in admin.get("/api/developers/shown/tokens").text
    secret = token.split("_", 2)[2].encode()
    data = portal.store.layout.area("data")
    assert not any(secret in path.read_bytes() for path in data.iterdir() if path.is_file())
    with portal.client(token) as client:
        assert client.get("/api/apps").status_code == 200


def test_a_token_describes_itself(portal: Portal, reviewer_token: str) -> None:
    with portal.client(reviewer_token) as reviewer, portal.client() as stranger:
        described = reviewer.get("/api/me").json()
        problem(stranger.get("/api/me"), 401, "UNAUTHENTICATED")
    assert described.items() >= {"developer_id": "reviewer", "scope": "reviewer", "revoked_at": None}.items()
    assert reviewer_token.split("_")[1] == described["token_id"]
    assert reviewer_token.split("_", 2)[2] not in str(described)


def test_revocation_is_effective_at_the_next_request(portal: Portal, admin_token: str) -> None:
    token = add_developer(portal.store, "revoked", key=None)
    with portal.client(token) as client, portal.client(admin_token) as admin:
        assert client.get("/api/apps").status_code == 200
        assert admin.delete(f"/api/developers/revoked/tokens/{token.split('_')[1]}").status_code == 204
        for _ in range(8):  # whichever worker answers
            problem(client.get("/api/apps"), 401, "UNAUTHENTICATED")
        problem(admin.delete("/api/developers/revoked/tokens/0000000000000000"), 404, "NOT_FOUND")


def test_an_expired_token_is_refused(portal: Portal) -> None:
    token = add_developer(portal.store, "expired", key=None)
    with portal.store.db.write() as tx:
        tx.execute("UPDATE tokens SET expires_at = created_at WHERE token_id = ?", (token.split("_")[1],))
    with portal.client(token) as client:
        problem(client.get("/api/apps"), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic eDp5", "Bearer mosis_0000000000000000_" + "a" * 43, "Bearer mosis_é"]
)
def test_whatever_is_no_token_is_refused(portal: Portal, header: str) -> None:
    answer = httpx.get(f"{portal.url}/api/apps", headers={"Authorization": header.encode()})
    problem(answer, 401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_scopes(portal: Portal, reviewer_token: str) -> None:
    token = add_developer(portal.store, "scoped", key=None)
    with portal.client(token) as developer, portal.client(reviewer_token) as reviewer:
        problem(developer.post("/api/developers", json={"developer_id": "a", "name": "A"}), 403, "FORBIDDEN")
        problem(developer.get("/api/review"), 403, "FORBIDDEN")
        problem(reviewer.post("/api/apps", json={"app_id": "org.example.r", "name": "R"}), 403, "FORBIDDEN")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"developer_id": "Upper", "name": "x"}', b'{"developer_id": "a", "name": ""}',
     b'{"developer_id": "a", "name": "x", "more": 1}', b'{"developer_id": "con", "name": "x"}', b"\xff"],
)  # fmt: skip
def test_a_body_that_does_not_fit_says_why(portal: Portal, admin_token: str, body: bytes) -> None:
    with portal.client(admin_token) as admin:
        answer = admin.post("/api/developers", content=body, headers={"Content-Type": "application/json"})
        assert problem(answer, 422, "VALIDATION_ERROR")["errors"]


@pytest.mark.parametrize(
    ("developer_id", "sentence"),
    [
        ("Upper", "Must be a lower-case slug: letters, digits and inner hyphens."),
        ("con", "`con` is a device name on Windows."),
    ],
)
def test_an_identifier_is_refused_in_words_for_people(
    developer_id: str, sentence: str, portal: Portal, admin_token: str
) -> None:
    with portal.client(admin_token) as admin:
        answer = admin.post("/api/developers", json={"developer_id": developer_id, "name": "A"})
    assert problem(answer, 422, "VALIDATION_ERROR")["errors"] == [f"developer_id: {sentence}"]


def test_each_pattern_of_a_body_has_words_for_people() -> None:
    models = [each for each in vars(schemas).values() if isinstance(each, type) and issubclass(each, BaseModel)]
    fields = [field for model in models for field in model.model_fields.values() if "pattern=" in repr(field.metadata)]
    assert fields
    assert all(field.description for field in fields)


def test_bodies_must_be_json_and_small(portal: Portal, admin_token: str) -> None:
    with portal.client(admin_token) as admin:
        problem(admin.post("/api/developers", data={"developer_id": "a"}), 415, "UNSUPPORTED_MEDIA_TYPE")
        problem(admin.post("/api/developers", json={"name": "x" * 100_000}), 413, "FILE_TOO_LARGE")


def test_keys_need_a_proof_for_this_very_developer(publisher: Publisher) -> None:
    keys = f"/api/developers/{publisher.developer_id}/keys"
    key = Ed25519PrivateKey.generate()
    problem(publisher.client.post(keys, json=registration("somebody-else", key)), 400, "INVALID_PROOF")
    good = registration(publisher.developer_id, key)
    short = good | {"public_key": base64.b64encode(bytes(31)).decode()}
    problem(publisher.client.post(keys, json=short), 400, "INVALID_KEY")
    assert publisher.client.post(keys, json=good).status_code == 201
    problem(publisher.client.post(keys, json=good), 409, "KEY_EXISTS")
    problem(publisher.client.post("/api/developers/other/keys", json=good), 404, "NOT_FOUND")


def test_a_wrong_token_is_never_found_by_its_id_alone(portal: Portal) -> None:
    token = add_developer(portal.store, "guessed", key=None)
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")
    assert tokens.authenticate(portal.store.db.read(), token) is not None
    assert tokens.authenticate(portal.store.db.read(), forged) is None


def test_a_disabled_developer_does_nothing_more(publisher: Publisher, admin_token: str) -> None:
    publisher.publish(1)
    publisher.upload(publisher.package(2)).raise_for_status()
    publisher.step(2, "submit").raise_for_status()
    opened = publisher.client.post(f"/api/apps/{publisher.app_id}/uploads", json={"size": 3}).json()
    developer = f"/api/developers/{publisher.developer_id}"
    key = registration(developer.rpartition("/")[2], Ed25519PrivateKey.generate())
    with publisher.portal.client(admin_token) as admin:
        assert developer.rpartition("/")[2] in str(admin.get("/api/developers").json())
        assert [app["app_id"] for app in admin.get(f"{developer}/apps").json()["apps"]] == [publisher.app_id]
        disabled = admin.request("DELETE", developer, json={"reason": "Left."}).raise_for_status().json()
        assert disabled["disabled_at"] is not None
        assert admin.delete(developer).json() == disabled
        for path, body in (("tokens", {"scope": "developer", "days": 1}), ("keys", key)):
            problem(admin.post(f"{developer}/{path}", json=body), 409, "DEVELOPER_DISABLED")
    for _ in range(8):  # whichever worker answers
        problem(publisher.client.get("/api/me"), 401, "UNAUTHENTICATED")
    problem(httpx.put(publisher.portal.url + opened["url"], content=b"abc"), 404, "NOT_FOUND")
    problem(publisher.step(2, "publish"), 409, "UNTRUSTED_KEY")
    assert httpx.get(f"{publisher.portal.url}/api/store/apps/{publisher.app_id}").status_code == 200


def test_an_administrator_does_not_disable_itself(portal: Portal, admin_token: str) -> None:
    with portal.client(admin_token) as admin:
        problem(admin.delete("/api/developers/admin"), 403, "FORBIDDEN")
        problem(admin.delete("/api/developers/nobody"), 404, "NOT_FOUND")
        assert admin.get("/api/me").status_code == 200


def test_a_developer_sees_the_apps_of_no_other(publisher: Publisher, portal: Portal) -> None:
    token = add_developer(portal.store, f"{publisher.developer_id}-curious", key=None)
    with portal.client(token) as curious:
        problem(curious.get(f"/api/developers/{publisher.developer_id}/apps"), 404, "NOT_FOUND")
        problem(curious.get("/api/developers"), 403, "FORBIDDEN")
        problem(curious.delete(f"/api/developers/{publisher.developer_id}"), 403, "FORBIDDEN")
