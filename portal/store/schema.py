"""The schema: numbered migrations, and which programs may use a database that has seen them.

A migration runs while the release before it serves, and that release must be able to go on, to start again and to be
deployed again, because nothing that a client was told is written is ever rolled back. So a migration expands: it adds
tables, indexes, and columns that have a default or may be NULL, and ends with a line that says so:

    INSERT INTO migrations VALUES (7, 3); -- this one, and the oldest schema whose programs may use the database since

What is to go goes in two releases: one that no longer uses it, with a migration of its own, if only that line; and a
later one that removes it and names the first one's schema in the line. Without the line no older program may use the
database. A migration that has run anywhere is never edited: another one mends it.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from portal.store.database import connect, turn
from portal.store.errors import DatabaseUnusable

RECORDED_SINCE = 3  # the migration that made the table of migrations


@dataclass(frozen=True)
class Schema:
    """Of a database: how many migrations it has seen, and the oldest schema whose programs may use it."""

    number: int
    compatible_from: int


def migrations() -> list[str]:
    """The SQL of each migration, in order; the schema's number is how many have run."""
    folder = resources.files("portal.store") / "migrations"
    return [f.read_text() for f in sorted(folder.iterdir(), key=lambda f: f.name) if f.name.endswith(".sql")]


def found(path: Path) -> Schema | None:
    """What the database is, or None when there is none. Raises DatabaseUnusable."""
    if not path.exists():
        return None
    try:
        with closing(connect(path, litestream=True)) as connection:
            number = connection.execute("PRAGMA user_version").fetchone()[0]
            if number < RECORDED_SINCE:
                return Schema(number, number)
            last, oldest = connection.execute("SELECT max(number), max(compatible_from) FROM migrations").fetchone()
    except sqlite3.DatabaseError as error:
        raise DatabaseUnusable(f"{path} cannot be read: {error}. `mosis restore` brings back the last copy.") from error
    return Schema(number, oldest if last == number else number)


def usable(path: Path) -> Schema:
    """The schema of a database that this program may use, once it is migrated. Raises DatabaseUnusable."""
    schema, own = found(path), len(migrations())
    if schema is None:
        raise DatabaseUnusable(f"{path} is missing: run `mosis init` on a new store, `mosis restore` on an old one.")
    if schema.compatible_from > own:
        raise DatabaseUnusable(
            f"{path} has schema {schema.number}, for programs of schema {schema.compatible_from} and newer; "
            f"this program's is {own}: upgrade the program."
        )
    return schema


def require(path: Path) -> Schema:
    """The schema of a database that this program may use as it is. Raises DatabaseUnusable."""
    schema, own = usable(path), len(migrations())
    if schema.number < own:
        raise DatabaseUnusable(f"{path} has schema {schema.number}, this program needs {own}: run `mosis init`.")
    return schema


def migrate(path: Path, *, litestream: bool) -> bool:
    """Create the database or bring it to this program's schema; each step whole or not at all. True if it changed."""
    steps = migrations()
    with turn(path), closing(connect(path, litestream=litestream, mode="rwc")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        number = connection.execute("PRAGMA user_version").fetchone()[0]
        for step, sql in enumerate(steps[number:], start=number + 1):
            connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA user_version = {step};\nCOMMIT;")
        return number < len(steps)
