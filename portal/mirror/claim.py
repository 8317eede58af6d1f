"""The marker of a bucket: which store it belongs to, and which record describes it.

A bucket that has anything in it, or is another store's, is never written to by mistake, nor is one that another host of
the same store has taken over: of two, the one on the later timeline (`recovery.lineage`) prevails. The record of this
host is only believed while the marker has its number, and compared with the list if the marker counts other deletions:
a record from an older copy of the disk would have objects that were deleted since.
"""

import json
import secrets
from dataclasses import asdict, dataclass, replace

from portal.mirror import objects
from portal.mirror.client import Bucket, MirrorError
from portal.mirror.record import Record

MARKER = "mosis-mirror.json"
TAKEN = (
    "another host of this store, or a later copy of its database, has taken it over; let only one host copy to it, or"
    " if that is this one, run `mosis mirror --adopt`"
)


@dataclass(frozen=True)
class Marker:
    """`store` is the hash of the first row of its log, `deletions` how many runs have deleted objects."""

    store: str
    claim: str = ""
    timeline: int = 0
    deletions: int = 0


def check(bucket: Bucket, record: Record, store: str, timeline: int, *, adopt: bool = False) -> Marker:
    """See that the bucket is this store's and the record its own, or make them so; `adopt` takes any bucket.

    Raises MirrorError.
    """
    found = _read(bucket, record)
    if found is None or found.store != store or found.claim not in record.claims:
        if not adopt:
            _require_ours(bucket, found, record, Marker(store, timeline=timeline))
        return _take(bucket, record, Marker(store, secrets.token_hex(8), timeline))
    if found.claim != record.claim:  # a run was killed while it took the bucket
        record.reset(found.claim)
    if found.deletions != record.deletions:
        record.listed_at, record.deletions = 0, found.deletions
    if found.timeline < timeline:
        found = replace(found, timeline=timeline)
        _write(bucket, found)
    return found


def count_deletion(bucket: Bucket, record: Record, marker: Marker) -> None:
    """Note in the bucket that objects are about to be deleted. Raises MirrorError, also if it is taken over by now."""
    if _read(bucket, record) != marker:
        raise bucket.failed(TAKEN)
    _write(bucket, replace(marker, deletions=marker.deletions + 1))
    record.deletions = marker.deletions + 1


def _take(bucket: Bucket, record: Record, marker: Marker) -> Marker:
    record.intend(marker.claim)
    _write(bucket, marker)
    record.reset(marker.claim)
    return marker


def _require_ours(bucket: Bucket, found: Marker | None, record: Record, ours: Marker) -> None:
    if found is None:
        if bucket.call("list_objects_v2", MaxKeys=1).get("Contents"):
            raise bucket.failed(
                "it is not empty and not marked as this store's; name another bucket, or let the store have it by"
                " `mosis mirror --adopt`"
            )
    elif found.store != ours.store:
        raise bucket.failed(
            "it is the mirror of another store; name another bucket, or if that store is lost or was rebuilt, run"
            " `mosis mirror --adopt`"
        )
    elif found.timeline > ours.timeline or (found.timeline == ours.timeline and record.claim):
        raise bucket.failed(TAKEN)


def _write(bucket: Bucket, marker: Marker) -> None:
    body = json.dumps(asdict(marker)).encode()
    bucket.call("put_object", Key=MARKER, Body=body, ContentType="application/json", CacheControl="no-store")


def _read(bucket: Bucket, record: Record) -> Marker | None:
    try:
        content = objects.content(bucket, MARKER)
    except MirrorError as error:
        if error.code == "NoSuchBucket":  # nobody may be sent to what was there
            record.reset(None)
        raise
    if content is None:
        return None
    try:
        found = json.loads(content)
        return Marker(
            str(found["store"]), str(found["claim"]), int(found.get("timeline", 0)), int(found.get("deletions", 0))
        )
    except (ValueError, TypeError, LookupError, AttributeError):
        return Marker("")
