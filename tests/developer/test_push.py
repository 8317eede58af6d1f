"""`mosis push` to a real store behind nginx."""

import json
import os
import re
from pathlib import Path

import pytest

from portal.store import quotas
from tests.developer.conftest import Developer, Front
from tests.developer.test_credentials import on_a_terminal
from tests.packages.samples import make_package
from tests.support.portal import add_developer

REJECTED = (
    "{} 1 was rejected: It does not start. Change the files and push again, or push with --bump."
    " If no file was at fault, delete the version in the console first.\n"
)


def test_a_first_app_takes_three_commands_and_an_update_one(developer: Developer, front: Front) -> None:
    app_id = f"org.example.{developer.developer_id}"
    developer.done("login", front.url, typed=f"{developer.token}\n")
    developer.done("init", "--id", app_id)
    pushed = developer.done("push", "--submit")
    assert pushed == f"{app_id} 1.0.0 (1): in review at {front.url}\n"
    front.review(app_id, 1, "publish")
    developer.done("push", "--bump", "minor", "--submit")
    front.review(app_id, 2, "publish")
    assert developer.done("apps").split("\t")[:2] == [app_id, "2"]
    versions = json.loads(developer.done("versions", app_id, "--json"))
    assert {(v["version_code"], v["version"], v["status"]) for v in versions} == {
        (1, "1.0.0", "published"), (2, "1.1.0", "published"),
    }  # fmt: skip


def test_a_push_of_the_same_bytes_again_only_submits(developer: Developer) -> None:
    developer.sign_in()
    app = developer.app(developer.developer_id)
    first = json.loads(developer.done("push", app, "--json"))
    again = json.loads(developer.done("push", app, "--json", "--submit"))
    assert (first["status"], again["status"], again["sha256"]) == ("draft", "in_review", first["sha256"])
    assert json.loads(developer.done("push", app, "--json", "--submit"))["status"] == "in_review"


def test_what_the_store_would_refuse_is_said_before_the_upload(developer: Developer, front: Front) -> None:
    developer.sign_in()
    app, app_id = developer.app(developer.developer_id), f"org.example.{developer.developer_id}"
    developer.done("push", app, "--submit")
    (app / "payload.bin").write_bytes(b"changed")
    assert developer.failed(1, "push", app) == (
        f"{app_id} has a version 1 already, which is in review: raise version_code to 2, withdraw it with"
        f" `mosis review withdraw {app_id} 1`, or push with --bump.\n"
    )
    front.review(app_id, 1, "publish")
    developer.done("key", "generate", "other.pem")
    refused = developer.failed(1, "push", app, "--bump", "patch", "--key", "other.pem")
    assert f"Version 2 of {app_id} must be signed with key " in refused
    big = developer.app("big", payload=os.urandom(52 * 1024 * 1024), id=app_id, version_code=3)
    assert "52428800" in developer.failed(1, "push", big)
    assert len(json.loads(developer.done("versions", app_id, "--json"))) == 1
    developer.done("key", "revoke", re.findall(r"with key (\w+), not", refused)[0])
    refused = developer.failed(1, "push", app, "--bump", "patch", "--key", "other.pem")
    assert "which is revoked: ask a reviewer to announce the recovery" in refused
    other = json.loads(developer.done("key", "show", "other.pem", "--json"))["key_id"]
    front.post(f"{app_id}/key-recoveries", new_key_id=other, reason="Lost.")
    refused = developer.failed(1, "push", app, "--bump", "patch", "--key", "other.pem")
    assert "when the recovery takes effect: push again then" in refused


def test_a_draft_and_a_rejected_version_are_replaced(developer: Developer, front: Front) -> None:
    developer.sign_in()
    app, app_id = developer.app(developer.developer_id), f"org.example.{developer.developer_id}"
    developer.done("push", app)
    for content in (b"second", b"third"):
        (app / "payload.bin").write_bytes(content)
        pushed = json.loads(developer.done("push", app, "--json", "--submit"))
        assert (pushed["version_code"], pushed["status"]) == (1, "in_review")
        front.review(app_id, 1, "reject", reason="It does not start.")


@pytest.mark.parametrize("words", [(), ("--submit",), ("--wait",), ("--submit", "--json"), ("--dry-run",)])
def test_the_bytes_that_were_rejected_are_no_success(
    developer: Developer, front: Front, words: tuple[str, ...]
) -> None:
    developer.sign_in()
    app, app_id = developer.app(developer.developer_id), f"org.example.{developer.developer_id}"
    developer.done("push", app, "--submit")
    front.review(app_id, 1, "reject", reason="It does not start.")
    ran = developer.mosis("push", app, *words)
    assert (ran.returncode, ran.stdout, ran.stderr) == (3, "", REJECTED.format(app_id))
    assert developer.done("push", app, "--bump", "patch", "--submit").startswith(f"{app_id} 1.0.1 (2): in review at ")


def test_the_bytes_that_are_published_already_are_said_to_be(developer: Developer, front: Front) -> None:
    developer.sign_in()
    app, app_id = developer.app(developer.developer_id), f"org.example.{developer.developer_id}"
    developer.done("push", app, "--submit")
    front.review(app_id, 1, "publish")
    again = developer.mosis("push", app, "--submit")
    assert (again.returncode, again.stdout) == (0, f"{app_id} 1.0.0 (1): published at {front.url}\n")
    assert again.stderr == (
        "This package is already published; nothing to upload. If it should be a new version, push with --bump.\n"
    )
    front.review(app_id, 1, "yank", reason="It loses files.")
    assert developer.failed(3, "push", app, "--submit") == (
        f"{app_id} 1 was withdrawn from the store: It loses files. Push a new version with --bump.\n"
    )


def test_a_dry_run_changes_nothing(developer: Developer, front: Front) -> None:
    developer.sign_in()
    app = developer.app(developer.developer_id)
    manifest = (app / "manifest.json").read_bytes()
    said = json.loads(developer.done("push", app, "--dry-run", "--submit", "--json"))
    assert said["status"] == "would be pushed"
    assert not (developer.config / "key.pem").exists()
    assert (developer.done("apps"), developer.done("key", "list")) == ("", "")
    developer.done("push", app)
    (app / "payload.bin").write_bytes(b"changed")
    assert developer.done("push", app, "--dry-run", "--bump", "patch").endswith(
        f"1.0.1 (2): would be pushed at {developer.url}\n"
    )
    assert (app / "manifest.json").read_bytes() == manifest


@pytest.mark.parametrize(("quota", "named"), [("bytes", "The quota of 0 B"), ("unpublished", "that are not published")])
def test_a_dry_run_sees_that_a_quota_is_reached(developer: Developer, front: Front, quota: str, named: str) -> None:
    developer.sign_in()
    app = developer.app(developer.developer_id)
    with front.portal.store.db.write() as tx:
        quotas.change(tx, developer.developer_id, {quota: 0})
    assert named in developer.failed(1, "push", app, "--dry-run")


@pytest.mark.parametrize(("action", "status"), [("publish", 0), ("reject", 3)])
def test_waiting_for_the_review(developer: Developer, front: Front, action: str, status: int) -> None:
    """The review has ended already when the command looks."""
    developer.sign_in()
    app, app_id = developer.app(developer.developer_id), f"org.example.{developer.developer_id}"
    developer.done("push", app, "--submit")
    front.review(app_id, 1, action, reason="It does not start.")
    ran = developer.mosis("push", app, "--wait")
    assert ran.returncode == status, ran.stderr
    if status:
        assert ran.stderr == REJECTED.format(app_id)
        assert "rejected" in developer.done("review", "show", app_id)


def test_on_a_machine_of_a_ci_service(developer: Developer, front: Front) -> None:
    """Token, key and URL come from the environment; nothing is kept, and no key is made."""
    developer.done("key", "generate", "release.pem", "--offline")
    app = developer.app(developer.developer_id)
    environment = {"MOSIS_URL": front.url, "MOSIS_TOKEN": developer.token}
    assert "name its file with --key or MOSIS_KEY" in developer.failed(1, "push", app, **environment)
    environment["MOSIS_KEY"] = str(developer.work / "release.pem")
    for words in ((), ("--dry-run",)):
        assert "is not registered: run `mosis key register" in developer.failed(1, "push", app, *words, **environment)
    assert developer.done("key", "list", **environment) == developer.done("apps", **environment) == ""
    assert json.loads(developer.done("push", app, "--json", "--register-key", **environment))["status"] == "draft"
    (app / "payload.bin").write_bytes(b"changed")
    environment["MOSIS_KEY"] = (developer.work / "release.pem").read_text()
    assert json.loads(developer.done("push", app, "--bump", "patch", "--json", **environment))["version_code"] == 2
    assert not developer.config.exists()


def test_a_token_of_one_app_pushes_that_app_alone(developer: Developer, front: Front) -> None:
    developer.sign_in()
    app, app_id = developer.app(developer.developer_id), f"org.example.{developer.developer_id}"
    developer.done("push", app)
    with front.portal.client(developer.token) as client:
        bound = client.post("/api/me/tokens", json={"app_id": app_id, "days": 1}).json()["token"]
    environment = {"MOSIS_TOKEN": bound, "MOSIS_KEY": str(developer.config / "key.pem")}
    (app / "payload.bin").write_bytes(b"changed")
    developer.done("push", app, "--bump", "patch", **environment)
    assert "bound to" in developer.failed(4, "push", developer.app("other"), **environment)
    developer.done("key", "generate", "new.pem", "--offline")
    (app / "payload.bin").write_bytes(b"changed again")
    said = developer.failed(1, "push", app, "--bump", "patch", "--key", "new.pem", "--register-key", **environment)
    assert "a token of one app registers none" in said


def test_a_package_that_is_signed_is_pushed_as_it_is(developer: Developer) -> None:
    developer.sign_in()
    developer.done("key", "generate")
    app = developer.app(developer.developer_id)
    developer.done("pack", app, "app.mosis")
    developer.done("sign", "app.mosis", "--key", developer.config / "key.pem")
    content = (developer.work / "app.mosis").read_bytes()
    developer.done("push", "app.mosis")
    assert (developer.work / "app.mosis").read_bytes() == content
    make_package(developer.work / "foreign.mosis", app_id="org.example.foreign")
    assert "which is not registered" in developer.failed(1, "push", "foreign.mosis")


def test_an_app_of_another_developer_is_not_taken(developer: Developer, front: Front, tmp_path: Path) -> None:
    developer.sign_in()
    app = developer.app(developer.developer_id)
    developer.done("push", app)
    other = Developer.at(tmp_path / "other", MOSIS_URL=front.url)
    token = add_developer(front.portal.store, f"{developer.developer_id}-other", key=None)
    other.done("login", typed=token)
    assert "choose another id in manifest.json" in other.failed(1, "push", app)
    assert other.done("key", "list") == "", "a key was registered for an app that could not be pushed"


@pytest.mark.parametrize("status", ["draft", "published", "yanked"])
def test_a_dry_run_sees_an_app_that_another_developer_has(
    developer: Developer, front: Front, tmp_path: Path, status: str
) -> None:
    developer.sign_in()
    app, app_id = developer.app(developer.developer_id), f"org.example.{developer.developer_id}"
    developer.done("push", app, *(["--submit"] if status != "draft" else []))
    if status != "draft":
        front.review(app_id, 1, "publish")
    if status == "yanked":
        front.review(app_id, 1, "yank", reason="It loses files.")
    other = Developer.at(tmp_path / "other", MOSIS_URL=front.url)
    other.done("login", typed=add_developer(front.portal.store, f"{developer.developer_id}-other", key=None))
    assert "choose another id in manifest.json" in other.failed(1, "push", app, "--dry-run")


def test_a_review_by_the_commands_of_a_reviewer(developer: Developer, front: Front) -> None:
    developer.sign_in()
    app, app_id = developer.app(developer.developer_id), f"org.example.{developer.developer_id}"
    developer.done("push", app, "--submit")
    reviewer = {"MOSIS_TOKEN": front.reviewer}
    assert f"{app_id}\t1\t1.0.0\t" in developer.done("review", "list", **reviewer)
    assert developer.done("review", "withdraw", app_id, "1") == f"{app_id} 1.0.0 (1): draft at {front.url}\n"
    developer.done("push", app, "--submit")
    *_, seen = developer.done("review", "list", **reviewer).strip().split("\t")
    assert "was uploaded anew" in developer.failed(
        1, "review", "approve", app_id, "1", "--sha256", "0" * 64, **reviewer
    )
    approved = developer.done("review", "approve", app_id, "1", "--sha256", seen, **reviewer)
    assert approved == f"{app_id} 1.0.0 (1): published at {front.url}\n"
    yanked = developer.done("yank", app_id, "1", "--reason", "It loses files.")
    assert yanked == f"{app_id} 1.0.0 (1): yanked at {front.url}\n"
    assert "published" in developer.done("yank", app_id, "1", "--undo")
    (app / "payload.bin").write_bytes(b"changed")
    developer.done("push", app, "--bump", "patch", "--submit")
    rejected = developer.done("review", "reject", app_id, "2", "--reason", "Bad.", **reviewer)
    assert rejected == f"{app_id} 1.0.1 (2): rejected at {front.url}\n"
    assert "Bad." in developer.done("review", "show", app_id)


def test_on_a_terminal_a_named_key_is_registered_after_a_question(developer: Developer) -> None:
    developer.sign_in()
    developer.done("key", "generate", "own.pem", "--offline")
    app = developer.app(developer.developer_id)
    status, shown = on_a_terminal(developer, "push", str(app), "--key", "own.pem", typed="n\n")
    assert status == 1 and "Register it? [y/N]" in shown and "Nothing was pushed" in shown
    assert developer.done("apps") == ""
    assert on_a_terminal(developer, "push", str(app), "--key", "own.pem", typed="y\n")[0] == 0
    assert developer.done("key", "list").endswith("\tvalid\n")
