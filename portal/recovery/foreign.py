"""What a copy of the database may contain: whoever had the drive, or the disk of a replica, may have written to it.

What becomes a part of a path is checked before anything uses it, and so are triggers and views, which would run with
the next change. The rest of a forged copy, such as its tokens, is for the operator to judge: a restore names it.
"""

import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing

from portal.packages import identifiers
from portal.recovery.errors import BackupError
from portal.store import assets, schema

COMPONENT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,254}")
SHA256 = re.compile(r"(?:[0-9a-f]{64})?")  # empty: of an image that is proposed to be deleted

Check = Callable[[object], bool]


def _matches(pattern: re.Pattern[str]) -> Check:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


COLUMNS: Mapping[str, Check] = {
    "app_id": lambda value: isinstance(value, str) and identifiers.valid_app_id(value),
    "developer_id": lambda value: isinstance(value, str) and identifiers.valid_developer_id(value),
    "version_code": lambda value: isinstance(value, int) and 0 <= value <= identifiers.LARGEST_INTEGER,
    "version_id": _matches(COMPONENT),
    "upload_id": _matches(COMPONENT),
    "sha256": _matches(SHA256),
}
"""In every table, the columns that become parts of paths."""
NAMES: Mapping[tuple[str, str], Check] = {
    (table, "name"): _matches(re.compile(assets.NAMES)) for table in ("assets", "proposed_assets")
}
"""The same of some tables alone."""
TABLES = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite%'"
PROGRAMS = "SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'view')"


def require_harmless(db: sqlite3.Connection) -> None:
    """Raises BackupError if a row names a path that no release writes, or if the database has programs of its own."""
    if unknown := sorted(_programs(db) - _programs_of_releases(db)):
        kind, name, _ = unknown[0]
        raise BackupError(f"it has the {kind} {name!r}, which this release does not know: somebody changed this copy.")
    for (table,) in db.execute(TABLES).fetchall():
        quoted = table.replace('"', '""')
        for (column,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall():
            if _check(table, column):
                values = db.execute(f'SELECT DISTINCT {column} FROM "{quoted}"')
                _require(table, column, (row[0] for row in values))


def require_harmless_row(table: str, row: Mapping[str, object]) -> None:
    """The same of one row. Raises BackupError."""
    for column, value in row.items():
        _require(table, column, [value])


def _check(table: str, column: str) -> Check | None:
    return NAMES.get((table, column)) or COLUMNS.get(column)


def _require(table: str, column: str, values: Iterable[object]) -> None:
    check = _check(table, column)
    wrong = next((value for value in values if check and value is not None and not check(value)), None)
    if wrong is not None:
        raise BackupError(
            f"its table {table} has the {column} {str(wrong)[:100]!a}, which no release writes: somebody changed it."
        )


def _programs(db: sqlite3.Connection) -> set[tuple[str, str, str]]:
    return {(str(kind), str(name), str(sql)) for kind, name, sql in db.execute(PROGRAMS)}


def _programs_of_releases(db: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """The triggers and views that a database of this schema has; of a later one, those that this release knows."""
    number: int = db.execute("PRAGMA user_version").fetchone()[0]
    with closing(sqlite3.connect(":memory:")) as known:
        for sql in schema.migrations()[:number]:
            known.executescript(sql)
        return _programs(known)
