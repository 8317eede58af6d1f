"""What the catalogue has as withdrawn: that stays so until an unyank, whatever database is there."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from portal.store.clock import rfc3339

OFFERED = "SELECT 1 FROM versions WHERE app_id = ? AND version_code = ? AND status = 'published'"
UNYANKED = "SELECT max(at) FROM audit WHERE action = 'version.unyank' AND subject = ?"

Entry = dict[str, object]


def is_back(db: sqlite3.Connection, app_id: str, withdrawn: Entry) -> bool:
    """Whether this very withdrawal was undone. An entry of an older release does not say when it was made."""
    at = db.execute(UNYANKED, (f"{app_id}/{withdrawn['version_code']}",)).fetchone()[0]
    return at is not None and rfc3339(at) >= str(withdrawn.get("yanked_at", ""))


def forgotten(db: sqlite3.Connection, catalogue: Path) -> list[str]:
    """App and code of each version that a document below `catalogue` withdraws, and that this database offers."""
    found = set[tuple[str, int]]()
    for app_id, entry in _withdrawn(catalogue):
        code = int(str(entry["version_code"]))
        if db.execute(OFFERED, (app_id, code)).fetchone() and not is_back(db, app_id, entry):
            found.add((app_id, code))
    return [f"{app_id} {code}" for app_id, code in sorted(found)]


def _withdrawn(catalogue: Path) -> Iterator[tuple[str, Entry]]:
    for path in catalogue.glob("targets/apps/*.json"):
        try:
            document = json.loads(path.read_bytes())
            yield from [(str(document["app_id"]), dict(entry)) for entry in document["withdrawn"]]
        except (OSError, ValueError, LookupError, TypeError):  # damaged: the next run of the job writes it again
            continue
