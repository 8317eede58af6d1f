"""A stranger who tries every route at another developer's unpublished app: there is nothing, and nothing changes."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.recovery.records import APP, VERSION
from portal.store import refusals
from tests.http.test_app_keys import key_id, register, rotation
from tests.http.test_images import png
from tests.support.portal import Portal, Publisher, add_developer, problem, registration

SECRET = "Unreleased Wonder"
TUS = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}


@dataclass(frozen=True)
class Target:
    """What the stranger knows, or guesses, of the other developer."""

    developer_id: str
    app_id: str
    upload_id: str
    token_id: str
    key_id: str

    def parameters(self) -> dict[str, str]:
        """A value for every path parameter; a new one of a new route has to be added here."""
        return vars(self) | {
            "version_code": "1",
            "number": "1",
            "preview_id": "0" * 16,
            "name": "icon-32.png",
            "path": "metadata/1.root.json",
        }

    def bodies(self, key: Ed25519PrivateKey) -> dict[str, dict]:
        """A body that would be taken, by the name of its schema; a new one of a new route has to be added here."""
        return {
            "AppChange": {"name": "Mine"},
            "Approval": {},
            "IdToken": {"app_id": self.app_id, "token": "e30.e30.e30"},
            "Installed": {"apps": {self.app_id: 0}},
            "NewApp": {"app_id": f"org.stranger.{self.developer_id}-app", "name": "Mine"},
            "NewAppToken": {"app_id": self.app_id, "days": 1},
            "NewDeveloper": {"developer_id": f"{self.developer_id}-by-stranger", "name": "Stranger"},
            "NewKey": registration(self.developer_id, key),
            "NewRecovery": {"new_key_id": key_id(key), "reason": "Give it to me."},
            "NewRotation": rotation(self.app_id, Ed25519PrivateKey.generate(), key, 2),
            "NewPreview": {"days": 1},
            "NewPublisher": {"issuer": "https://gitlab.example", "repository_id": "7"},
            "NewToken": {"scope": "admin", "days": 1},
            "NewUpload": {"size": 10},
            "NewWebhook": {"url": "https://stranger.example/"},
            "Order": {"order": [1]},
            "Reason": {"reason": "Because."},
            "Rejection": {"reason": "Because."},
            "ImageApproval": {"sha256": "0" * 64},
            "ImageRejection": {"sha256": "0" * 64, "reason": "Because."},
            "Transfer": {"developer_id": f"{self.developer_id}-stranger", "reason": "Because."},
            "Withdrawal": {"reason": "Because."},
        }


GHOST = Target("ghost", "org.example.ghost", "0" * 32, "0" * 16, "0" * 32)


@dataclass(frozen=True)
class Operation:
    """One route of /openapi.json."""

    method: str
    path: str
    body: str | None
    form: str | None

    @property
    def names_something(self) -> bool:
        return "{" in self.path

    def send(self, client: httpx.Client, target: Target, key: Ed25519PrivateKey) -> httpx.Response:
        path = self.path.format(**target.parameters())
        if self.form:
            return client.request(self.method, path, files={self.form: b"PK"})
        if self.body:
            return client.request(self.method, path, json=target.bodies(key)[self.body], headers=TUS)
        content = b"x" if self.method in ("PUT", "PATCH", "POST") else b""
        headers = TUS | {"Content-Type": "application/offset+octet-stream"}
        return client.request(self.method, path, content=content, headers=headers)


def operations(portal: Portal) -> Iterator[Operation]:
    for path, methods in httpx.get(f"{portal.url}/openapi.json").json()["paths"].items():
        for method, described in methods.items():
            content = described.get("requestBody", {}).get("content", {})
            reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
            [form] = content.get("multipart/form-data", {}).get("schema", {}).get("required", [None])
            yield Operation(method.upper(), path, reference.rpartition("/")[2] or None, form)


@pytest.fixture
def unreleased(publisher: Publisher) -> Publisher:
    """An app with a draft, one in review, one rejected, one failed, an icon and a screenshot; none published."""
    publisher.app_id = publisher.app_id.replace("app", "unreleased")
    body = {"app_id": publisher.app_id, "name": SECRET, "description": SECRET}
    publisher.client.post("/api/apps", json=body).raise_for_status()
    for code in (1, 2, 3):
        publisher.upload(publisher.package(code, version_name=f"{code}.7.7-wonder")).raise_for_status()
    for code, action in ((2, "submit"), (3, "submit"), (3, "reject")):
        publisher.step(code, action, reason=SECRET if action == "reject" else "").raise_for_status()
    problem(publisher.upload(publisher.package(4, key=Ed25519PrivateKey.generate())), 422, "VALIDATION_ERROR")
    app = f"/api/apps/{publisher.app_id}"
    publisher.client.post(f"{app}/icon", files={"icon": png(64, 64)}).raise_for_status()
    publisher.client.post(f"{app}/screenshots", files={"screenshot": png(1280, 720)}).raise_for_status()
    return publisher


@pytest.fixture
def target(unreleased: Publisher) -> Target:
    opened = unreleased.client.post(f"/api/apps/{unreleased.app_id}/uploads", json={"size": 1}).raise_for_status()
    return Target(
        unreleased.developer_id,
        unreleased.app_id,
        opened.json()["upload_id"],
        unreleased.client.headers["authorization"].split("_")[1],
        key_id(unreleased.key),
    )


@pytest.fixture(params=["another developer", "nobody"])
def stranger(request: pytest.FixtureRequest, unreleased: Publisher) -> Iterator[httpx.Client]:
    token = None
    if request.param == "another developer":
        token = add_developer(unreleased.portal.store, f"{unreleased.developer_id}-stranger", key=None)
    with unreleased.portal.client(token) as client:
        yield client


def state(target: Target, portal: Portal) -> tuple[list[str], dict[str, bytes]]:
    """Every row and every file that names the developer or the app; the portal writes records of both when it likes."""
    names = (target.developer_id + "'", target.developer_id + '"', target.app_id)
    named = [line for line in portal.store.db.read().iterdump() if any(name in line for name in names)]
    rows = [line for line in named if f"'{refusals.ACTION}'" not in line]  # what was refused is in the audit log
    paths = (path for path in portal.store.layout.root.rglob("*") if path.is_file())
    owned = [path for path in paths if {target.app_id, target.upload_id} & set(path.parts)]
    owned = [path for path in owned if path.name not in (APP, VERSION)]
    return rows, {str(path): path.read_bytes() for path in owned}


def test_no_route_shows_or_changes_anything(unreleased: Publisher, target: Target, stranger: httpx.Client) -> None:
    portal, key = unreleased.portal, Ed25519PrivateKey.generate()
    versions = unreleased.client.get(f"/api/apps/{target.app_id}/versions").json()["versions"]
    secrets = {SECRET, "7.7-wonder"} | {v[part] for v in versions for part in ("sha256", "signature") if v[part]}
    before, tried = state(target, portal), 0
    assert len(before[0]) > 15
    assert len(before[1]) >= 10
    for operation in operations(portal):
        answer = operation.send(stranger, target, key)
        told = f"{operation.method} {operation.path}: {answer.status_code} {answer.text}"
        assert not [secret for secret in secrets if secret in f"{answer.headers} {answer.text}"], told
        if operation.names_something and operation.method != "OPTIONS":
            tried += 1
            assert answer.status_code in (401, 403, 404), told
        assert state(target, portal) == before, told
    assert tried > 20
    assert target.app_id not in stranger.get("/api/store/apps", params={"q": SECRET}).text


def test_what_exists_looks_like_what_does_not(unreleased: Publisher, target: Target, stranger: httpx.Client) -> None:
    """Nobody finds out by guessing; only POST /api/apps has to tell that an app id is taken."""
    key = Ed25519PrivateKey.generate()
    for operation in operations(unreleased.portal):
        if operation.names_something:
            seen, guessed = (_seen(operation.send(stranger, who, key), who) for who in (target, GHOST))
            assert seen == guessed, f"{operation.method} {operation.path}"


def _seen(answer: httpx.Response, target: Target) -> tuple[int, str]:
    # The server closes or keeps a connection by how much of the body has arrived, before the portal decides.
    headers = sorted((name, value) for name, value in answer.headers.items() if name not in ("connection", "date"))
    text = f"{headers} {answer.text}"
    for name, value in sorted(vars(target).items(), key=lambda item: -len(item[1])):
        text = text.replace(value, f"<{name}>")
    return answer.status_code, "".join(character for character in text if not character.isdigit())


def test_a_taken_app_id_is_all_that_is_told(unreleased: Publisher, target: Target) -> None:
    token = add_developer(unreleased.portal.store, f"{unreleased.developer_id}-namesake", key=None)
    with unreleased.portal.client(token) as client:
        answer = client.post("/api/apps", json={"app_id": target.app_id, "name": "Mine"})
        assert problem(answer, 409, "APP_EXISTS")["detail"] == f"The app ID {target.app_id} is already in use."


def test_beside_a_published_version_the_draft_stays_hidden(publisher: Publisher) -> None:
    publisher.publish(1, version_name="1.0.0")
    draft = publisher.upload(publisher.package(2, version_name="2.0.0-wonder")).raise_for_status().json()
    portal, url = publisher.portal, f"/api/store/apps/{publisher.app_id}"
    with portal.client() as anyone:
        for path in (url, f"{url}/download", "/api/store/apps", f"/api/store/apps?q={publisher.app_id}"):
            answer = anyone.get(path).raise_for_status()
            for secret in ("2.0.0-wonder", draft["sha256"], draft["signature"]):
                assert secret not in f"{answer.headers}{answer.text}"
        problem(anyone.get(draft["download_url"]), 404, "NOT_FOUND")


def test_a_yanked_version_is_for_owner_and_reviewer(publisher: Publisher) -> None:
    icon = f"/api/apps/{publisher.app_id}/icon"
    publisher.client.post(icon, files={"icon": png(64, 64)}).raise_for_status()
    path = publisher.publish(1)
    url = f"/downloads/{publisher.developer_id}/{publisher.app_id}/1/package.mosis"
    publisher.step(1, "yank", reason="It ate my homework.").raise_for_status()
    with publisher.portal.client() as anyone:
        for gone in (url, f"/api/store/apps/{publisher.app_id}"):
            assert "It ate my homework." in problem(anyone.get(gone), 410, "YANKED")["detail"]
        problem(anyone.get(f"/assets/{publisher.app_id}/icon-32.png"), 404, "NOT_FOUND")
    for client in (publisher.client, publisher.reviewer):
        answer = client.get(url)
        assert answer.content == path.read_bytes()
        assert answer.headers["cache-control"] == "private, no-store"
        assert client.get(f"/assets/{publisher.app_id}/icon-32.png").headers["cache-control"] == "private, no-store"


def test_a_stolen_token_alone_takes_no_app_over(publisher: Publisher) -> None:
    """With the token but not the key nothing can be published, nor the key changed."""
    publisher.publish(1)
    thief = register(publisher)
    publisher.upload(publisher.package(2, key=thief))
    body = rotation(publisher.app_id, thief, thief, 2)
    url = f"/api/apps/{publisher.app_id}"
    assert publisher.client.post(f"{url}/key-rotations", json=body).status_code == 400
    recovery = {"new_key_id": key_id(thief), "reason": "Lost."}
    problem(publisher.client.post(f"{url}/key-recoveries", json=recovery), 403, "FORBIDDEN")
    problem(publisher.step(2, "submit"), 404, "NOT_FOUND")
