"""Who may call, how often, and what must never be told: over real HTTP."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.http.authentication import rate_limit_key
from portal.store import audit, tokens
from portal.store.audit import Entry
from tests.http.test_app_keys import key_id, recover, register, rotation
from tests.http.test_images import png
from tests.support.portal import Portal, Publisher, add_developer, free_port, make_store, problem, registration

UNKNOWN = f"mosis_{'0' * 16}_{'a' * 43}"


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Portal]:
    """A portal of its own with small limits."""
    limits = {"auth_failures_per_minute": 4, "uploads_per_hour": 3}
    running = Portal(make_store(tmp_path / "store", port=free_port(), **limits)).start()
    yield running
    running.stop(signal.SIGKILL)


def limited(answer: httpx.Response) -> dict:
    """The body of a refusal that says how long to wait."""
    body = problem(answer, 429, "RATE_LIMITED")
    assert f"in {int(answer.headers['retry-after'])} s" in body["detail"]
    return body


def test_wrong_tokens_are_limited_over_all_workers_and_right_ones_pass(strict: Portal) -> None:
    assert strict.store.settings.workers > 1
    good = add_developer(strict.store, "good", key=None)

    def attempt(header: str) -> httpx.Response:  # a connection each, so that every worker gets some
        return httpx.get(f"{strict.url}/api/apps", headers={"Authorization": header})

    answers = [attempt(f"Bearer {UNKNOWN}") for _ in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 4 + [429] * 8
    assert "this address" in limited(answers[-1])["detail"]
    limited(httpx.get(f"{strict.url}/healthz", headers={"Authorization": "Basic eDp5"}))
    for _ in range(8):
        assert attempt(f"Bearer {good}").status_code == 200
    assert httpx.get(f"{strict.url}/healthz").status_code == 200
    problem(httpx.get(f"{strict.url}/api/apps"), 401, "UNAUTHENTICATED")  # no token is not a wrong one


def test_uploads_are_limited_for_each_developer(strict: Portal) -> None:
    for number in (1, 2):  # the second is not told to wait because of the first
        app_id = f"org.example.limited{number}"
        token = add_developer(strict.store, f"limited{number}", key=None)
        with strict.client(token) as client:
            client.post("/api/apps", json={"app_id": app_id, "name": "Limited"}).raise_for_status()
            for _ in range(3):
                problem(client.post(f"/api/apps/{app_id}/icon", files={"icon": b"none"}), 400, "INVALID_IMAGE")
            answer = client.post(f"/api/apps/{app_id}/versions", files={"package": b"x" * 1_000_000})
            assert "this developer" in limited(answer)["detail"]
            limited(client.post(f"/api/apps/{app_id}/screenshots", files={"screenshot": b"none"}))
            assert client.get("/api/apps").status_code == 200


@pytest.mark.parametrize(
    ("address", "expected"),
    [("203.0.113.7", "203.0.113.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
     ("2001:db8:1:2::", "2001:db8:1:2::/64"), ("2001:db8:1:3::", "2001:db8:1:3::/64"),
     ("::ffff:203.0.113.7", "203.0.113.7"), ("::fffe:203.0.113.7", "::/64"), ("", ""), ("unix:", "unix:")],
)  # fmt: skip
def test_the_rate_limit_key_of_an_address(address: str, expected: str) -> None:
    assert rate_limit_key(address) == expected


@pytest.mark.parametrize(
    "query", ["access_token={}", "token={}", "ACCESS_TOKEN={}", "token=", "q={}", "q=x&cursor=Bearer%20{}", "token=x"]
)
@pytest.mark.parametrize(
    "path", ["/healthz", "/api/store/apps", "/api/apps", "/downloads/a/org.example.a/1/package.mosis"]
)
def test_a_token_in_an_address_is_refused(portal: Portal, admin_token: str, path: str, query: str) -> None:
    for token in (admin_token, UNKNOWN):
        answer = httpx.get(
            f"{portal.url}{path}?{query.format(token)}", headers={"Authorization": f"Bearer {admin_token}"}
        )
        assert "only in the header" in problem(answer, 400, "INVALID_REQUEST")["detail"]
        assert token not in answer.text


@pytest.mark.parametrize(
    "address",
    ["/api/store/apps/{}", "/api/apps/{}", "/api/apps/a{}b/versions", "/downloads/{}/org.example.a/1/package.mosis",
     "/apps/{}", "/api/store/apps?{}", "/api/store/apps?a=b&{}=c"],
)  # fmt: skip
def test_a_token_anywhere_in_an_address_is_refused(portal: Portal, address: str) -> None:
    answer = httpx.get(portal.url + address.format(UNKNOWN))
    assert "revoke that token" in problem(answer, 400, "INVALID_REQUEST")["detail"]


def test_a_token_is_in_no_answer_and_no_log(portal: Portal) -> None:
    token = add_developer(portal.store, "careless", key=None)
    secret = token.split("_", 2)[2]
    json = {"Content-Type": "application/json"}
    with portal.client(token) as client:
        answers = [
            client.get(f"/api/apps?access_token={token}"),
            client.get(f"/{token}"),
            client.get(f"/api/store/apps/{token}"),
            client.get(f"/downloads/{token}/org.example.a/1/package.mosis"),
            client.delete(f"/api/developers/careless/tokens/{token}"),
            client.delete(f"/api/developers/careless/keys/{token}"),
            client.request(token, "/api/apps"),
            client.post("/api/apps", json={"app_id": token, "name": token, token: token}),
            client.post("/api/apps", content=f'"{token}', headers=json),
            client.post("/api/apps", content=b"{}", headers={"Content-Type": token}),
            client.post("/api/apps/org.example.none/icon", files={token: b""}),
            client.get("/api/apps", headers={"Authorization": f"Basic {token}"}),
            client.get("/api/apps", headers={"Authorization": f"Bearer {token}x"}),
            client.get("/api/apps", headers={"Authorization": token}),
            client.get("/api/apps", headers={"X-Forwarded-For": token}),
            client.get("/api/apps", headers={"Range": token, "If-None-Match": token}),
        ]
    assert {answer.status_code for answer in answers} >= {200, 400, 401, 404, 422}
    assert not [answer.url for answer in answers if secret in f"{answer.headers}{answer.text}"]
    assert secret not in (portal.store.layout.root / "portal.log").read_text()
    assert not any(secret in str(entry) for entry in audit.entries(portal.store.db.read()))


def test_use_is_noted_at_most_every_ten_minutes(portal: Portal) -> None:
    token = add_developer(portal.store, "busy", key=None)

    def noted() -> int | None:
        [found] = tokens.every(portal.store.db.read(), "busy")
        return found.last_used_at

    assert noted() is None
    with portal.client(token) as client:
        client.get("/api/apps").raise_for_status()
        first = noted()
        assert first is not None
        for ago, expected in ((tokens.USE_NOTED_EVERY - 30, False), (tokens.USE_NOTED_EVERY, True)):
            with portal.store.db.write() as tx:
                tx.execute("UPDATE tokens SET last_used_at = ? WHERE developer_id = 'busy'", (first - ago,))
            client.get("/api/apps").raise_for_status()
            assert (noted() != first - ago) is expected


def test_every_change_is_in_the_audit_log(publisher: Publisher, admin_token: str) -> None:
    portal, app, own = publisher.portal, f"/api/apps/{publisher.app_id}", publisher.client
    developer_id = publisher.developer_id
    developer = f"/api/developers/{developer_id}"
    seen = audit.head(portal.store.db.read()).seq
    with portal.client(admin_token) as admin:

        def recorded(answer: httpx.Response, *actions: str) -> dict:
            nonlocal seen
            assert answer.is_success, answer.text
            ours = [entry for entry in _after(portal, seen) if _about(entry, publisher.app_id, developer_id)]
            assert [entry.action for entry in ours] == list(actions)
            assert all(entry.address == "127.0.0.1" and re.fullmatch("[0-9a-f]{16}", entry.token_id) for entry in ours)
            seen = max([seen, *(entry.seq for entry in ours)])
            return answer.json() if answer.content else {}

        new = Ed25519PrivateKey.generate()
        recorded(own.post(f"{developer}/keys", json=registration(developer_id, new)), "key.register")
        body = {"scope": "developer", "days": 1}
        issued = recorded(admin.post(f"{developer}/tokens", json=body), "token.issue")
        recorded(admin.delete(f"{developer}/tokens/{issued['token_id']}"), "token.revoke")
        recorded(own.post(f"{app}/icon", files={"icon": png(64, 64)}), "icon.put")
        shot = {"screenshot": png(1280, 720)}
        recorded(own.post(f"{app}/screenshots", files=shot), "screenshot.put")
        recorded(own.post(f"{app}/screenshots/1", files=shot), "screenshot.put")
        recorded(own.delete(f"{app}/screenshots/1"), "screenshot.delete")
        for code in (1, 2):
            recorded(publisher.upload(publisher.package(code)), "version.upload")
            recorded(publisher.step(code, "submit"), "version.submit")
        recorded(publisher.step(1, "publish"), "key.pin", "version.publish")
        recorded(publisher.step(2, "reject", reason="No."), "version.reject")
        recorded(publisher.step(1, "yank", reason="No."), "version.yank")
        announced = recorded(recover(publisher, new), "key.recover")
        recorded(own.delete(f"{app}/key-recoveries/{announced['number']}"), "key.recover.cancel")
        body = rotation(publisher.app_id, publisher.key, new, 9)
        recorded(own.post(f"{app}/key-rotations", json=body), "key.rotate")
        recorded(own.delete(f"{developer}/keys/{key_id(register(publisher))}"), "key.register", "key.revoke")


def _after(portal: Portal, seq: int) -> list[Entry]:
    return [entry for entry in audit.entries(portal.store.db.read()) if entry.seq > seq]


def _about(entry: Entry, app_id: str, developer_id: str) -> bool:
    return entry.subject.split("/")[0] == app_id or f'"developer_id":"{developer_id}"' in entry.detail
