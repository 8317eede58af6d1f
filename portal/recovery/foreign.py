"""What a copy of the database may contain: anybody with access to the drive or the replica may have written to it.

What becomes a part of a path is checked before anything uses it, and so are triggers, views and virtual tables: they
run with the next change, answer in place of rows that were checked, or keep the log append-only. The rest of a forged
copy, such as its tokens, is for the operator to judge: a restore names it.
"""

import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

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
LONGEST = 64 * 1024 * 1024  # bytes of a value; a manifest has 256 KiB
STORED, VIRTUAL = "table", "virtual"  # types of tables, as PRAGMA table_list has them
EXPRESSION = -2  # in place of the number of a column, as PRAGMA index_xinfo has it


def opened(path: Path, *, live: bool = False) -> sqlite3.Connection:
    """A copy, to be read before it is known to be harmless. Unless it is `live` and may have a WAL, nothing is locked,
    and nothing written beside it.

    Raises BackupError for anything but a file, and where a view, a computed column or an index would compute something:
    it may never end, or take all memory. Raises sqlite3.Error.
    """
    try:
        is_file = path.is_file()
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}.") from error
    if not is_file:  # a pipe, or a link to a device without end
        raise BackupError(f"{path} cannot be read: it is no file.")
    mode = "mode=ro" if live else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        if view := connection.execute("SELECT name FROM sqlite_master WHERE type = 'view' LIMIT 1").fetchone():
            raise BackupError(f"{path} has the view {view[0]!a}, which no release has: somebody changed this copy.")
        for table in tables(connection, STORED):
            columns(connection, table)
        if index := _unknown_index(connection):
            raise BackupError(
                f"{path} has the index {index!a}, which this release does not know: a later one made it, or somebody"
                " changed this copy."
            )
    except BaseException:
        connection.close()
        raise
    connection.row_factory = sqlite3.Row
    return connection


def require_harmless(db: sqlite3.Connection) -> None:
    """Raises BackupError if a row names a path that no release writes, or if the database has programs of its own."""
    _require_programs(db)
    for table in tables(db, STORED):
        for column in columns(db, table):
            if _check(table, column):
                values = db.execute(f"SELECT DISTINCT {column} FROM {_quoted(table)}")
                _require(table, column, (row[0] for row in values))


def tables(db: sqlite3.Connection, kind: str) -> list[str]:
    """The tables of a kind. By the PRAGMA: a table of the copy may have the name of the function pragma_table_list."""
    return [
        name for schema_name, name, its, *_ in db.execute("PRAGMA table_list") if (schema_name, its) == ("main", kind)
    ]


def columns(db: sqlite3.Connection, table: str) -> list[str]:
    """Its columns. Raises BackupError for one that is computed, which no release has: no check of rows lasts."""
    found = db.execute(f"PRAGMA table_xinfo({_quoted(table)})").fetchall()
    if computed := [name for _, name, *_, hidden in found if hidden]:
        raise BackupError(f"its table {table} computes the column {computed[0]!a}: somebody changed this copy.")
    return [name for _, name, *_ in found]


def _unknown_index(db: sqlite3.Connection) -> str | None:
    """The name of an index that computes something which the releases do not: SQLite does so to check the file."""
    found, steps = _computing_indexes(db), iter(schema.migrations())
    with closing(sqlite3.connect(":memory:")) as known:
        while found and (sql := next(steps, None)):  # no step beyond those: it may not work yet
            known.executescript(sql)
            found -= _computing_indexes(known)
    return next((name for name, _ in sorted(found)), None)


def _computing_indexes(db: sqlite3.Connection) -> set[tuple[str, str]]:
    """Name and SQL of the indexes with an expression, or of some rows only; by PRAGMAs, as `tables`."""
    sql = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'"))
    every = [row[1] for row in db.execute("PRAGMA table_list") if row[0] == "main"]
    indexes = [index for table in every for index in db.execute(f"PRAGMA index_list({_quoted(table)})")]
    return {(name, str(sql.get(name))) for _, name, _, _, partial in indexes if partial or _has_expression(db, name)}


def _has_expression(db: sqlite3.Connection, index: str) -> bool:
    return any(column == EXPRESSION for _, column, *_ in db.execute(f"PRAGMA index_xinfo({_quoted(index)})"))


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def require_harmless_row(table: str, row: Mapping[str, object]) -> None:
    """The same of one row. Raises BackupError."""
    for column, value in row.items():
        _require(table, column, [value])


def _check(table: str, column: str) -> Check | None:
    table, column = table.lower(), column.lower()  # as SQLite compares names
    return NAMES.get((table, column)) or COLUMNS.get(column)


def _require(table: str, column: str, values: Iterable[object]) -> None:
    check = _check(table, column)
    wrong = next((value for value in values if check and value is not None and not check(value)), None)
    if wrong is not None:
        raise BackupError(
            f"its table {table} has the {column} {str(wrong)[:100]!a}, which no release writes: somebody changed it."
        )


def _require_programs(db: sqlite3.Connection) -> None:
    """Raises BackupError unless the triggers, views and virtual tables are those of the releases."""
    number: int = db.execute("PRAGMA user_version").fetchone()[0]
    steps = schema.migrations()
    present, known = _programs(db), _programs_of(steps[:number])
    why = (
        f"it has schema {number}, this release has {len(steps)}: restore it with the release that wrote it, or a later"
        " one."
        if number > len(steps)  # what that changes cannot be told from what somebody changed
        else "somebody changed this copy."
    )
    for kind, name, _ in sorted(present - known):
        raise BackupError(f"it has the {kind} {name!r}, which this release does not know: {why}")
    for kind, name, _ in sorted(known - present):
        raise BackupError(f"it lacks the {kind} {name!r}: {why}")


def _programs(db: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Type, name and SQL of what runs or answers in place of a table."""
    found = db.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    virtual = tables(db, VIRTUAL)
    kinds = {(kind, str(name), str(sql)) for kind, name, sql in found if kind in ("trigger", "view")}
    return kinds | {("virtual table", name, str(sql)) for _, name, sql in found if name in virtual}


def _programs_of(steps: Sequence[str]) -> set[tuple[str, str, str]]:
    """What these migrations make; of a later schema, what this release knows."""
    with closing(sqlite3.connect(":memory:")) as known:
        for sql in steps:
            known.executescript(sql)
        return _programs(known)
