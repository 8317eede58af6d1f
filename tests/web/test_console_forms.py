"""What the forms of the console do: several versions at once, preview links, keys, the order of pictures, space."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.packages import signature
from portal.sizes import size
from portal.store import apps, assets, audit, keys, quotas, versions
from portal.store.store import Store
from portal.web.pictures import moved
from tests.support import publishing
from tests.support.in_process import calling
from tests.support.portal import add_developer, make_store, registration

APP_ID = "org.example.console"
APP = f"/console/apps/{APP_ID}"


@pytest.fixture
def owner(store: Store) -> Iterator[httpx.Client]:
    token = add_developer(store, publishing.OWNER.developer_id)
    publishing.add_app(store, APP_ID)
    with calling(store, token) as made:
        yield made


def statuses(store: Store) -> list[str]:
    return [version.status for version in versions.placed_of_app(store.db.read(), APP_ID)]


def alert(page: str) -> str:
    """The text of the message on top."""
    found = re.search(r'role="alert"[^>]*>(.*?)</div>', page, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split()) if found else ""


def test_several_versions_are_withdrawn_with_one_reason(store: Store, owner: httpx.Client) -> None:
    for code in (1, 2, 3):
        publishing.publish(store, APP_ID, code, version_name=f"1.{code}.0")
    sent = {"action": "yank", "reason": "They lose data.", "code-1": "on", "code-3": "on"}
    answer = owner.post(f"{APP}/several", data=sent)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{APP}?done=several-yank")
    assert statuses(store) == ["yanked", "published", "yanked"]
    logged = [entry.subject for entry in audit.filtered(store.db.read(), action="version.yank")]
    assert logged == [f"{APP_ID}/1", f"{APP_ID}/3"], "an older one first: no device gets it in between"


def test_each_of_several_versions_counts_as_a_change(tmp_path: Path) -> None:
    """Or one request writes a thousand rows into the audit log."""
    store = make_store(tmp_path / "store", changes_per_hour=3)
    token = add_developer(store, publishing.OWNER.developer_id)
    publishing.add_app(store, APP_ID)
    for code in range(1, 6):
        publishing.upload(store, APP_ID, code)
    with closing(store.db), calling(store, token) as owner:
        sent = {"action": "submit", "reason": "", **{f"code-{code}": "on" for code in range(1, 6)}}
        answer = owner.post(f"{APP}/several", data=sent)
        assert "3 of 5 versions were changed" in alert(answer.text)
        assert sorted(statuses(store)) == ["draft", "draft", "in_review", "in_review", "in_review"]


def test_what_failed_among_several_is_named_and_stays_ticked(store: Store, owner: httpx.Client) -> None:
    publishing.publish(store, APP_ID, 1, version_name="1.1.0")
    publishing.publish(store, APP_ID, 2, version_name="1.2.0")
    publishing.upload(store, APP_ID, 3, version_name="1.3.0")
    publishing.upload(store, APP_ID, 4, version_name="1.4.0")
    sent = {"action": "yank", "reason": "They lose data.", "code-1": "on", "code-2": "on", "code-3": "on"}
    answer = owner.post(f"{APP}/several", data=sent)
    assert answer.status_code == 409
    assert alert(answer.text).startswith("2 of 3 versions were changed. These were not: 1.3.0: ")
    assert statuses(store) == ["yanked", "yanked", "draft", "draft"]
    assert 'name="code-3" form="several" checked' in answer.text
    assert "They lose data." in answer.text


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"action": "yank", "reason": "So."}, "Tick at least one version"),
        ({"action": "yank", "reason": " ", "code-1": "on"}, "Write a reason"),
        ({"action": "publish", "reason": "So.", "code-1": "on"}, "Choose what to do"),
        ({"action": "yank", "reason": "So.", "code-9": "on", "code-x": "on"}, "Tick at least one version"),
    ],
)
def test_nothing_happens_without_versions_an_action_and_a_reason(
    store: Store, owner: httpx.Client, sent: dict[str, str], sentence: str
) -> None:
    for code in (1, 2):
        publishing.publish(store, APP_ID, code)
    answer = owner.post(f"{APP}/several", data=sent)
    assert (answer.status_code, sentence in alert(answer.text)) == (422, True)
    assert statuses(store) == ["published", "published"]


def test_more_versions_than_a_form_has_fields_are_changed_at_once(store: Store, owner: httpx.Client) -> None:
    for code in range(1, 21):
        publishing.upload(store, APP_ID, code)
    sent = {"action": "submit", "reason": "Ready."} | {f"code-{code}": "on" for code in range(1, 21)}
    assert owner.post(f"{APP}/several", data=sent).status_code == 303
    assert statuses(store) == ["in_review"] * 20


def test_a_preview_link_is_shown_once_and_revoked_on_the_page(store: Store, owner: httpx.Client) -> None:
    publishing.upload(store, APP_ID, 1)
    made = owner.post(f"{APP}/versions/1/previews", data={"days": "1"})
    [link] = re.findall(r"http://portal(/preview/[\w-]+)<", made.text)
    assert 'src="data:image/svg+xml' in made.text
    assert made.headers["cache-control"] == "private, no-store"
    page = owner.get(APP).text
    assert link not in page
    [revoke] = re.findall(r'action="(/console/[^"]*/previews/[0-9a-f]{16}/revoke)"', page)
    with calling(store) as nobody:
        assert nobody.get(link).status_code == 200
        assert owner.post(revoke).headers["location"] == f"{APP}?done=unshare"
        assert nobody.get(link).status_code == 404


def test_a_reviewer_creates_and_revokes_a_link_on_the_page_of_the_review(store: Store, owner: httpx.Client) -> None:
    publishing.upload(store, APP_ID, 1)
    publishing.change(store, APP_ID, 1, "submit")
    page, token = f"/review/{APP_ID}/1", add_developer(store, "reviewer", key=None, scope="reviewer")
    with calling(store, token) as reviewer, calling(store) as nobody:
        made = reviewer.post(f"{page}/previews", data={"days": "7"}).text
        [link] = re.findall(r"http://portal(/preview/[\w-]+)<", made)
        assert nobody.get(link).status_code == 200
        [revoke] = re.findall(r'action="(/review/[^"]*/previews/[0-9a-f]{16}/revoke)"', reviewer.get(page).text)
        assert owner.post(revoke).status_code == 403
        assert reviewer.post(revoke).headers["location"] == f"{page}?done=unshare"
        assert nobody.get(link).status_code == 404


def test_a_key_is_registered_by_what_the_command_prints(store: Store, owner: httpx.Client) -> None:
    key = Ed25519PrivateKey.generate()
    proof = registration("acme", key)
    statement = f'{{"public_key": "{proof["public_key"]}", "proof": "{proof["proof"]}"}}\n'
    assert owner.post("/console/keys", data={"statement": statement}).headers["location"] == "/console/keys?done=key"
    assert len(keys.of_developer(store.db.read(), "acme")) == 2
    again = owner.post("/console/keys", data={"statement": statement})
    assert (again.status_code, "is already registered. It is one of yours above." in alert(again.text)) == (409, True)
    with calling(store, add_developer(store, "other", key=None)) as other:
        taken = other.post("/console/keys", data={"statement": json.dumps(registration("other", key))})
    assert "Make a key of your own" in alert(taken.text)
    forged = owner.post("/console/keys", data={"statement": statement.replace(proof["proof"][:4], "AAAA")})
    assert (forged.status_code, "not a signature of key" in alert(forged.text)) == (400, True)


def test_a_private_key_that_is_pasted_is_not_shown_again(owner: httpx.Client) -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIsecret\n-----END PRIVATE KEY-----"
    answer = owner.post("/console/keys", data={"statement": pem})
    assert (answer.status_code, "This is a private key" in alert(answer.text)) == (422, True)
    assert "secret" not in answer.text


def test_a_key_is_revoked_with_a_reason(store: Store, owner: httpx.Client) -> None:
    publishing.publish(store, APP_ID, 1)
    [key] = keys.of_developer(store.db.read(), "acme")
    assert key.key_id == signature.key_id(key.public_key)
    path, page = f"/console/keys/{key.key_id}/revoke", owner.get("/console/keys").text
    assert path in page
    assert f'Signs <a href="{APP}">' in page
    assert owner.post(path, data={"reason": ""}).status_code == 422
    assert owner.post(path, data={"reason": "Stolen."}).headers["location"] == "/console/keys?done=key-revoke"
    [entry] = audit.filtered(store.db.read(), action="key.revoke")
    assert '"reason":"Stolen."' in entry.detail
    assert path not in owner.get("/console/keys").text


def test_nobody_revokes_the_key_of_another_developer(store: Store, owner: httpx.Client) -> None:
    token = add_developer(store, "thief", key=Ed25519PrivateKey.generate())
    [key] = keys.of_developer(store.db.read(), "acme")
    with calling(store, token) as thief:
        assert thief.post(f"/console/keys/{key.key_id}/revoke", data={"reason": "So."}).status_code == 404
        assert key.key_id not in thief.get("/console/keys").text
    assert keys.get(store.db.read(), key.key_id).revoked_at is None


def test_a_screenshot_moves_by_one_place(store: Store, owner: httpx.Client) -> None:
    app = apps.get(store.db.read(), APP_ID)
    added = [assets.add_screenshot(store, publishing.OWNER, app, png).sha256[:16] for png in (b"1", b"2", b"3")]
    for number, to, order in ((3, "earlier", (0, 2, 1)), (1, "later", (2, 0, 1)), (1, "earlier", (2, 0, 1))):
        answer = owner.post(f"{APP}/screenshots/{number}/move", data={"to": to})
        assert answer.headers["location"] == f"{APP}?done=move#pictures"
        shown = re.findall(r'src="/assets/[^"]+/screenshots/[0-9]\.([0-9a-f]+)', owner.get(APP).text)
        assert shown == [added[at] for at in order]


@pytest.mark.parametrize(
    ("number", "by", "order"),
    [(1, 1, [3, 1, 5]), (1, -1, [1, 3, 5]), (5, 1, [1, 3, 5]), (5, -1, [1, 5, 3]), (2, 1, [1, 3, 5])],
)
def test_an_order_with_one_moved(number: int, by: int, order: list[int]) -> None:
    assert moved([1, 3, 5], number, by) == order


def test_the_console_shows_the_space_of_each_app_and_of_all(store: Store, owner: httpx.Client) -> None:
    publishing.add_app(store, "org.example.second")
    for app_id in (APP_ID, "org.example.second"):
        publishing.upload(store, app_id, 1, payload_bytes=200_000)
    page, usage = owner.get("/console").text, owner.get("/api/me").json()["usage"]["bytes"]
    assert f'value="{usage}"' in page
    own = quotas.bytes_of_apps(store.db.read(), "acme")
    assert sum(own.values()) == usage > 400_000
    assert page.count(f'<span class="by">{size(own[APP_ID])}</span>') == 2
