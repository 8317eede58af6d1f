"""`mosis key`: what it prints is what the store takes."""

import json
from pathlib import Path

from portal.packages import keys
from tests.support.portal import Publisher, mosis, problem


def test_register_and_rotate_with_what_the_commands_print(publisher: Publisher, tmp_path: Path) -> None:
    store, app = publisher.portal.store, publisher.app_id
    for name in ("old", "new"):
        path = tmp_path / f"{name}.pem"
        assert mosis(store, "key", "generate", str(path)).returncode == 0
        proof = mosis(store, "key", "proof", str(path), "--developer", publisher.developer_id)
        registered = publisher.client.post(
            f"/api/developers/{publisher.developer_id}/keys", json=json.loads(proof.stdout)
        )
        assert registered.status_code == 201, registered.text
    publisher.publish(1, key=keys.load(tmp_path / "old.pem"))
    ran = mosis(store, "key", "rotate", str(tmp_path / "old.pem"), str(tmp_path / "new.pem"), "--app", app,
                "--from-version-code", "7")  # fmt: skip
    rotations = f"/api/apps/{app}/key-rotations"
    body = json.loads(ran.stdout)
    problem(publisher.client.post(rotations, json=body | {"from_version_code": 8}), 400, "INVALID_PROOF")
    assert publisher.client.post(rotations, json=body).status_code == 201
    publisher.publish(7, key=keys.load(tmp_path / "new.pem"))


def test_a_key_file_that_others_can_read_signs_nothing(publisher: Publisher, tmp_path: Path) -> None:
    old, new = tmp_path / "old.pem", tmp_path / "new.pem"
    for path in (old, new):
        keys.generate(path)
    new.chmod(0o644)
    ran = mosis(publisher.portal.store, "key", "rotate", str(old), str(new), "--app", "org.example.a",
                "--from-version-code", "2")  # fmt: skip
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "chmod 600" in ran.stderr
