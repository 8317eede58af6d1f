"""The migrations of this checkout keep the rules of `portal.store.schema`, judged by what SQLite makes of them."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import resources
from itertools import pairwise

import pytest

from portal.store import schema
from portal.store.schema import RECORDED_SINCE

FRESH = "CREATE TABLE t (a TEXT NOT NULL, b TEXT) STRICT;"
EXPANSIONS = (
    "CREATE TABLE u (c TEXT) STRICT; CREATE UNIQUE INDEX u_c ON u (c);",
    "ALTER TABLE t ADD COLUMN c TEXT;",
    "ALTER TABLE t ADD COLUMN c INTEGER NOT NULL DEFAULT 1;",
    "CREATE INDEX t_b ON t (b);",
    "CREATE TABLE u (c TEXT) STRICT; CREATE TRIGGER t_u AFTER INSERT ON t BEGIN INSERT INTO u VALUES (new.a); END;",
)
CONTRACTIONS = (
    "DROP TABLE t;",
    "ALTER TABLE t DROP COLUMN b;",
    "ALTER TABLE t RENAME COLUMN b TO c;",
    "ALTER TABLE t RENAME TO u;",
    "CREATE UNIQUE INDEX t_b ON t (b);",
    "CREATE TRIGGER t_b BEFORE INSERT ON t BEGIN SELECT RAISE (ABORT, 'no'); END;",
    "DROP TABLE t; CREATE TABLE t (a TEXT NOT NULL, b TEXT, c TEXT NOT NULL) STRICT;",
    "DROP TABLE t; CREATE TABLE t (a TEXT NOT NULL, b TEXT CHECK (b <> '')) STRICT;",
)


def run(*steps: str) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for step in steps:
        connection.executescript(step)
    return connection


def rules(connection: sqlite3.Connection) -> tuple[dict[str, dict[str, tuple]], set[str]]:
    """Of each table its columns, and everything that can refuse a row: unique indexes, triggers that raise, checks."""
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    columns = {
        name: {row[1]: tuple(row[2:]) for row in connection.execute(f"PRAGMA table_xinfo ({name})")} for name in names
    }
    refusing = {
        f"{kind} {table}: {sql or name}"
        for kind, name, table, sql in connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema")
        if (kind == "trigger" and "RAISE" in sql)
        or (kind == "index" and (sql is None or sql.startswith("CREATE UNIQUE")))
    }
    refusing |= {
        f"check {name}: {check}"
        for name, sql in connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'")
        for check in re.findall(r"CHECK \(.*", sql)
    }
    return columns, refusing


def losses(before: sqlite3.Connection, after: sqlite3.Connection) -> Iterator[str]:
    """What a program of the schema `before` cannot do on `after`: one line each."""
    (old, refusing), (new, refusing_now) = rules(before), rules(after)
    for table, columns in old.items():
        there = new.get(table, {})
        for name, column in columns.items():
            if there.get(name) != column:
                yield f"{table}.{name} was {column}, is {there.get(name)}"
        for name in there.keys() - columns.keys():
            _, required, default, *_ = there[name]
            if required and default is None:
                yield f"{table}.{name} is required and new"
    for rule in sorted(refusing_now - refusing):
        if rule.split()[1].rstrip(":") in old:
            yield f"{rule} is new"


@pytest.mark.parametrize("step", EXPANSIONS)
def test_what_expands_is_told(step: str) -> None:
    assert list(losses(run(FRESH), run(FRESH, step))) == []


@pytest.mark.parametrize("step", CONTRACTIONS)
def test_what_contracts_is_told(step: str) -> None:
    assert list(losses(run(FRESH), run(FRESH, step)))


def test_files_are_numbered_without_a_gap() -> None:
    folder = resources.files("portal.store") / "migrations"
    assert sorted(int(file.name[:4]) for file in folder.iterdir()) == list(range(1, len(schema.migrations()) + 1))


def test_each_migration_says_what_it_is_for_older_programs() -> None:
    steps = schema.migrations()
    with closing(run(*steps)) as connection:
        said = connection.execute("SELECT number, compatible_from FROM migrations ORDER BY number").fetchall()
    assert [number for number, _ in said] == list(range(RECORDED_SINCE, len(steps) + 1))
    for (_, before), (number, oldest) in pairwise(said):
        assert before <= oldest < number, f"migration {number} locks the release before it out"
        if oldest == before:
            lost = list(losses(run(*steps[: number - 1]), run(*steps[:number])))
            assert lost == [], f"migration {number} takes something from programs of schema {oldest}"
