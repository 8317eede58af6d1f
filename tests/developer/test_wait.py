"""Waiting for the end of a review: what the store answers, one answer after the other."""

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from portal.developer.answers import Placed
from portal.developer.client import Client
from portal.developer.credentials import Account
from portal.developer.errors import Problem, Rejected, Unreachable
from portal.developer.patience import Patience
from portal.developer.push import POLL_SECONDS, Push
from portal.packages.manifest import Manifest
from tests.developer.test_client import TOKEN, serving

APP = "org.acme.hello"
LOST, BUSY, GONE = "lost", "busy", "gone"


def version(status: str, *reasons: str) -> Placed:
    return Placed(
        app_id=APP, version_code=1, version="1.0.0", status=status, size=1, sha256="0" * 64, reasons=list(reasons)
    )


def waited(*answers: str, seconds: float = 600) -> tuple[Placed, list[float]]:
    """What `wait` returns when the store answers so, and how long each pause would have been."""
    left, pauses = iter(answers), []

    def respond(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        status = next(left)
        if status == LOST:
            request.connection.shutdown(socket.SHUT_RDWR)
        if status == BUSY:
            return 503, {"Retry-After": "1"}, b""
        if status == GONE:
            return 401, {}, b'{"code": "UNAUTHENTICATED", "detail": "The token is revoked."}'
        shown = version(status, *(["It does not start."] if status == "rejected" else []))
        return 200, {"Content-Type": "application/json"}, json.dumps({"versions": [shown.as_sent()]}).encode()

    with serving(respond) as (url, _):
        run = Push(Client(Account(url, TOKEN)), Patience(seconds, sleep=pauses.append))
        return run.wait(version("in_review")), pauses


def asked(*states: str) -> tuple[list[str], list[float], str]:
    """The requests of a push's look and submit at a store in these states, the pauses, and what the submit made."""
    left, pauses = iter(states), []
    answers = {
        "/api/me": {"developer_id": "acme", "scope": "developer", "expires_at": "2030-01-01T00:00:00Z", "app_id": APP},
        "/api/apps": {"apps": []},
        f"/api/apps/{APP}/versions/1/submit": version("in_review").as_sent(),
    }

    def respond(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        if next(left, "") == BUSY:
            return 503, {"Retry-After": "2"}, b""
        answer = answers.get(request.path.partition("?")[0], {})
        return 200, {"Content-Type": "application/json", "Tus-Max-Size": "9"}, json.dumps(answer).encode()

    with serving(respond) as (url, seen):
        run = Push(Client(Account(url, TOKEN)), Patience(sleep=pauses.append))
        manifest = Manifest.model_validate(
            {"manifest_version": 1, "id": APP, "name": "Hello", "version_name": "1.0.0", "version_code": 1}
        )
        assert run.look(manifest).max_bytes == 9
        return [path.partition("?")[0] for path, _ in seen], pauses, run.submit(version("draft")).status


def test_a_store_that_restarts_before_a_push_and_after_it_is_waited_for() -> None:
    """A job of a CI service begins at any moment, such as that of an upgrade."""
    seen, pauses, status = asked(BUSY, BUSY, "", "", "", BUSY)
    assert seen == ["/api/me"] * 3 + ["/api/apps", f"/api/apps/{APP}/uploads"]
    assert (pauses, status) == ([2, 2, 2], "in_review")


@pytest.fixture(autouse=True)
def quiet(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """The server of the test prints that its connection was lost."""
    yield
    capsys.readouterr()


def test_until_it_is_published() -> None:
    published, pauses = waited("in_review", "in_review", "published")
    assert (published.status, pauses) == ("published", [POLL_SECONDS] * 2)


def test_until_it_is_rejected_with_its_reason() -> None:
    with pytest.raises(Rejected, match=rf"^{APP} 1 was rejected: It does not start\."):
        waited("in_review", "rejected")


def test_until_it_is_withdrawn() -> None:
    with pytest.raises(Rejected, match="withdrawn from review"):
        waited("in_review", "draft")


def test_a_connection_that_is_lost_meanwhile_only_delays_it() -> None:
    published, pauses = waited("in_review", LOST, BUSY, "in_review", LOST, "published")
    assert published.status == "published"
    assert pauses == [POLL_SECONDS, 0.1, 1, POLL_SECONDS, 0.1]


def test_a_store_that_stays_away_ends_it() -> None:
    with pytest.raises(Unreachable):
        waited("in_review", *[BUSY] * 20, seconds=5)


def test_a_token_that_ends_meanwhile_ends_it() -> None:
    with pytest.raises(Problem) as ended:
        waited("in_review", GONE)
    assert ended.value.exit_status == 4
