"""`mosis push` in a job of a CI service, which has no token of the store."""

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.developer.conftest import Developer, Front
from tests.developer.test_client import serving
from tests.support.ci_service import AUDIENCE
from tests.support.developer_machine import Machine

REPOSITORY = ("--issuer", "https://ci.test", "--repository-id", "4711", "--ref", "refs/tags/v*")


@pytest.fixture
def app(developer: Developer) -> Path:
    """An app in the store that trusts the repository."""
    developer.sign_in()
    app = developer.app(developer.developer_id)
    developer.done("push", app)
    developer.done("trust", "add", f"org.example.{developer.developer_id}", *REPOSITORY)
    return app


@pytest.fixture
def job(developer: Developer, front: Front, tmp_path: Path) -> Machine:
    """A machine of the CI service, which has the key of the app and no token."""
    key = (developer.config / "key.pem").read_text() if (developer.config / "key.pem").exists() else ""
    return Machine.at(tmp_path / "job", MOSIS_URL=front.url, MOSIS_KEY=key)


def test_a_job_of_gitlab_publishes_by_its_id_token(app: Path, job: Machine, front: Front) -> None:
    ran = job.mosis("push", app, "--bump", "patch", "--submit", "--json", MOSIS_ID_TOKEN=front.service.token())
    assert ran.returncode == 0, ran.stderr
    pushed = json.loads(ran.stdout)
    assert (pushed["version_code"], pushed["status"]) == (2, "in_review")
    assert "as a CI job that org.example." in ran.stderr
    assert not list(job.home.rglob("credentials.json"))


def test_a_job_of_github_or_forgejo_asks_for_its_id_token(app: Path, job: Machine, front: Front) -> None:
    asked: list[tuple[str | None, dict[str, list[str]]]] = []

    def issue(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        asked.append((request.headers["Authorization"], parse_qs(urlsplit(request.path).query)))
        return 200, {"Content-Type": "application/json"}, json.dumps({"value": front.service.token("ec")}).encode()

    with serving(issue) as (url, _):
        offered = {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{url}/t?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "r"}
        job.done("push", app, "--bump", "patch", **offered)
    assert asked == [("Bearer r", {"api-version": ["2.0"], "audience": [AUDIENCE]})]


def test_a_job_that_the_app_does_not_trust_is_told_why(app: Path, job: Machine, front: Front) -> None:
    other = front.service.token(repository_id="1")
    said = job.failed(4, "push", app, "--bump", "patch", MOSIS_ID_TOKEN=other)
    assert "does not trust repository 1 of https://ci.test at refs/tags/v1.0.0" in said
    with serving(lambda request: (403, {}, b"")) as (url, _):
        offered = {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{url}/t", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "r"}
        assert "The CI service issued no ID token for this job." in job.failed(4, "push", app, **offered)


def test_trust_is_listed_and_ends(app: Path, developer: Developer, job: Machine, front: Front) -> None:
    app_id = f"org.example.{developer.developer_id}"
    number, *rest = developer.done("trust", "list", app_id).strip().split("\t")
    assert rest == ["https://ci.test", "4711", "refs/tags/v*", "any"]
    developer.done("trust", "remove", app_id, number)
    assert developer.done("trust", "list", app_id) == ""
    job.failed(4, "push", app, MOSIS_ID_TOKEN=front.service.token())


def test_a_store_that_trusts_no_service_names_the_remedy(app: Path, job: Machine, front: Front) -> None:
    with serving(lambda request: (404, {}, b'{"code": "NOT_FOUND"}')) as (url, _):
        said = job.failed(4, "push", app, MOSIS_URL=url, MOSIS_ID_TOKEN=front.service.token())
    assert said == f"{url} trusts no CI service: set MOSIS_TOKEN to a token.\n"
