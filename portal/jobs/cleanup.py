"""The hourly cleanup: versions whose time is over, and what crashes left under `temp/`."""

import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from portal.store import audit, files, job_runs, retention
from portal.store.clock import now
from portal.store.layout import SYSTEM_NAMES
from portal.store.retention import Rule
from portal.store.store import Store
from portal.store.versions import Version


@dataclass(frozen=True)
class Deletion:
    """One thing whose time is over: a version by the rule `label`, or a directory under `temp/`."""

    label: str
    subject: str


def cleanup(store: Store, *, dry_run: bool = False) -> list[Deletion]:
    """Delete what is due and return it; with `dry_run` only return it."""
    if dry_run:
        return list(_due(store))
    with job_runs.recorded(store.db, "cleanup"):
        deleted = [Deletion(rule.label, _subject(version)) for rule, version in _expire(store)]
        deleted += list(_sweep(store))
        with store.db.write() as tx:
            for label, number in Counter(deletion.label for deletion in deleted).items():
                job_runs.count(tx, "cleanup_deleted", label, number)
    return deleted


def _due(store: Store) -> Iterator[Deletion]:
    for rule in retention.RULES:
        for version in retention.due(store.db.read(), rule, now()):
            yield Deletion(rule.label, _subject(version))
    for path in _leftovers(store):
        yield Deletion("temp", path.name)


def _expire(store: Store) -> Iterator[tuple[Rule, Version]]:
    for rule in retention.RULES:
        for version in retention.due(store.db.read(), rule, now()):
            if _delete(store, rule, version):
                yield rule, version


def _delete(store: Store, rule: Rule, version: Version) -> bool:
    """Take the version away unless its status changed meanwhile. Files leave before the row, in one rename."""
    trash = store.layout.staging(f"expired-{secrets.token_hex(8)}")
    with store.db.write() as tx:
        if version not in retention.due(tx, rule, now()):
            return False
        if version.version_code is not None:
            directory = store.layout.package_directory(version.developer_id, version.app_id, version.version_code)
            if directory.exists():
                directory.rename(trash)
        else:
            trash = store.layout.staging(version.version_id)
        tx.execute("DELETE FROM versions WHERE version_id = ?", (version.version_id,))
        audit.append(tx, audit.OPERATOR, "version.expire", _subject(version), rule=rule.label)
    files.discard(trash)
    return True


def _sweep(store: Store) -> Iterator[Deletion]:
    for path in _leftovers(store):
        files.discard(path)
        yield Deletion("temp", path.name)


def _leftovers(store: Store) -> list[Path]:
    """Directories under `temp/` older than an upload may be, that no upload under way owns."""
    query = "SELECT version_id FROM versions WHERE status = 'uploading'"
    owned = {row[0] for row in store.db.read().execute(query)}
    oldest = now() - retention.UPLOAD_SECONDS
    return [
        path
        for path in sorted(store.layout.area("temp").iterdir())
        if path.is_dir() and path.name not in owned and path.name not in SYSTEM_NAMES and path.stat().st_mtime <= oldest
    ]


def _subject(version: Version) -> str:
    return f"{version.app_id}/{version.version_code or version.version_id}"
