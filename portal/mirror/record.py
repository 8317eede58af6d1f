"""What this host knows of its bucket, in `data/mirror.db`: what is there, and what has to be copied there.

It is not part of the store's database, because a database that is restored does not change the bucket. It may be lost:
the next run compares each object with the bucket again.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Self

from portal.store import disposable
from portal.store.audit import Head
from portal.store.disposable import Format
from portal.store.layout import Layout

SCHEMA = """
CREATE TABLE objects ( -- found in the bucket, complete
    key            TEXT PRIMARY KEY,
    app_id         TEXT NOT NULL,
    sha256         TEXT NOT NULL,
    etag           TEXT NOT NULL,
    unwanted_since INTEGER -- since when no document in the bucket names it; 0: one may still
) STRICT, WITHOUT ROWID;
CREATE INDEX objects_of_app ON objects (app_id);
CREATE INDEX objects_unwanted ON objects (unwanted_since) WHERE unwanted_since IS NOT NULL;
CREATE TABLE pending ( -- to be copied
    key         TEXT PRIMARY KEY,
    app_id      TEXT NOT NULL,
    is_document INTEGER NOT NULL,
    since       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_of_app ON pending (app_id, is_document);
CREATE TABLE names ( -- what bins and documents of the catalogue lead devices to
    holder TEXT NOT NULL,
    key    TEXT NOT NULL,
    PRIMARY KEY (holder, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX names_of_key ON names (key);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""
FORMAT = Format(SCHEMA, version=2)


class Pending(NamedTuple):
    """How many objects have to be copied, and since when the oldest, in seconds since 1970; 0: none."""

    number: int
    since: int


class Unwanted(NamedTuple):
    """An object that is to be deleted; `sha256` in hex."""

    key: str
    app_id: str
    sha256: str


class Record:
    """One connection; each method is a transaction, unless it is called inside `at_once`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @classmethod
    def open(cls, layout: Layout) -> Self:
        """The record of this host; begun anew if it is damaged or of another release. Raises sqlite3.Error."""
        return cls(FORMAT.open(_path(layout)))

    @classmethod
    def read(cls, layout: Layout) -> Self:
        """The record for reading; an empty one if it cannot be read."""
        return cls(FORMAT.read(_path(layout)))

    @classmethod
    def empty(cls) -> Self:
        """A record of nothing, in memory."""
        return cls(FORMAT.empty())

    def copy(self) -> Self:
        """A copy in memory, which may be changed without a trace."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        self._db.backup(connection)
        return type(self)(connection)

    def close(self) -> None:
        self._db.close()

    def at_once(self) -> AbstractContextManager[None]:
        """All changes of the block, or none."""
        return disposable.at_once(self._db)

    @property
    def head(self) -> Head | None:
        """The row of the audit log up to which the database was compared with the record."""
        found = self._fact("head")
        return Head(int(found.partition(":")[0]), found.partition(":")[2]) if found else None

    @head.setter
    def head(self, head: Head) -> None:
        self._set("head", str(head))

    @property
    def claim(self) -> str | None:
        """What the marker in the bucket says while this record is the one that describes the bucket."""
        return self._fact("claim")

    @property
    def claims(self) -> tuple[str | None, ...]:
        """Its claim, and the one that it was about to have."""
        return self.claim, self._fact("intended")

    def intend(self, claim: str) -> None:
        """The bucket is about to get this claim."""
        self._set("intended", claim)

    @property
    def deletions(self) -> int:
        """How many runs have deleted objects from the bucket since it has this claim."""
        return int(self._fact("deletions") or 0)

    @deletions.setter
    def deletions(self, number: int) -> None:
        self._set("deletions", str(number))

    @property
    def listed_at(self) -> int:
        """When the record was last compared with the list of the bucket, in seconds since 1970; 0: never."""
        return int(self._fact("listed_at") or 0)

    @listed_at.setter
    def listed_at(self, at: int) -> None:
        self._set("listed_at", str(at))

    @property
    def swept_at(self) -> int:
        """When the private bucket was last searched for uploads that are done with, in seconds since 1970; 0: never."""
        return int(self._fact("swept_at") or 0)

    @swept_at.setter
    def swept_at(self, at: int) -> None:
        self._set("swept_at", str(at))

    def reset(self, claim: str | None) -> None:
        """Forget everything: this is another bucket, or there is none."""
        with self.at_once():
            for table in ("objects", "pending", "names", "facts"):
                self._db.execute(f"DELETE FROM {table}")
            if claim:
                self._set("claim", claim)

    def apps(self) -> set[str]:
        """Apps that have something in the bucket or waiting for it."""
        return {row[0] for row in self._db.execute("SELECT app_id FROM objects UNION SELECT app_id FROM pending")}

    def objects(self, app_id: str) -> dict[str, str]:
        """The digests of an app's objects in the bucket, by key."""
        return dict(self._db.execute("SELECT key, sha256 FROM objects WHERE app_id = ?", (app_id,)))

    def has(self, key: str, sha256: str) -> bool:
        """Whether the bucket has this object, and keeps it."""
        query = "SELECT 1 FROM objects WHERE key = ? AND sha256 = ? AND unwanted_since IS NULL"
        return self._db.execute(query, (key, sha256)).fetchone() is not None

    def contains(self, key: str, sha256: str) -> bool:
        """Whether the bucket has this object, perhaps not for long."""
        query = "SELECT 1 FROM objects WHERE key = ? AND sha256 = ?"
        return self._db.execute(query, (key, sha256)).fetchone() is not None

    def name(self, holder: str, keys: Iterable[str]) -> None:
        """The object `holder` leads devices to these: as long as the bucket has it, they are not deleted."""
        with self.at_once():
            self._db.execute("DELETE FROM names WHERE holder = ?", (holder,))
            self._db.executemany("INSERT OR IGNORE INTO names VALUES (?, ?)", [(holder, key) for key in keys])

    def named(self, holder: str) -> set[str]:
        return {row[0] for row in self._db.execute("SELECT key FROM names WHERE holder = ?", (holder,))}

    def forget_names(self) -> None:
        """Of holders that the bucket has not got."""
        self._db.execute("DELETE FROM names WHERE holder NOT IN (SELECT key FROM objects)")

    def app_of(self, key: str) -> str | None:
        """The app of an object that is in the bucket."""
        row = self._db.execute("SELECT app_id FROM objects WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def etags(self) -> dict[str, str]:
        """The entity tags of all objects, by key."""
        return dict(self._db.execute("SELECT key, etag FROM objects"))

    def count(self) -> int:
        number: int = self._db.execute("SELECT count(*) FROM objects").fetchone()[0]
        return number

    def want(self, key: str, app_id: str, since: int, *, is_document: bool) -> None:
        """An object has to be copied; it keeps an earlier `since`."""
        self._db.execute(
            "INSERT INTO pending VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", (key, app_id, is_document, since)
        )

    def keep(self, app_id: str, keys: Iterable[str]) -> None:
        """Of this app only these keys are wanted: nothing else is copied, and none of them is deleted."""
        wanted = set(keys)
        waiting = {row[0] for row in self._db.execute("SELECT key FROM pending WHERE app_id = ?", (app_id,))}
        self._db.executemany("DELETE FROM pending WHERE key = ?", [(key,) for key in waiting - wanted])
        self._db.executemany(
            "UPDATE objects SET unwanted_since = NULL WHERE key = ? AND unwanted_since IS NOT NULL",
            [(key,) for key in wanted],
        )

    def unwant(self, keys: Iterable[str]) -> None:
        """Objects that are to be deleted, late; those that already are keep their time."""
        self._db.executemany(
            "UPDATE objects SET unwanted_since = 0 WHERE key = ? AND unwanted_since IS NULL", [(key,) for key in keys]
        )

    def unwant_unknown(self, one: Unwanted, etag: str) -> None:
        """An object of the bucket that this record did not know is to be deleted, late."""
        self._db.execute("INSERT OR IGNORE INTO objects VALUES (?, ?, ?, ?, 0)", (*one, etag))

    def unnamed(self, at: int) -> None:
        """From now on no document in the bucket names what is unwanted, except of apps whose documents still wait."""
        self._db.execute(
            "UPDATE objects SET unwanted_since = ? WHERE unwanted_since = 0"
            " AND NOT EXISTS (SELECT 1 FROM pending WHERE pending.app_id = objects.app_id)",
            (at,),
        )

    def have(self, key: str, app_id: str, sha256: str, etag: str) -> None:
        """An object is in the bucket, and complete."""
        with self.at_once():
            self._db.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, NULL)", (key, app_id, sha256, etag))
            self._db.execute("DELETE FROM pending WHERE key = ?", (key,))

    def lack(self, key: str) -> str | None:
        """An object is not in the bucket, or differs. Returns its app, if there was a record of it."""
        with self.at_once():
            row = self._db.execute("DELETE FROM objects WHERE key = ? RETURNING app_id", (key,)).fetchone()
            self._db.execute("DELETE FROM names WHERE holder = ?", (key,))
        return row[0] if row else None

    def pending(self) -> Pending:
        """Of all apps."""
        return Pending(*self._db.execute("SELECT count(*), coalesce(min(since), 0) FROM pending").fetchone())

    def pending_of(self, app_id: str) -> int:
        """How many objects of an app have to be copied."""
        number: int = self._db.execute("SELECT count(*) FROM pending WHERE app_id = ?", (app_id,)).fetchone()[0]
        return number

    def pending_keys(self) -> list[str]:
        return [row[0] for row in self._db.execute("SELECT key FROM pending ORDER BY is_document, since, key")]

    def waiting(self, *, documents: bool) -> dict[str, list[str]]:
        """Keys to be copied, by app, the oldest first; documents only of apps whose files are all in the bucket."""
        found: dict[str, list[str]] = {}
        for app_id, key in self._db.execute(
            "SELECT app_id, key FROM pending WHERE is_document = ?1 AND (NOT ?1 OR NOT EXISTS"
            " (SELECT 1 FROM pending AS file WHERE file.app_id = pending.app_id AND NOT file.is_document))"
            " ORDER BY since, key",
            (documents,),
        ):
            found.setdefault(app_id, []).append(key)
        return found

    def unwanted(self, until: int) -> list[Unwanted]:
        """Objects that no document in the bucket has named since `until` or longer."""
        rows = self._db.execute(
            "SELECT key, app_id, sha256 FROM objects WHERE unwanted_since BETWEEN 1 AND ?"
            " AND NOT EXISTS (SELECT 1 FROM names WHERE names.key = objects.key) ORDER BY key",
            (until,),
        )
        return [Unwanted(*row) for row in rows]

    def _fact(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def _set(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def _path(layout: Layout) -> Path:
    return layout.area("data") / "mirror.db"
