"""What devices read, over real HTTP."""

import httpx

from portal.http.routes import store as routes
from portal.store import search
from tests.support.portal import Portal, Publisher, problem


def test_the_list_finds_published_apps_by_words_and_their_beginnings(publisher: Publisher) -> None:
    name = f"Reader {publisher.developer_id}"
    url = f"{publisher.portal.url}/api/store/apps"
    assert publisher.app_id not in httpx.get(url, params={"q": name}).text
    publisher.publish(1, name=name)
    for query in (name, name.lower(), publisher.app_id, publisher.app_id.rpartition(".")[2][:4]):
        found = httpx.get(url, params={"q": query}).json()["apps"]
        assert publisher.app_id in {app["app_id"] for app in found}, query
    for query in ("no such words", '"', "*", "app AND", "app OR NOT", "'); DROP TABLE apps", "\x00"):
        assert httpx.get(url, params={"q": query}).raise_for_status().json()["apps"] == [], query


def test_the_current_version_names_and_describes_the_app(publisher: Publisher) -> None:
    """In the store info, in the list and in the search, also when a yank brings an older version back."""

    def shown(word: str) -> list[tuple[str, str]]:
        listed = httpx.get(f"{publisher.portal.url}/api/store/apps", params={"q": f"{word} {publisher.app_id}"}).json()
        info = httpx.get(f"{publisher.portal.url}/api/store/apps/{publisher.app_id}").json()
        return [(app["name"], app["description"]) for app in (info, *listed["apps"])]

    publisher.publish(1, name="Helo", description="It greets.")
    assert shown("helo") == [("Helo", "It greets.")] * 2
    publisher.publish(2, name="Hello")
    assert shown("hello") == [("Hello", "")] * 2
    assert len(shown("helo")) == 1
    publisher.publish(3, name="Bonjour", description="Il salue.")
    assert shown("salue") == [("Bonjour", "Il salue.")] * 2
    publisher.step(3, "yank", reason="It is French.").raise_for_status()
    assert shown("hello")[0][0] == "Hello"


def test_pages_follow_each_other_without_gap_or_repetition(portal: Portal, publisher: Publisher) -> None:
    wanted = 2 * routes.PAGE + 1
    with portal.store.db.write() as tx:
        tx.executemany(
            "INSERT INTO apps (app_id, developer_id, name, description, published_code, created_at, updated_at)"
            " VALUES (?, ?, 'Paged', '', 1, 0, 0)",
            [(f"org.paged.a{number}", publisher.developer_id) for number in range(wanted)],
        )
        search.refresh(tx)
    seen, cursor = [], ""
    while cursor is not None:
        page = httpx.get(f"{portal.url}/api/store/apps", params={"q": "paged", "cursor": cursor}).json()
        seen += [app["app_id"] for app in page["apps"]]
        cursor = page["cursor"]
    assert seen == [f"org.paged.a{number}" for number in range(wanted)]


def test_a_cursor_that_the_list_never_gave(portal: Portal) -> None:
    problem(httpx.get(f"{portal.url}/api/store/apps", params={"cursor": "../x"}), 400, "INVALID_REQUEST")


def test_unknown_addresses_are_problems_too(portal: Portal) -> None:
    for path in ("/nothing", "/api/store/apps/org.example.none", "/downloads/a/b/0/package.mosis",
                 "/downloads/a/b/99999999999999999999/package.mosis", "/assets/../data/portal.db",
                 "/assets/a/icon-33.png", "/downloads/a/org.example.none/1/package.mosis"):  # fmt: skip
        problem(httpx.get(portal.url + path), 404, "NOT_FOUND")
    answer = httpx.put(f"{portal.url}/api/store/apps")
    problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET, HEAD"
    slash = problem(httpx.get(f"{portal.url}/api/store/apps/"), 404, "NOT_FOUND")
    assert slash["detail"].endswith("No address of the store ends with a slash.")


def test_search_uses_its_index(portal: Portal) -> None:
    plan = "".join(
        row["detail"]
        for row in portal.store.db.read().execute(
            "EXPLAIN QUERY PLAN SELECT app_id FROM apps WHERE published_code IS NOT NULL AND app_id > ?"
            " ORDER BY app_id LIMIT 50",
            ("a",),
        )
    )
    assert "apps_published" in plan
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan
