"""How an app passes to another signing key, over real HTTP."""

import base64

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.packages import signature
from portal.store import key_changes
from tests.support.portal import Publisher, add_developer, problem, registration

DAY = 86400


def key_id(key: Ed25519PrivateKey) -> str:
    return signature.key_id(signature.raw_public_key(key))


def register(publisher: Publisher) -> Ed25519PrivateKey:
    """A second key of the developer."""
    key = Ed25519PrivateKey.generate()
    keys = f"/api/developers/{publisher.developer_id}/keys"
    publisher.client.post(keys, json=registration(publisher.developer_id, key)).raise_for_status()
    return key


def rotation(app_id: str, old: Ed25519PrivateKey, new: Ed25519PrivateKey, from_version_code: int) -> dict:
    """The body that hands the app over."""
    statement = signature.rotation_statement(app_id, key_id(old), key_id(new), from_version_code)
    return {
        "new_key_id": key_id(new),
        "from_version_code": from_version_code,
        "old_signature": signature.sign(old, statement),
        "new_signature": signature.sign(new, statement),
    }


def rotate(publisher: Publisher, old: Ed25519PrivateKey, new: Ed25519PrivateKey, code: int) -> httpx.Response:
    body = rotation(publisher.app_id, old, new, code)
    return publisher.client.post(f"/api/apps/{publisher.app_id}/key-rotations", json=body)


def recover(publisher: Publisher, new: Ed25519PrivateKey, reason: str = "The disk died.") -> httpx.Response:
    body = {"new_key_id": key_id(new), "reason": reason}
    return publisher.reviewer.post(f"/api/apps/{publisher.app_id}/key-recoveries", json=body)


def signing(publisher: Publisher) -> dict:
    """What the store tells everyone; the developer is told the same."""
    public = httpx.get(f"{publisher.portal.url}/api/store/apps/{publisher.app_id}").raise_for_status().json()["signing"]
    [own] = publisher.client.get("/api/apps").json()["apps"]
    assert own["signing"] == public
    return public


def upload_reasons(publisher: Publisher, code: int, key: Ed25519PrivateKey) -> list[str]:
    answer = publisher.upload(publisher.package(code, key=key))
    return problem(answer, 422, "VALIDATION_ERROR")["errors"]


def wait_a_week(publisher: Publisher) -> None:
    with publisher.portal.store.db.write() as tx:
        tx.execute(
            "UPDATE app_keys SET effective_at = effective_at - ? WHERE kind = 'recovery' AND app_id = ?",
            (key_changes.RECOVERY_SECONDS, publisher.app_id),
        )


def test_a_rotation_holds_from_its_version_code_on(publisher: Publisher) -> None:
    publisher.publish(1)
    new = register(publisher)
    changed = rotate(publisher, publisher.key, new, 10)
    assert changed.status_code == 201, changed.text
    assert f"key {key_id(new)} (by rotation" in upload_reasons(publisher, 10, publisher.key)[0]
    assert f"key {key_id(publisher.key)} (pinned" in upload_reasons(publisher, 9, new)[0]
    publisher.publish(9)
    publisher.publish(10, key=new)
    publisher.publish(11, key=new)
    assert [(k["kind"], k["key_id"], k["from_version_code"]) for k in signing(publisher)["keys"]] == [
        ("pin", key_id(publisher.key), 1),
        ("rotation", key_id(new), 10),
    ]


def test_anyone_can_verify_a_rotation(publisher: Publisher) -> None:
    publisher.publish(1)
    new = register(publisher)
    rotate(publisher, publisher.key, new, 2).raise_for_status()
    before, change = signing(publisher)["keys"]
    statement = signature.rotation_statement(
        publisher.app_id, before["key_id"], change["key_id"], change["from_version_code"]
    )
    for key, text in ((before, change["old_signature"]), (change, change["new_signature"])):
        public = base64.b64decode(key["public_key"])
        assert signature.key_id(public) == key["key_id"]
        signature.verify(public, text, statement)


def test_a_draft_of_the_old_key_is_not_published_after_a_rotation(publisher: Publisher) -> None:
    publisher.publish(1)
    publisher.upload(publisher.package(2)).raise_for_status()
    publisher.step(2, "submit").raise_for_status()
    new = register(publisher)
    rotate(publisher, publisher.key, new, 2).raise_for_status()
    assert key_id(new) in problem(publisher.step(2, "publish"), 409, "UNTRUSTED_KEY")["detail"]


def test_rotations_follow_each_other(publisher: Publisher) -> None:
    publisher.publish(1)
    second, third = register(publisher), register(publisher)
    rotate(publisher, publisher.key, second, 10).raise_for_status()
    problem(rotate(publisher, second, third, 9), 409, "VERSION_CONFLICT")
    problem(rotate(publisher, publisher.key, third, 20), 400, "INVALID_PROOF")
    rotate(publisher, second, third, 20).raise_for_status()
    for code, key in ((5, publisher.key), (15, second), (20, third)):
        publisher.publish(code, key=key)


def test_each_signature_of_a_rotation_is_checked(publisher: Publisher) -> None:
    publisher.publish(1)
    new = register(publisher)
    url, good = f"/api/apps/{publisher.app_id}/key-rotations", rotation(publisher.app_id, publisher.key, new, 5)
    other_app = rotation("org.example.other", publisher.key, new, 5)
    for changes, faults in (
        ({"old_signature": other_app["old_signature"]}, ["old_signature"]),
        ({"new_signature": good["old_signature"]}, ["new_signature"]),
        ({"from_version_code": 6}, ["old_signature", "new_signature"]),
        ({"old_signature": "", "new_signature": "no base64"}, ["old_signature", "new_signature"]),
    ):
        body = problem(publisher.client.post(url, json=good | changes), 400, "INVALID_PROOF")
        assert [error.partition(" ")[0] for error in body["errors"]] == faults
    assert len(signing(publisher)["keys"]) == 1


def test_what_a_rotation_cannot_be(publisher: Publisher) -> None:
    new = register(publisher)
    assert "first publish" in problem(rotate(publisher, publisher.key, new, 1), 409, "KEY_CONFLICT")["detail"]
    publisher.publish(3)
    problem(rotate(publisher, publisher.key, new, 3), 409, "VERSION_CONFLICT")
    last = problem(rotate(publisher, publisher.key, new, 2**53 - 1), 409, "VERSION_CONFLICT")
    assert "no later rotation" in last["detail"]
    problem(rotate(publisher, publisher.key, publisher.key, 4), 409, "KEY_CONFLICT")
    unknown = Ed25519PrivateKey.generate()
    assert "not registered." in problem(rotate(publisher, publisher.key, unknown, 4), 409, "UNTRUSTED_KEY")["detail"]
    publisher.client.delete(f"/api/developers/{publisher.developer_id}/keys/{key_id(publisher.key)}").raise_for_status()
    assert "revoked" in problem(rotate(publisher, publisher.key, new, 4), 409, "UNTRUSTED_KEY")["detail"]
    problem(publisher.reviewer.post(f"/api/apps/{publisher.app_id}/key-rotations", json={}), 403, "FORBIDDEN")


def test_devices_see_that_a_key_was_revoked(publisher: Publisher) -> None:
    """What it signed before stays: it was reviewed, and nothing new is signed with it."""
    publisher.publish(1)
    assert [key["revoked_at"] for key in signing(publisher)["keys"]] == [None]
    publisher.client.delete(f"/api/developers/{publisher.developer_id}/keys/{key_id(publisher.key)}").raise_for_status()
    assert [bool(key["revoked_at"]) for key in signing(publisher)["keys"]] == [True]
    path = f"/api/store/apps/{publisher.app_id}/download"
    httpx.get(publisher.portal.url + path).raise_for_status()


def test_each_untrusted_key_has_its_own_reason(publisher: Publisher) -> None:
    publisher.publish(1)
    revoked, registered = register(publisher), register(publisher)
    unknown, foreign = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    add_developer(publisher.portal.store, f"{publisher.developer_id}-other", key=foreign)
    publisher.client.delete(f"/api/developers/{publisher.developer_id}/keys/{key_id(revoked)}").raise_for_status()
    reasons = {
        name: upload_reasons(publisher, 2, key)[0].replace(key_id(key), "KEY")
        for name, key in (
            ("unknown", unknown), ("foreign", foreign), ("revoked", revoked), ("registered", registered)
        )
    }  # fmt: skip
    assert reasons == {
        "unknown": "Key KEY is not registered.",
        "foreign": f"Key KEY is registered for another developer, not for {publisher.developer_id}.",
        "revoked": "Key KEY is revoked.",
        "registered": f"Version 2 of {publisher.app_id} must be signed with key {key_id(publisher.key)}"
        " (pinned by the first publish), not KEY.",
    }


def test_a_recovery_is_announced_for_a_week_and_then_holds(publisher: Publisher) -> None:
    publisher.publish(1)
    new = register(publisher)
    announced = recover(publisher, new)
    assert announced.status_code == 201, announced.text
    pending = signing(publisher)["pending_recovery"]
    assert pending == announced.json()
    assert (pending["key_id"], pending["reason"]) == (key_id(new), "The disk died.")
    with publisher.portal.store.db.write() as tx:
        row = tx.execute("SELECT * FROM app_keys WHERE number = ?", (pending["number"],)).fetchone()
    assert row["effective_at"] - row["created_at"] == 7 * DAY
    upload_reasons(publisher, 2, new)
    publisher.publish(2)
    wait_a_week(publisher)
    assert "(by recovery)" in upload_reasons(publisher, 3, publisher.key)[0]
    publisher.publish(3, key=new)
    now = signing(publisher)
    assert now["pending_recovery"] is None
    assert [key["kind"] for key in now["keys"]] == ["pin", "recovery"]
    problem(cancel(publisher.client, publisher, pending["number"]), 404, "NOT_FOUND")


def cancel(client: httpx.Client, publisher: Publisher, number: int) -> httpx.Response:
    return client.delete(f"/api/apps/{publisher.app_id}/key-recoveries/{number}")


@pytest.mark.parametrize("by", ["owner", "reviewer"])
def test_a_recovery_is_cancelled_by_owner_or_reviewer(publisher: Publisher, by: str) -> None:
    publisher.publish(1)
    new = register(publisher)
    number = recover(publisher, new).raise_for_status().json()["number"]
    stranger = add_developer(publisher.portal.store, f"{publisher.developer_id}-stranger", key=None)
    with publisher.portal.client(stranger) as client:
        problem(cancel(client, publisher, number), 404, "NOT_FOUND")
    problem(cancel(publisher.client, publisher, number + 1), 404, "NOT_FOUND")
    client = publisher.client if by == "owner" else publisher.reviewer
    assert cancel(client, publisher, number).status_code == 204
    problem(cancel(client, publisher, number), 404, "NOT_FOUND")
    wait_a_week(publisher)
    assert signing(publisher)["pending_recovery"] is None
    publisher.publish(2)


def test_one_change_at_a_time(publisher: Publisher) -> None:
    new, other = register(publisher), register(publisher)
    problem(recover(publisher, new), 409, "KEY_CONFLICT")
    publisher.publish(1)
    problem(recover(publisher, publisher.key), 409, "KEY_CONFLICT")
    problem(recover(publisher, Ed25519PrivateKey.generate()), 409, "UNTRUSTED_KEY")
    recover(publisher, new).raise_for_status()
    problem(recover(publisher, other), 409, "KEY_CONFLICT")
    problem(rotate(publisher, publisher.key, other, 2), 409, "KEY_CONFLICT")


def test_a_recovery_overrides_a_rotation_to_a_lost_key(publisher: Publisher) -> None:
    publisher.publish(1)
    lost, found = register(publisher), register(publisher)
    rotate(publisher, publisher.key, lost, 10).raise_for_status()
    recover(publisher, found).raise_for_status()
    wait_a_week(publisher)
    for code in (5, 10):
        publisher.publish(code, key=found)
        upload_reasons(publisher, code + 1, lost)


def test_developers_do_not_recover(publisher: Publisher) -> None:
    publisher.publish(1)
    body = {"new_key_id": key_id(register(publisher)), "reason": "mine now"}
    answer = publisher.client.post(f"/api/apps/{publisher.app_id}/key-recoveries", json=body)
    problem(answer, 403, "FORBIDDEN")
