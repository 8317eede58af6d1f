"""The schema: numbered migrations, and which releases can use a migrated database.

A migration runs while the previous release serves, and that release must be able to continue, restart and be deployed
again, because acknowledged writes are never rolled back. So a migration only expands: it adds tables, indexes, and
columns that have a default or may be NULL, and ends with a line that declares this:

    INSERT INTO migrations VALUES (7, 3); -- this migration, and the oldest schema whose releases can use the result

Removing something takes two releases: the first no longer uses it and has a migration, if only that line; the second
removes it, and its line names the schema of the first. Without the line, no older release can use the database. Never
edit a migration that has run anywhere; add another one.
"""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from portal.settings import MIB
from portal.store.database import connect, turn
from portal.store.errors import DatabaseUnusable

RECORDED_SINCE = 3  # the migration that made the table of migrations
PRIMARY_CODE = 0xFF  # mask of a result code of SQLite; the rest says where it occurred
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)  # ERROR: a table is missing


@dataclass(frozen=True)
class Schema:
    """The number of migrations that a database has run, and the oldest schema whose releases can use it."""

    number: int
    compatible_from: int


def migrations() -> list[str]:
    """The SQL of each migration, in order; the number of a schema is how many have run."""
    folder = resources.files("portal.store") / "migrations"
    return [f.read_text() for f in sorted(folder.iterdir(), key=lambda f: f.name) if f.name.endswith(".sql")]


def found(path: Path) -> Schema | None:
    """The schema of a database, or None if it does not exist. Raises DatabaseUnusable."""
    if not path.exists():
        return None
    try:
        with closing(connect(path, litestream=True)) as connection:
            number = connection.execute("PRAGMA user_version").fetchone()[0]
            if number < RECORDED_SINCE:
                return Schema(number, number)
            last, oldest = connection.execute("SELECT max(number), max(compatible_from) FROM migrations").fetchone()
    except sqlite3.DatabaseError as error:
        raise DatabaseUnusable(f"{path} cannot be read: {error}. {_remedy(path, error)}") from error
    return Schema(number, oldest if last == number else number)


def _remedy(path: Path, error: sqlite3.DatabaseError) -> str:
    if error.sqlite_errorcode & PRIMARY_CODE in DAMAGED:
        return "`mosis restore --replace-database` restores the last copy."
    # SQLite reports an input/output error too when the disk has no room for its index of the WAL.
    free = shutil.disk_usage(path.parent).free // MIB
    return f"Its disk has {free} MiB free: free space if that is little, else check the disk."


def usable(path: Path) -> Schema:
    """The schema of a database that this program can use after migrating it. Raises DatabaseUnusable."""
    schema, own = found(path), len(migrations())
    if schema is None:
        raise DatabaseUnusable(
            f"{path} is missing: run `mosis setup` for a new store, or `mosis restore` for one that was lost."
        )
    if schema.compatible_from > own:
        raise DatabaseUnusable(
            f"{path} has schema {schema.number}, which requires a program of schema {schema.compatible_from} or newer; "
            f"this program has schema {own}: upgrade the program."
        )
    return schema


def require(path: Path) -> Schema:
    """The schema of a database that this program can use unchanged. Raises DatabaseUnusable."""
    schema, own = usable(path), len(migrations())
    if schema.number < own:
        raise DatabaseUnusable(f"{path} has schema {schema.number}, this program requires {own}: run `mosis setup`.")
    return schema


def migrate(path: Path, *, litestream: bool) -> bool:
    """Create or migrate the database, each migration in a transaction. Returns whether it changed.

    What is published is found again after `search.catch_up`.
    """
    steps = migrations()
    with turn(path), closing(connect(path, litestream=litestream, mode="rwc")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        number: int = connection.execute("PRAGMA user_version").fetchone()[0]
        for step, sql in enumerate(steps[number:], start=number + 1):
            connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA user_version = {step};\nCOMMIT;")
        return number < len(steps)
