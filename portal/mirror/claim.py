"""The marker of a bucket: which store it belongs to, and which record describes it.

A bucket that has anything in it, or is another store's, is never written to by mistake. The record of this host is only
believed while the marker has its number: otherwise the bucket was emptied, replaced, or written by another host.
"""

import json
import secrets
import sqlite3
from typing import Any

from portal.mirror import objects
from portal.mirror.client import Bucket
from portal.mirror.record import Record

MARKER = "mosis-mirror.json"


def check(bucket: Bucket, db: sqlite3.Connection, record: Record, *, adopt: bool = False) -> None:
    """See that the bucket is this store's and the record its own, or make them so; `adopt` takes any bucket.

    Raises MirrorError.
    """
    store = _store(db)
    marker = _marker(bucket)
    if marker and marker.get("store") == store and marker.get("claim") == record.claim:
        return
    if not adopt:
        _require_ours(bucket, marker, store)
    claim = secrets.token_hex(8)
    body = json.dumps({"store": store, "claim": claim}).encode()
    bucket.call("put_object", Key=MARKER, Body=body, ContentType="application/json", CacheControl="no-store")
    record.reset(claim)


def _require_ours(bucket: Bucket, marker: dict[str, Any] | None, store: str) -> None:
    if marker is None and bucket.call("list_objects_v2", MaxKeys=1).get("Contents"):
        raise bucket.failed(
            "it is not empty and not marked as this store's; name another bucket, or let the store have it by"
            " `mosis mirror --adopt`"
        )
    if marker is not None and marker.get("store") != store:
        raise bucket.failed(
            "it is the mirror of another store; name another bucket, or if that store is lost or was rebuilt, run"
            " `mosis mirror --adopt`"
        )


def _store(db: sqlite3.Connection) -> str:
    """What tells this store from others: the hash of the first row of its log."""
    return str(db.execute("SELECT hash FROM audit WHERE seq = 1").fetchone()[0])


def _marker(bucket: Bucket) -> dict[str, Any] | None:
    content = objects.content(bucket, MARKER)
    if content is None:
        return None
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
