"""`mosis key`: keys on this machine and in the store."""

import json
from pathlib import Path

from portal.packages import keys
from tests.support.developer_machine import Machine
from tests.support.portal import Publisher, add_developer, mosis, problem


def test_what_is_printed_offline_is_what_the_store_takes(publisher: Publisher, tmp_path: Path) -> None:
    machine, app = Machine.at(tmp_path / "machine"), publisher.app_id
    for name in ("old", "new"):
        machine.done("key", "generate", f"{name}.pem", "--offline")
        proof = machine.done("key", "proof", f"{name}.pem", "--developer", publisher.developer_id)
        registered = publisher.client.post(f"/api/developers/{publisher.developer_id}/keys", json=json.loads(proof))
        assert registered.status_code == 201, registered.text
    old, new = machine.work / "old.pem", machine.work / "new.pem"
    publisher.publish(1, key=keys.load(old))
    body = json.loads(machine.done("key", "rotate", old, new, "--app", app, "--from-version-code", "7", "--offline"))
    rotations = f"/api/apps/{app}/key-rotations"
    problem(publisher.client.post(rotations, json=body | {"from_version_code": 8}), 400, "INVALID_PROOF")
    assert publisher.client.post(rotations, json=body).status_code == 201
    publisher.publish(7, key=keys.load(new))


def test_a_key_is_made_and_registered_in_one_step(publisher: Publisher, tmp_path: Path) -> None:
    store, developer = publisher.portal.store, f"keys-of-{publisher.developer_id}"
    token = add_developer(store, developer, key=None)
    machine = Machine.at(tmp_path / "machine", MOSIS_URL=publisher.portal.url, MOSIS_TOKEN=token)
    machine.done("key", "generate")
    [listed] = machine.done("key", "list").splitlines()
    key_id, state = listed.split("\t")
    assert state == "valid" and mosis(store, "developer", "keys", developer).stdout == f"{listed}\n"
    assert machine.done("key", "register").startswith(f"already registered: key {key_id}")
    assert machine.failed(1, "key", "generate") == (
        f"{machine.config}/key.pem exists already, and only the key in it can sign updates: name another file.\n"
    )
    assert (machine.config / "key.pem").stat().st_mode & 0o077 == 0
    machine.done("key", "revoke", key_id)
    assert machine.done("key", "list") == f"{key_id}\trevoked\n"
    assert f"Key {key_id} was revoked" in machine.failed(1, "key", "register")


def test_an_app_passes_from_one_key_to_another(publisher: Publisher, tmp_path: Path) -> None:
    token = publisher.client.headers["authorization"].removeprefix("Bearer ")
    machine = Machine.at(tmp_path / "machine", MOSIS_URL=publisher.portal.url, MOSIS_TOKEN=token)
    machine.done("key", "generate", "old.pem")
    machine.done("key", "generate", "new.pem", "--offline")
    publisher.publish(1, key=keys.load(machine.work / "old.pem"))
    machine.done("key", "rotate", "old.pem", "new.pem", "--app", publisher.app_id, "--from-version-code", "2")
    publisher.publish(2, key=keys.load(machine.work / "new.pem"))


def test_a_key_file_that_others_can_read_signs_nothing(tmp_path: Path) -> None:
    machine = Machine.at(tmp_path / "machine")
    for name in ("old.pem", "new.pem"):
        machine.done("key", "generate", name, "--offline")
    (machine.work / "new.pem").chmod(0o644)
    words = ("key", "rotate", "old.pem", "new.pem", "--app", "org.example.a", "--from-version-code", "2", "--offline")
    assert "chmod 600" in machine.failed(1, *words)
