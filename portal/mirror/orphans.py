"""Objects of this store that no record knows: a run was killed before it had noted one, or the record was lost.

Such an object is deleted like any other that left the store, if key and digest are those of a file that the log has as
published and that is not for devices any more, or of an earlier state of the catalogue. Everything else stays. After a
restore to an earlier time the log does not name what came later, and the bucket may have the last copy; and what has
another digest is somebody else's.
"""

import hashlib
import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from portal.mirror import catalogue, objects
from portal.mirror.client import Bucket
from portal.mirror.objects import Listed
from portal.mirror.record import Record, Unwanted
from portal.packages.manifest import PATH as MANIFEST

PACKAGE = "package.mosis"
KEY = re.compile(
    r"packages/[^/]+/(?P<package_of>[^/]+)/(?P<code>[1-9][0-9]*)/(?P<file>package\.mosis|manifest\.json)"
    r"|assets/(?P<image_of>[^/]+)/(?P<stem>.+)\.(?P<digest>[0-9a-f]{16})\.png"
)
CATALOGUE = re.compile(
    r"catalogue/(?:metadata/[1-9][0-9]*\.(?:targets|snapshot|[0-9a-f]{3})|targets/apps/([0-9a-f]{64})\.[^/]+)\.json"
)  # a root stays for ever
SHA256 = re.compile("[0-9a-f]{64}")
YANKED = "SELECT app_id, version_code, sha256, manifest FROM versions WHERE status = 'yanked'"
LOG = "SELECT action, subject, detail FROM audit ORDER BY seq"
IMAGES = ("icon.put", "screenshot.put", "images.publish")
PUBLISHED = ("version.publish", "version.yank")  # rows of versions that devices could download

Digests = dict[str, set[str]]
"""By the name of a file: `APP/CODE/package.mosis`, `APP/CODE/manifest.json`, `APP/icon-64.png`."""


class Orphan(NamedTuple):
    """The object, and its entity tag."""

    object: Unwanted
    etag: str


def among(bucket: Bucket, db: sqlite3.Connection, record: Record, unknown: Sequence[Listed]) -> Iterator[Orphan]:
    """The orphans among these objects; costs a HEAD for each that may be one. Raises MirrorError."""
    yield from _of_catalogue(bucket, record, unknown)
    matched = [(one, match) for one in unknown if (match := KEY.fullmatch(one.key))]
    digests = _digests(db) if matched else {}
    for one, match in matched:
        known = digests.get(_name(match), set())
        if known and (sha256 := objects.digest(bucket, one.key)) in known and sha256.startswith(match["digest"] or ""):
            yield Orphan(Unwanted(one.key, match["package_of"] or match["image_of"], sha256), one.etag)


def _of_catalogue(bucket: Bucket, record: Record, unknown: Iterable[Listed]) -> Iterator[Orphan]:
    """Files of earlier states, once the bucket has the state of the store: only then is no later one left out."""
    if not record.objects(catalogue.APP_ID) or record.pending_of(catalogue.APP_ID):
        return
    for one in unknown:
        match = CATALOGUE.fullmatch(one.key)
        if match and SHA256.fullmatch(sha256 := objects.digest(bucket, one.key) or "") and match[1] in (None, sha256):
            yield Orphan(Unwanted(one.key, catalogue.APP_ID, sha256), one.etag)


def _name(match: re.Match[str]) -> str:
    if match["image_of"]:
        return f"{match['image_of']}/{match['stem']}.png"
    return f"{match['package_of']}/{match['code']}/{match['file']}"


def _digests(db: sqlite3.Connection) -> Digests:
    """What this store once published."""
    found: Digests = defaultdict(set)
    for app_id, code, sha256, manifest in db.execute(YANKED):
        found[f"{app_id}/{code}/{PACKAGE}"].add(sha256)
        found[f"{app_id}/{code}/{MANIFEST}"].add(hashlib.sha256(manifest.encode()).hexdigest())
    uploaded: dict[str, dict[str, str]] = {}
    for action, subject, detail in db.execute(LOG):
        if action == "version.upload":
            row = json.loads(detail)
            uploaded[subject] = {PACKAGE: row.get("sha256"), MANIFEST: row.get("manifest_sha256")}
        elif action in PUBLISHED:
            for file, sha256 in uploaded.get(subject, {}).items():
                found[f"{subject}/{file}"].add(sha256)
        elif action in IMAGES:
            for name, sha256 in json.loads(detail).get("sha256", {}).items():
                found[f"{subject}/{name}"].add(sha256)
    return found
