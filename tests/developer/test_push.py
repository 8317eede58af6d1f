"""`mosis push` to a real store behind nginx."""

import json

from tests.developer.conftest import Developer, Front


def test_a_first_app_takes_three_commands_and_an_update_one(developer: Developer, front: Front) -> None:
    app_id = f"org.example.{developer.developer_id}"
    developer.done("login", front.url, typed=f"{developer.token}\n")
    developer.done("init", "--id", app_id)
    pushed = developer.done("push", "--submit")
    assert pushed.endswith(": in_review\n")
    front.review(app_id, 1, "publish")
    developer.done("push", "--bump", "minor", "--submit")
    front.review(app_id, 2, "publish")
    assert developer.done("apps").split("\t")[:2] == [app_id, "2"]
    versions = json.loads(developer.done("versions", app_id, "--json"))
    assert {(v["version_code"], v["version"], v["status"]) for v in versions} == {
        (1, "1.0.0", "published"), (2, "1.1.0", "published"),
    }  # fmt: skip
