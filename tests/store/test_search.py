"""People find apps as they type them, in any writing; the index follows every change."""

import sqlite3
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import pytest

from portal.jobs import cleanup
from portal.store import apps, audit, database, deletion, listing, schema, search
from portal.store.store import Store
from tests.support import publishing
from tests.support.portal import add_developer

FOUND = {
    "日本語辞書": ("辞書", "日本語", "語辞", "日", "日本語 辞書", "辞書 日本語"),
    "中文输入法": ("输入法", "中文", "法"),
    "한국어사전": ("사전", "한국어", "어사"),
    "พจนานุกรมไทย": ("ไทย", "พจนานุกรม", "กรม"),
    "ព្រះរាជាណាចក្រកម្ពុជា": ("កម្ពុជា", "ព្រះរាជា"),
    "हिन्दी शब्दकोश": ("हिन्दी", "शब्द", "शब्दकोश"),
    "Straße nach İstanbul": ("strasse", "STRASSE", "straße", "istanbul", "str"),
    "Über Café Ångström": ("uber", "cafe", "cafe\u0301", "ANGSTROM", "u\u0308ber"),
    "\uff26\uff35\uff2c\uff2c ｶﾞｲﾄﾞ": ("full", "ガイド", "イド"),
    "Python入門 2": ("python", "入門", "python入門", "2"),
    "Chess reader": ("ch", "che", "chess", "re", "reader chess"),
}
MISSED = {"日本語辞書": ("書辞", "本日"), "한국어사전": ("전사",), "Chess reader": ("hess", "chessreader", "x")}

SEARCHED_SINCE = 14  # the migration that made the index


def found(store: Store, query: str) -> list[str]:
    return [app.app_id for app in apps.published(store.db.read(), query=query, limit=50)]


@pytest.fixture
def shelf(store: Store) -> Store:
    """A published app of each name."""
    add_developer(store, publishing.OWNER.developer_id)
    with store.db.write() as tx:
        for number, name in enumerate(FOUND):
            apps.add(tx, publishing.OWNER, app_id(number), name, "")
        tx.execute("UPDATE apps SET published_code = 1")
        search.refresh(tx)
    return store


def app_id(number: int) -> str:
    return f"org.example.n{number}"


def test_a_part_of_a_name_finds_the_app_and_no_other(shelf: Store) -> None:
    for number, (name, queries) in enumerate(FOUND.items()):
        for query in queries:
            assert found(shelf, query) == [app_id(number)], (name, query)


def test_what_is_not_in_a_name_does_not_find_the_app(shelf: Store) -> None:
    for name, queries in MISSED.items():
        number = [*FOUND].index(name)
        for query in queries:
            assert app_id(number) not in found(shelf, query), (name, query)


@pytest.mark.parametrize("query", ["_", "\u0301", "\u200b", '"', "*", "()", "NEAR", "a AND", "\x00", "-", "x" * 200])
def test_nothing_in_a_query_is_an_instruction(shelf: Store, query: str) -> None:
    assert found(shelf, query) == []


@pytest.mark.parametrize("query", ["の" * 200, "の " * 100, "の辞書" * 60, "\ufdfa" * 200, "a " * 100])
def test_a_query_has_as_many_words_as_people_type(query: str) -> None:
    """Each is looked for at every place where the one before it occurs: 200 took 0.2 s in a store of 30,000 apps."""
    found = search.expression(query)
    assert found is not None
    assert len(found.replace('"', " ").replace("*", " ").split()) == search.WORDS_MAX


def test_short_beginnings_have_lists_of_their_own(store: Store) -> None:
    """Which EXPLAIN does not show, and without which a search for one letter reads every word that begins with it."""
    sql = store.db.read().execute("SELECT sql FROM sqlite_schema WHERE name = 'apps_words'").fetchone()[0]
    assert "prefix = '1 2 3'" in sql


def test_the_index_follows_every_change(store: Store) -> None:
    add_developer(store, publishing.OWNER.developer_id)
    app, words = "org.example.app", ("helo", "hello", "greets", "ada", "bonjour")

    def finding() -> set[str]:
        assert not search.is_behind(store.db.read())
        return {word for word in words if found(store, word) == [app]}

    publishing.add_app(store, app)
    assert finding() == set()
    publishing.publish(store, app, 1, name="Helo", description="It greets.", author="Ada", payload_bytes=1)
    assert finding() == {"helo", "greets", "ada"}
    publishing.publish(store, app, 2, name="Hello", payload_bytes=1)
    assert finding() == {"hello"}
    publishing.change(store, app, 2, "yank", "It crashes.")
    assert finding() == {"helo", "greets", "ada"}
    with store.db.write() as tx:
        listing.replace(tx, audit.OPERATOR, apps.get(tx, app), {"name": "Bonjour"})
    assert finding() == {"bonjour", "greets", "ada"}
    deletion.delete_app(store, audit.OPERATOR, app, "By order of a court.")
    assert finding() == set()
    assert store.db.read().execute("SELECT count(*) FROM apps_words").fetchone()[0] == 0


def test_cleanup_indexes_what_an_older_program_has_changed(store: Store) -> None:
    add_developer(store, publishing.OWNER.developer_id)
    publishing.add_app(store, "org.example.app")
    publishing.publish(store, "org.example.app", 1, payload_bytes=1)
    with store.db.write() as tx:
        tx.execute("UPDATE apps SET name = '日本語辞書'")
    assert found(store, "辞書") == []
    cleanup.cleanup(store)
    assert found(store, "辞書") == ["org.example.app"]


def test_a_crash_while_the_index_catches_up_loses_one_batch(shelf: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch is a transaction of its own: other writers have their turns, and no memory holds the texts of all."""
    with shelf.db.write() as tx:
        tx.execute("UPDATE apps SET name = 'Lexicon'")
    monkeypatch.setattr(search, "BATCH", 4)
    with monkeypatch.context() as crashing, pytest.raises(StopIteration):
        crashing.setattr(shelf.db, "write", Mock(side_effect=[shelf.db.write(), shelf.db.write()]))
        search.catch_up(shelf.db)
    assert len(found(shelf, "lexicon")) == 8
    search.catch_up(shelf.db)
    assert len(found(shelf, "lexicon")) == len(FOUND)
    assert not search.is_behind(shelf.db.read())


def test_a_migration_indexes_what_is_there_and_takes_it_from_manifests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, steps = tmp_path / "portal.db", schema.migrations()
    monkeypatch.setattr(schema, "migrations", lambda: steps[: SEARCHED_SINCE - 1])
    schema.migrate(path, litestream=False)
    with closing(database.connect(path, litestream=False)) as old:
        old.execute("INSERT INTO developers (developer_id, name, created_at) VALUES ('acme', 'Acme', 1)")
        for name in ("published", "renamed", "draft"):
            insert(old, f"org.example.{name}", None if name == "draft" else 1)
        audit.append(old, audit.OPERATOR, "app.edit", "org.example.renamed", name="Helo")
    monkeypatch.undo()
    schema.migrate(path, litestream=False)
    with closing(database.Database(path, litestream=False)) as migrated:
        search.catch_up(migrated)
    with closing(database.connect(path, litestream=False)) as db:
        names = [apps.get(db, f"org.example.{name}").name for name in ("published", "renamed", "draft")]
        assert names == ["辞書", "Helo", "Helo"]
        assert [app.app_id for app in apps.published(db, query="書", limit=9)] == ["org.example.published"]
        assert [app.app_id for app in apps.published(db, query="ada", limit=9)] == [
            "org.example.published", "org.example.renamed",
        ]  # fmt: skip
        assert not search.is_behind(db)


def insert(db: sqlite3.Connection, app: str, code: int | None) -> None:
    db.execute(
        "INSERT INTO apps (app_id, developer_id, name, description, published_code, created_at, updated_at)"
        " VALUES (?, 'acme', 'Helo', '', ?, 1, 1)",
        (app, code),
    )
    db.execute(
        "INSERT INTO versions (version_id, app_id, developer_id, status, status_at, created_at, version_code,"
        " version_name, size, sha256, key_id, signature, manifest)"
        " VALUES (?, ?, 'acme', ?, 1, 1, 1, '1.0.0', 1, '', '', '', '{\"name\": \"辞書\", \"author\": \"Ada\"}')",
        (app, app, "published" if code else "draft"),
    )
