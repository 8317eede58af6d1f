"""The table of problems, which the portal and the deploys share."""

import re
import subprocess
import sys

import pytest

from portal.http import problems

IMPORTED = """
import sys, portal.http.problems
roots = {name.partition(".")[0] for name in sys.modules} - {"portal"}
print(*sorted(roots & {"bottle", "pydantic", "prometheus_client", "multipart", "PIL"}))
"""


def test_the_table_needs_nothing_that_serves_requests() -> None:
    found = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


@pytest.mark.parametrize("code", problems.KINDS)
def test_a_body_has_the_members_of_rfc_9457(code: str) -> None:
    body = problems.body(code, "Why.")
    assert list(body) == ["type", "title", "status", "code", "detail"]
    assert re.fullmatch(r"urn:mosis:problem:[a-z-]+", str(body["type"]))
    assert body["status"] in range(400, 600)
    assert problems.body(code, "Why.", ["One."])["errors"] == ["One."]


def test_each_code_has_a_type_and_a_title_of_its_own() -> None:
    bodies = [problems.body(code, "Why.") for code in problems.KINDS]
    assert len({body["type"] for body in bodies}) == len({body["title"] for body in bodies}) == len(bodies)
