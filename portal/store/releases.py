"""Releases: the published versions that devices install, and what retention therefore keeps.

A device installs the newest published version whose `min_api` it reaches. So a superseded version is still a release
while every newer one requires a higher API level than it does; without `min_api` a version runs on every device.
"""

import json
import sqlite3
from collections.abc import Mapping

from portal.store.versions import COLUMNS, PLACED, PlacedVersion

MIN_API = "coalesce(json_extract({}.manifest, '$.min_api'), 0)"
NEWER = (
    f"FROM versions AS newer WHERE newer.app_id = versions.app_id AND newer.{PLACED} AND +newer.status = 'published'"
    " AND newer.version_code > versions.version_code"
)

LOWEST = MIN_API.format("versions")
"""SQL: the lowest API level on which this row of `versions` runs, 0 for any."""
LOWEST_OF_NEWER = f"(SELECT min({MIN_API.format('newer')}) {NEWER})"
"""SQL: the lowest API level on which some newer published version of the app runs."""
REPLACED = f"EXISTS (SELECT 1 {NEWER} AND {MIN_API.format('newer')} <= {LOWEST})"
"""SQL: every device that could install this row of `versions` installs a newer one."""


def of_app(db: sqlite3.Connection, app_id: str) -> list[PlacedVersion]:
    """The releases of an app, newest first: the current version, then one for each lower `min_api`."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM versions WHERE app_id = ? AND {PLACED} AND +status = 'published' AND NOT {REPLACED}"
        " ORDER BY version_code DESC",
        (app_id,),
    )
    return [PlacedVersion(*row) for row in rows]


def newer(db: sqlite3.Connection, installed: Mapping[str, int], level: int) -> list[PlacedVersion]:
    """The newest version that runs on the API level, of each app of which a lower version code is installed."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM json_each(:installed) AS installed"
        " JOIN apps ON apps.app_id = installed.key AND apps.published_code > installed.value"
        " JOIN versions ON versions.version_id = ("
        "  SELECT fitting.version_id FROM versions AS fitting"
        f" WHERE fitting.app_id = apps.app_id AND fitting.{PLACED} AND +fitting.status = 'published'"
        f" AND fitting.version_code > installed.value AND {MIN_API.format('fitting')} <= :level"
        "  ORDER BY fitting.version_code DESC LIMIT 1)",
        {"installed": json.dumps(installed), "level": level},
    )
    return [PlacedVersion(*row) for row in rows]


def withdrawn(db: sqlite3.Connection, installed: Mapping[str, int]) -> list[PlacedVersion]:
    """The installed versions that were yanked."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM json_each(?) AS installed JOIN versions ON versions.app_id = installed.key"
        f" AND versions.version_code = installed.value AND versions.{PLACED} AND +versions.status = 'yanked'",
        (json.dumps(installed),),
    )
    return [PlacedVersion(*row) for row in rows]
