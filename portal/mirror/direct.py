"""Uploads straight into the private bucket: the portal signs their URLs, a job reads the objects and deletes them."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache

from portal.mirror import objects
from portal.mirror.client import Bucket, MirrorError
from portal.settings import S3
from portal.store import retention, uploads
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.signed_uploads import Transfer

MEDIA_TYPE = "application/octet-stream"
KEY = re.compile(r"temp/([0-9a-f]{32})/package\.mosis")


def key_of(upload_id: str) -> str:
    return f"temp/{upload_id}/package.mosis"


def signer(engine: S3) -> Bucket:
    """What signs URLs of the private bucket. Raises MirrorError."""
    try:
        return _signer(engine, engine.credentials.stat().st_mtime_ns)
    except OSError as error:
        raise MirrorError(f"{engine.credentials} cannot be read: {error.strerror}.") from None


@lru_cache(maxsize=1)  # a client takes a hundredth of a second
def _signer(engine: S3, changed_at: int) -> Bucket:
    del changed_at  # of the credentials
    return Bucket(engine)


def url(signing: Bucket, transfer: Transfer) -> str:
    """The URL that takes the body of an upload until it expires; size and type are signed."""
    seconds = max(1, transfer.expires_at - now())
    return signing.presigned_put(
        key_of(transfer.upload_id), size=transfer.size, media_type=MEDIA_TYPE, seconds=seconds
    )  # fmt: skip


def body(bucket: Bucket, transfer: Transfer) -> Iterator[bytes]:
    """The body of an upload, in pieces.

    Raises Refused (UPLOAD_INCOMPLETE) if the bucket has none of its size, MirrorError.
    """
    try:
        answer = bucket.call("get_object", Key=key_of(transfer.upload_id))
    except MirrorError as error:
        if error.code in objects.ABSENT:
            raise Refused("UPLOAD_INCOMPLETE", "The package is not in the bucket: send it to its URL.") from None
        raise
    with closing(answer["Body"]) as source:
        if answer["ContentLength"] != transfer.size:  # an engine that ignores what is signed
            found = f"The bucket has {answer['ContentLength']} bytes, and the URL is signed for {transfer.size}."
            raise Refused("UPLOAD_INCOMPLETE", found)
        while chunk := objects.read(bucket, source):
            yield chunk


def stale(bucket: Bucket, db: sqlite3.Connection) -> Iterator[str]:
    """Keys of bodies that nobody waits for: the store has them, or they are older than an upload may be.

    What a killed job or a URL that was used twice has left is found by this. An upload that is not known and young may
    be that of another store.
    """
    for found in objects.listed(bucket, "temp/"):
        match = KEY.fullmatch(found.key)
        if match and (found.modified < now() - retention.UPLOAD_SECONDS or _is_done(db, match[1])):
            yield found.key


def _is_done(db: sqlite3.Connection, upload_id: str) -> bool:
    version = uploads.version_of(db, upload_id)
    if version is None:
        return False
    query = "SELECT 1 FROM uploads WHERE upload_id = ? AND received < size"
    return version.status != "uploading" or db.execute(query, (upload_id,)).fetchone() is None
