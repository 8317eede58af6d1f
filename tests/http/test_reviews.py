"""Who may publish and put back what, over real HTTP."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from portal.store import tokens, versions
from portal.store.audit import OPERATOR
from tests.http.test_images import png
from tests.support.portal import Portal, Publisher, add_developer, free_port, make_store, only_publisher, problem


def token_of(publisher: Publisher, scope: tokens.Scope) -> str:
    """Another token of the publisher's developer."""
    with publisher.portal.store.db.write() as tx:
        return tokens.issue(tx, OPERATOR, publisher.developer_id, scope, 1)[1]


def submitted(publisher: Publisher, code: int) -> str:
    """Upload and submit a version, and return its digest."""
    publisher.upload(publisher.package(code)).raise_for_status()
    digest: str = publisher.step(code, "submit").raise_for_status().json()["sha256"]
    return digest


@pytest.mark.parametrize("scope", ["reviewer", "admin"])
def test_nobody_publishes_an_own_version_while_somebody_else_could(publisher: Publisher, scope: tokens.Scope) -> None:
    submitted(publisher, 1)
    path = f"/api/apps/{publisher.app_id}/versions/1"
    with publisher.portal.client(token_of(publisher, scope)) as own:
        detail = problem(own.post(f"{path}/publish"), 403, "FORBIDDEN")["detail"]
        assert "own_reviews" in detail
        publisher.step(1, "publish").raise_for_status()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Publisher]:
    """The only person of a store, who reviews too."""
    running = Portal(make_store(tmp_path / "store", port=free_port())).start()
    with only_publisher(running, tmp_path, "admin") as publisher:
        yield publisher
    running.stop()


def test_the_one_person_of_a_store_publishes_until_somebody_else_reviews(alone: Publisher) -> None:
    alone.publish(1)
    submitted(alone, 2)
    add_developer(alone.portal.store, "second", None, "reviewer")
    problem(alone.step(2, "publish"), 403, "FORBIDDEN")


def test_a_store_that_did_so_before_continues(alone: Publisher) -> None:
    """Migration 6 looks whether reviewers have published versions of their own apps."""
    alone.publish(1)
    submitted(alone, 2)
    add_developer(alone.portal.store, "second", None, "reviewer")
    with alone.portal.store.db.write() as tx:
        tx.execute(noting())
    alone.step(2, "publish").raise_for_status()


def test_a_store_of_two_people_is_not_taken_for_one(publisher: Publisher) -> None:
    publisher.publish(1)
    with publisher.portal.store.db.write() as tx:
        tx.execute(noting())
        noted = tx.execute("SELECT count(*) FROM counters WHERE metric = 'own_reviews'").fetchone()[0]
        tx.execute("DELETE FROM counters WHERE metric = 'own_reviews'")
    assert noted == 0


def noting() -> str:
    """The statement of the migration."""
    sql = (Path(versions.__file__).parent / "migrations" / "0006_accounts.sql").read_text()
    start = sql.index("INSERT INTO counters")
    return sql[start : sql.index(";", start)]


@pytest.mark.parametrize(("policy", "status"), [("always", 200), ("never", 403)])
def test_the_setting_decides(tmp_path: Path, policy: str, status: int) -> None:
    with (
        Portal(make_store(tmp_path / "store", port=free_port(), own_reviews=policy)) as running,
        only_publisher(running, tmp_path, "admin") as publisher,
    ):
        submitted(publisher, 1)
        assert publisher.step(1, "publish").status_code == status


def test_what_was_replaced_since_it_was_seen_is_not_published(publisher: Publisher) -> None:
    digest = submitted(publisher, 1)
    path = f"/api/apps/{publisher.app_id}/versions/1"
    for action in ("publish", "reject"):
        body = {"sha256": "0" * 64, "reason": "So."}
        problem(publisher.reviewer.post(f"{path}/{action}", json=body), 409, "WRONG_STATE")
    assert publisher.reviewer.post(f"{path}/publish", json={"sha256": digest}).status_code == 200


def info(publisher: Publisher) -> httpx.Response:
    return httpx.get(f"{publisher.portal.url}/api/store/apps/{publisher.app_id}")


def test_an_owner_puts_back_what_it_has_yanked(publisher: Publisher) -> None:
    publisher.publish(1)
    publisher.publish(2)
    before = info(publisher).json()
    publisher.step(2, "yank", reason="It loses data.").raise_for_status()
    back = publisher.step(2, "unyank").raise_for_status().json()
    assert (back["status"], back["reasons"], back["published_at"]) == ("published", [], before["published_at"])
    assert info(publisher).json()["version_code"] == 2
    problem(publisher.step(2, "unyank"), 409, "WRONG_STATE")


def test_what_a_reviewer_has_yanked_its_owner_cannot_put_back(publisher: Publisher) -> None:
    publisher.publish(1)
    path = f"/api/apps/{publisher.app_id}/versions/1"
    publisher.reviewer.post(f"{path}/yank", json={"reason": "Malware."}).raise_for_status()
    problem(publisher.step(1, "unyank"), 403, "FORBIDDEN")
    with publisher.portal.client(token_of(publisher, "reviewer")) as own:
        problem(own.post(f"{path}/unyank"), 403, "FORBIDDEN")
    publisher.reviewer.post(f"{path}/unyank").raise_for_status()


def test_a_yank_is_final_after_a_week(publisher: Publisher) -> None:
    publisher.publish(1)
    publisher.step(1, "yank", reason="It loses data.").raise_for_status()
    with publisher.portal.store.db.write() as tx:
        tx.execute("UPDATE versions SET status_at = status_at - 8 * 86400 WHERE app_id = ?", (publisher.app_id,))
    assert "7 days" in problem(publisher.step(1, "unyank"), 409, "WRONG_STATE")["detail"]
    assert info(publisher).status_code == 410


def test_a_revoked_key_keeps_a_version_yanked(publisher: Publisher) -> None:
    publisher.publish(1)
    publisher.step(1, "yank", reason="The key is stolen.").raise_for_status()
    keys = f"/api/developers/{publisher.developer_id}/keys"
    [key] = publisher.client.get(keys).json()["keys"]
    publisher.client.delete(f"{keys}/{key['key_id']}").raise_for_status()
    problem(publisher.step(1, "unyank"), 409, "UNTRUSTED_KEY")


def test_the_queue_says_what_a_reviewer_wants_to_know(publisher: Publisher) -> None:
    publisher.publish(1, permissions=["camera"])
    publisher.upload(publisher.package(2, permissions=["camera", "location"], changelog="Maps.")).raise_for_status()
    sent = publisher.step(2, "submit", reason="The maps need the location.").json()
    [found] = [
        one for one in publisher.reviewer.get("/api/review").json()["versions"] if one["app_id"] == publisher.app_id
    ]
    assert (found["app_name"], found["changelog"], found["key"]) == ("Reader", "Maps.", "same")
    assert (found["note"], found["new_permissions"]) == ("The maps need the location.", ["location"])
    assert found["status_at"] == sent["status_at"]
    assert found["published"]["version_code"] == 1
    assert found["size_change"] == found["size"] - found["published"]["size"]
    path = f"/api/apps/{publisher.app_id}/versions/2/changes"
    for client in (publisher.client, publisher.reviewer):
        changes = client.get(path).raise_for_status().json()
        assert [one["path"] for one in changes["files"]["changed"]] == ["manifest.json"]
        assert {one["name"] for one in changes["manifest"]} == {"permissions", "changelog"}
    stranger = add_developer(publisher.portal.store, f"{publisher.developer_id}-stranger", key=None)
    with publisher.portal.client(stranger) as client:
        problem(client.get(path), 404, "NOT_FOUND")


def test_of_two_reviewers_one_decides(publisher: Publisher) -> None:
    submitted(publisher, 1)
    path = f"/api/apps/{publisher.app_id}/versions/1"

    def decide(action: str) -> int:
        return publisher.reviewer.post(f"{path}/{action}", json={"reason": "So."}).status_code

    with ThreadPoolExecutor() as pool:
        found = list(pool.map(decide, ["publish", "reject"] * 4))
    assert sorted(found) == [200] + [409] * 7


def test_an_administrator_gives_an_app_to_another_developer(publisher: Publisher, admin_token: str) -> None:
    path, buyer = f"/api/apps/{publisher.app_id}", f"{publisher.developer_id}-buyer"
    token = add_developer(publisher.portal.store, buyer, key=None)
    publisher.publish(1)
    draft = publisher.upload(publisher.package(2)).json()["download_url"]
    body = {"developer_id": buyer, "reason": "Sold."}
    problem(publisher.client.post(f"{path}/transfer", json=body), 403, "FORBIDDEN")
    problem(publisher.reviewer.post(f"{path}/transfer", json=body), 403, "FORBIDDEN")
    with publisher.portal.client(admin_token) as admin, publisher.portal.client(token) as new:
        assert admin.post(f"{path}/transfer", json=body).json()["developer_id"] == buyer
        problem(publisher.client.get(path), 404, "NOT_FOUND")
        problem(publisher.client.get(draft), 404, "NOT_FOUND")
        assert new.get(draft).status_code == new.get(path).status_code == 200
        problem(admin.post(f"{path}/transfer", json=body | {"reason": ""}), 422, "VALIDATION_ERROR")
        new.post(f"{path}/versions/2/submit").raise_for_status()
        publisher.step(2, "publish").raise_for_status()
    assert info(publisher).json()["version_code"] == 2


def illustrated(publisher: Publisher) -> dict[str, str]:
    """Publish a version, then change the icon: the image of 64 pixels as the portal answers it."""
    icon = f"/api/apps/{publisher.app_id}/icon"
    publisher.client.post(icon, files={"icon": png(64, 64)}).raise_for_status()
    publisher.publish(1)
    changed: dict[str, str] = (
        publisher.client.post(icon, files={"icon": png(64, 64)}).raise_for_status().json()["assets"][1]
    )
    assert changed["proposed"]
    return changed


def shown(publisher: Publisher) -> list[str]:
    """The digests of the images that devices get."""
    info = httpx.get(f"{publisher.portal.url}/api/store/apps/{publisher.app_id}").json()
    return [asset["sha256"] for asset in info["assets"]]


def test_changed_images_are_seen_by_insiders_until_a_reviewer_publishes_them(publisher: Publisher) -> None:
    changed, path = illustrated(publisher), f"/api/apps/{publisher.app_id}/images"
    assert changed["sha256"] not in shown(publisher)
    problem(httpx.get(publisher.portal.url + changed["url"]), 404, "NOT_FOUND")
    for insider in (publisher.client, publisher.reviewer):
        answer = insider.get(changed["url"]).raise_for_status()
        assert hashlib.sha256(answer.content).hexdigest() == changed["sha256"]
        assert answer.headers["cache-control"] == "private, no-store"
    with publisher.portal.client(add_developer(publisher.portal.store, f"x{publisher.app_id[-4:]}")) as stranger:
        for method in ("GET", "DELETE"):
            problem(stranger.request(method, path), 404, "NOT_FOUND")
        problem(stranger.get(changed["url"]), 404, "NOT_FOUND")
        problem(stranger.post(f"{path}/publish", json={"sha256": "0" * 64}), 403, "FORBIDDEN")
    waiting = publisher.reviewer.get("/api/review/images").json()["images"]
    images = next(one for one in waiting if one["app_id"] == publisher.app_id)
    assert images == publisher.client.get(path).json()
    lines = sorted(f"{asset['sha256']}  {asset['name']}\n" for asset in images["assets"])
    lines.sort(key=lambda line: line.split("  ")[1])
    assert images["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    problem(publisher.reviewer.post(f"{path}/publish", json={"sha256": "0" * 64}), 409, "WRONG_STATE")
    publisher.reviewer.post(f"{path}/publish", json={"sha256": images["sha256"]}).raise_for_status()
    assert changed["sha256"] in shown(publisher)
    assert "immutable" in httpx.get(publisher.portal.url + changed["url"]).headers["cache-control"]


def test_images_are_published_with_the_version_only_by_their_digest(publisher: Publisher) -> None:
    changed, path = illustrated(publisher), f"/api/apps/{publisher.app_id}/images"
    digest = publisher.client.get(path).json()["sha256"]
    submitted(publisher, 2)
    problem(publisher.step(2, "publish", images_sha256="0" * 64), 409, "WRONG_STATE")
    wrong = problem(publisher.step(2, "publish", sha256="abc"), 422, "VALIDATION_ERROR")
    assert wrong["errors"] == [
        "sha256: Must be the SHA-256 of the package that was reviewed, 64 lower-case hex digits."
    ]  # fmt: skip
    assert publisher.client.get(f"/api/apps/{publisher.app_id}").json()["published_code"] == 1
    publisher.step(2, "publish").raise_for_status()
    assert changed["sha256"] not in shown(publisher), "nobody has seen it"
    submitted(publisher, 3)
    publisher.step(3, "publish", images_sha256=digest).raise_for_status()
    assert changed["sha256"] in shown(publisher)


def test_rejected_images_wait_for_their_owner(publisher: Publisher) -> None:
    changed, path = illustrated(publisher), f"/api/apps/{publisher.app_id}/images"
    body = {"sha256": publisher.client.get(path).json()["sha256"], "reason": "It is blurred."}
    publisher.reviewer.post(f"{path}/reject", json=body).raise_for_status()
    assert publisher.client.get(path).json()["reason"] == "It is blurred."
    assert publisher.client.delete(path).status_code == 204
    problem(publisher.client.delete(path), 404, "NOT_FOUND")
    assert publisher.client.get(path).json()["changed_at"] is None
    problem(publisher.client.get(changed["url"]), 404, "NOT_FOUND")


def test_the_one_person_of_a_store_changes_images_at_once(alone: Publisher) -> None:
    alone.publish(1)
    put = alone.client.post(f"/api/apps/{alone.app_id}/icon", files={"icon": png(64, 64)}).raise_for_status().json()
    assert {asset["sha256"] for asset in put["assets"]} == set(shown(alone))
