"""Whether the catalogue on the disk is whole, checked without python-tuf, which takes longer to load than this to run.

Signatures are not verified: the job and the mirror do that.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portal.store import catalogue_files
from portal.store.layout import Layout

Meta = dict[str, dict[str, Any]]


class Damaged(Exception):
    """A file is missing or is not what another one names; the message names it, without a remedy."""


@dataclass(frozen=True)
class Versions:
    """Of the snapshot, and of the newest root, in the catalogue."""

    snapshot: int
    root: int


def read(layout: Layout) -> Versions:
    """Follow the timestamp to every file of metadata. Raises Damaged."""
    metadata = layout.catalogue / "metadata"
    timestamp = _meta(layout.catalogue / catalogue_files.TIMESTAMP)
    try:
        named = timestamp["snapshot.json"]
        version, sha256 = int(named["version"]), str(named["hashes"]["sha256"])
    except (LookupError, TypeError, ValueError):
        raise Damaged(f"{layout.catalogue / catalogue_files.TIMESTAMP} is damaged") from None
    snapshot = metadata / f"{version}.snapshot.json"
    roles = _meta(snapshot, sha256)
    for name in (f"{meta['version']}.{role}" for role, meta in roles.items()):
        if not _size(metadata / name):
            raise Damaged(f"{metadata / name} is lost or empty")
    roots = [int(path.name.partition(".")[0]) for path in metadata.glob("*.root.json")]
    return Versions(version, max(roots, default=0))


def fault(layout: Layout) -> str:
    """What is damaged, if anything."""
    try:
        read(layout)
    except Damaged as damaged:
        return str(damaged)
    return ""


def _meta(path: Path, sha256: str = "") -> Meta:
    """What a file of metadata says of others."""
    try:
        content = path.read_bytes()
        if sha256 and hashlib.sha256(content).hexdigest() != sha256:
            raise Damaged(f"{path} is damaged")
        found: Meta = json.loads(content)["signed"]["meta"]
    except FileNotFoundError:
        raise Damaged(f"{path} is lost") from None
    except (ValueError, LookupError, TypeError):
        raise Damaged(f"{path} is damaged") from None
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
