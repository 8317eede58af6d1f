"""nginx's own errors come from the portal's table of problems, on every host."""

import json
import re

import pytest

from deploys.plan import plan
from deploys.plan.nginx import ERRORS, FILE_ERRORS, STANDBY_ERRORS, Error
from deploys.plan.release import Release
from portal.http import problems


@pytest.mark.parametrize("error", [*ERRORS, *FILE_ERRORS, *STANDBY_ERRORS], ids=lambda error: error.code)
def test_a_problem_can_stand_in_the_configuration(error: Error) -> None:
    assert error.code in problems.KINDS
    assert not set(error.detail) & set("$\n")


@pytest.mark.parametrize(
    "data",
    [
        {"mosis_runtime": "local", "mosis_root": "/home/dev/mosis", "mosis_nginx": "/usr/sbin/nginx"},
        {"mosis_runtime": "systemd"},
        {"mosis_runtime": "compose"},
        {"mosis_runtime": "systemd", "mosis_follows": "store"},
    ],
    ids=["local", "systemd", "compose", "standby"],
)
def test_every_host_answers_from_the_table(release: Release, data: dict[str, object]) -> None:
    """What nginx answers with a text of its own is a body of the table, and no status of an error lacks one."""
    text = "\n".join(file.content for file in plan(data, release).services["nginx"].files)
    assert re.findall(r"return [45]\d\d '(.*)';", text)
    for body in re.findall(r"return [45]\d\d '(.*)';", text):
        shown = json.loads(body.replace("\\'", "'"))
        assert shown == problems.body(shown["code"], shown["detail"])
    answered_by = {int(status) for statuses in re.findall(r"error_page ([\d ]+)=", text) for status in statuses.split()}
    assert answered_by >= {400, 403, 404, 405, 411, 412, 413, 414, 416, 494, 500, 501, 502, 503, 504, 505}
