"""The files of the signed catalogue below `<root>/catalogue`: which names there are, and how long caches may keep each.

A job writes them; the portal and the mirror only pass them on, each under the path that it has there.
"""

import re
from pathlib import Path

from portal.store.layout import Layout

DIRECTORY = "catalogue"
TIMESTAMP = "metadata/timestamp.json"
METADATA = r"metadata/(?:timestamp|[1-9][0-9]{0,9}\.(?:root|targets|snapshot|[0-9a-f]{3}))\.json"
DOCUMENT = r"targets/apps/[0-9a-f]{64}\.[a-z0-9._-]{1,128}\.json"
PATTERN = f"{METADATA}|{DOCUMENT}"
"""Paths below the directory, with forward slashes."""

CONTENT_TYPE = "application/json"
TIMESTAMP_CACHE = "public, max-age=60"
IMMUTABLE_CACHE = "public, max-age=31536000, immutable"


def path(layout: Layout, name: str) -> Path:
    """Where the file of that name is. Raises ValueError for a name that no file of the catalogue has."""
    if not re.fullmatch(PATTERN, name):
        raise ValueError(f"{name!r} is no file of the catalogue")
    return layout.catalogue / name


def cache_control(name: str) -> str:
    """How long a cache may keep a file; all but the timestamp never change."""
    return TIMESTAMP_CACHE if name == TIMESTAMP else IMMUTABLE_CACHE
