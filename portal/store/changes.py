"""What a version changes against the one that is published: what a reviewer looks at."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from portal.packages import package as packages
from portal.packages import signature
from portal.packages.errors import PackageRejected
from portal.store import app_keys, versions
from portal.store.errors import Refused
from portal.store.store import Store
from portal.store.versions import PlacedVersion

LISTED_MAX = 1000  # files of a kind
EXPECTED = ("version_name", "version_code")  # members of a manifest that each version changes
Key = Literal["first", "same", "other"]


@dataclass(frozen=True)
class Overview:
    """`size_change` is in bytes. The key is the `first` of the app, the `same` as before, or an `other` one."""

    published: PlacedVersion | None
    size_change: int | None
    new_permissions: list[str]
    key: Key


@dataclass(frozen=True)
class Member:
    """A member of the manifest; None where it has none."""

    name: str
    before: object
    after: object


@dataclass(frozen=True)
class File:
    """A file of the packages, sizes in bytes; None where it is not."""

    path: str
    size_before: int | None
    size: int | None


@dataclass(frozen=True)
class Files:
    """At most LISTED_MAX of each kind are listed; the numbers count all."""

    added: list[File]
    removed: list[File]
    changed: list[File]
    numbers: Mapping[str, int]


def overview(db: sqlite3.Connection, version: PlacedVersion) -> Overview:
    """What needs no look into the packages."""
    before = _published(db, version)
    signer = app_keys.signer(db, version.app_id, version.version_code)
    return Overview(
        before,
        None if before is None else version.size - before.size,
        sorted(_permissions(version) - (_permissions(before) if before else set())),
        "first" if signer is None else "same" if signer.key_id == version.key_id else "other",
    )


def members(version: PlacedVersion, before: PlacedVersion | None) -> list[Member]:
    """The members of the manifest that differ; of the first version all."""
    old, new = (json.loads(each.manifest) if each else {} for each in (before, version))
    names = sorted((old.keys() | new.keys()) - set(EXPECTED))
    return [Member(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def files(store: Store, version: PlacedVersion, before: PlacedVersion | None) -> Files:
    """The files that differ by their digests; takes the time of reading both packages.

    Raises Refused (FILE_NOT_FOUND) if one cannot be read.
    """
    old, new = (_entries(store, each) if each else {} for each in (before, version))
    kinds = {
        "added": [File(path, None, new[path][1]) for path in sorted(new.keys() - old.keys())],
        "removed": [File(path, old[path][1], None) for path in sorted(old.keys() - new.keys())],
        "changed": [
            File(path, old[path][1], new[path][1]) for path in sorted(old.keys() & new.keys()) if old[path] != new[path]
        ],
    }
    numbers = {kind: len(found) for kind, found in kinds.items()}
    return Files(**{kind: found[:LISTED_MAX] for kind, found in kinds.items()}, numbers=numbers)


def _published(db: sqlite3.Connection, version: PlacedVersion) -> PlacedVersion | None:
    """The highest published version below this one."""
    row = db.execute(
        f"SELECT {versions.COLUMNS} FROM versions WHERE app_id = ? AND {versions.PLACED} AND +status = 'published'"
        " AND version_code < ? ORDER BY version_code DESC LIMIT 1",
        (version.app_id, version.version_code),
    ).fetchone()
    return PlacedVersion(*row) if row else None


def _permissions(version: PlacedVersion) -> set[str]:
    return set(json.loads(version.manifest).get("permissions", []))


def _entries(store: Store, version: PlacedVersion) -> dict[str, tuple[str, int]]:
    """Digest and size of each file, by its path."""
    path = store.layout.package(version.developer_id, version.app_id, version.version_code)
    try:
        statement = packages.accepted_statement(path)
    except (OSError, PackageRejected):
        raise Refused(
            "FILE_NOT_FOUND", f"The package of {version.app_id} {version.version_code} cannot be read."
        ) from None
    found = {}
    for line in statement.decode().split("\n")[signature.HEADER_LINES : -1]:
        sha256, size, name = line.split("  ", 2)
        found[name] = (sha256, int(size))
    return found
