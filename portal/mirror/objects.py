"""Objects of the bucket: write one and see that it is complete, delete one and see that it is gone, read one.

A PUT with `Content-MD5` is stored whole or refused, and the entity tag in its answer, or else a HEAD, shows what the
bucket has. Bodies are read from the disk in pieces, twice: a damaged file of the store is never sent.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from portal.faults import Fault
from portal.mirror.client import Bucket, MirrorError
from portal.mirror.wanted import Wanted
from portal.store import files
from portal.store.errors import Refused

MD5 = re.compile("[0-9a-f]{32}")
CHUNK = 1024 * 1024  # bytes
ABSENT = ("404", "NoSuchKey", "NotFound")
PRESENT = ("412", "PreconditionFailed", "ConditionalRequestConflict")


class DamagedError(Fault):
    """A file of the store has not the digest that the database has."""


class Listed(NamedTuple):
    """An object as the bucket lists it; `size` in bytes, `modified` in seconds since 1970."""

    key: str
    size: int
    etag: str
    modified: float


def ensure(bucket: Bucket, one: Wanted, *, absent: bool = False) -> str:
    """Write the object unless it is there, and return its entity tag; `absent`: a list just now did not have it.

    Raises MirrorError, DamagedError, OSError.
    """
    there = None if absent else _head(bucket, one.key)
    if (etag := _complete(there, one.size, one.sha256)) and not _differs(there, one):
        return etag
    if etag := _put(bucket, one, replace=there is not None):
        return etag
    if etag := find(bucket, one.key, size=one.size, sha256=one.sha256):
        return etag
    raise bucket.failed(f"it has not got {one.key} as it was sent")


def _put(bucket: Bucket, one: Wanted, *, replace: bool) -> str | None:
    """Write the object. Returns its entity tag if that is the MD5 of what was sent, None if a HEAD has to show it.

    Where the bucket honours conditions, an object that another host has just written stays.
    """
    condition = {} if replace or not bucket.provider.conditional_writes else {"IfNoneMatch": "*"}
    with closing(one.open()) as body:
        md5 = _checked_md5(body, one)
        try:
            answer = bucket.call(
                "put_object",
                Key=one.key,
                Body=body,
                ContentLength=one.size,
                ContentMD5=b64encode(md5).decode(),
                Metadata={"sha256": one.sha256},
                **one.headers,
                **condition,
            )
        except MirrorError as error:
            if error.code not in PRESENT:  # it may be our own, whose answer was cut
                raise
            return None
    etag = str(answer.get("ETag")).strip('"')
    return etag if etag == md5.hex() else None


def find(bucket: Bucket, key: str, *, size: int, sha256: str) -> str | None:
    """The entity tag of the object if the bucket has it complete. Raises MirrorError."""
    return _complete(_head(bucket, key), size, sha256)


def _complete(head: Mapping[str, Any] | None, size: int, sha256: str) -> str | None:
    if head is None or (head["ContentLength"], head["Metadata"].get("sha256")) != (size, sha256):
        return None
    return str(head["ETag"]).strip('"')


def _differs(head: Mapping[str, Any] | None, one: Wanted) -> bool:
    """Whether the entity tag of an object denies the digest in its metadata, which its writer may have copied.

    It is the MD5 of the content, unless the object was written in parts or is encrypted with a key of its own.
    """
    if head is None or head.get("ServerSideEncryption", "AES256") != "AES256" or head.get("SSECustomerAlgorithm"):
        return False
    etag = str(head["ETag"]).strip('"')
    if not MD5.fullmatch(etag):
        return False
    with suppress(DamagedError, OSError), closing(one.open()) as body:  # the bucket has what the disk has lost
        return _checked_md5(body, one).hex() != etag
    return False


def digest(bucket: Bucket, key: str) -> str | None:
    """The SHA-256 that the object says to have, in hex; None if there is none. Raises MirrorError."""
    head = _head(bucket, key)
    return head["Metadata"].get("sha256") if head else None


def delete_own(bucket: Bucket, key: str, sha256: str) -> bool:
    """Delete an object with this digest; False if there is none, or somebody else's. Raises MirrorError."""
    if digest(bucket, key) != sha256:
        return False
    delete(bucket, key)
    return True


def delete(bucket: Bucket, key: str) -> None:
    """Delete an object; some engines report success and keep it. Raises MirrorError."""
    bucket.call("delete_object", Key=key)
    if _head(bucket, key) is not None:
        raise bucket.failed(f"it reported {key} as deleted and still has it")


def fetch(bucket: Bucket, key: str, target: Path, *, size: int, sha256: str) -> bool:
    """Write the object to the new file `target`; False, and no file, if the bucket has no good copy.

    `size` is in bytes, `sha256` hex. Raises MirrorError, OSError.
    """
    try:
        body = bucket.call("get_object", Key=key)["Body"]
    except MirrorError as error:
        if error.code in ABSENT:
            return False
        raise
    good = False
    try:
        with closing(body), closing(files.Sink(target, size)) as sink:
            while chunk := read(bucket, body):
                sink.write(chunk)
            good = sink.finish().sha256 == sha256
    except Refused:  # larger than it should be
        good = False
    finally:
        if not good:
            target.unlink(missing_ok=True)
    return good


def content(bucket: Bucket, key: str) -> bytes | None:
    """A small object, None if there is none. Raises MirrorError."""
    try:
        with bucket.failures():
            return bytes(bucket.call("get_object", Key=key)["Body"].read())
    except MirrorError as error:
        if error.code in ABSENT:
            return None
        raise


def listed(bucket: Bucket, prefix: str = "") -> Iterator[Listed]:
    """All objects below `prefix`, by a request per thousand. Raises MirrorError."""
    token: dict[str, str] = {}
    while True:
        page = bucket.call("list_objects_v2", Prefix=prefix, **token)
        for found in page.get("Contents", ()):
            yield Listed(found["Key"], found["Size"], str(found["ETag"]).strip('"'), found["LastModified"].timestamp())
        if not page.get("IsTruncated"):
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def _head(bucket: Bucket, key: str) -> Mapping[str, Any] | None:
    try:
        return bucket.call("head_object", Key=key)
    except MirrorError as error:
        if error.code in ABSENT:
            return None
        raise


def read(bucket: Bucket, body: BinaryIO) -> bytes:
    """The next piece of a body, empty at its end. Raises MirrorError."""
    with bucket.failures():
        return body.read(CHUNK)


def _checked_md5(body: BinaryIO, one: Wanted) -> bytes:
    """The MD5 of the body; leaves the body at its start. Raises DamagedError."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    while chunk := body.read(CHUNK):
        md5.update(chunk)
        sha256.update(chunk)
    if sha256.hexdigest() != one.sha256:
        raise DamagedError(f"{one.key} is damaged in the store: run `mosis scrub --repair`.")
    body.seek(0)
    return md5.digest()
