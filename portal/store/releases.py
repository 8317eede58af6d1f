"""Releases: the published versions that devices install, and what retention therefore keeps.

A device installs the newest published version whose `min_api` it reaches. So a superseded version is still a release
while every newer one requires a higher API level than it does; without `min_api` a version runs on every device.
"""

import sqlite3

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
