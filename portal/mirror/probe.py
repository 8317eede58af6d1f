"""What a bucket honours of what the mirror needs, tried on an object of its own below `temp/`.

The table of providers says what each documents; this says what this bucket does, with this access key.
"""

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from portal.mirror import objects
from portal.mirror.client import NOT_ASKED, Bucket, MirrorError
from portal.mirror.lifecycle import LIFECYCLE

BODY = b"mosis mirror --probe"
MD5_OF_NOTHING = "1B2M2Y8AsgTpgAmY7PhCfg=="
HEADERS = {
    "CacheControl": "public, max-age=60, immutable",
    "ContentDisposition": "attachment; filename=probe.mosis",
    "ContentType": "application/octet-stream",
    "Metadata": {"sha256": "0" * 64},
}


@dataclass(frozen=True)
class Check:
    """`works` tries it on a key that has BODY, and may raise MirrorError; `lacking` is what follows if it does not."""

    name: str
    works: Callable[[Bucket, str], bool]
    lacking: str
    required: bool = False


@dataclass(frozen=True)
class Finding:
    """Whether the bucket honours what `check` tries; `reason` is the bucket's, if it gave one.

    Not `tried`: the bucket was not reached, or there was no access key, which says nothing of what it honours.
    """

    check: Check
    ok: bool
    reason: str = ""
    tried: bool = True

    def __str__(self) -> str:
        if self.ok:
            return f"ok    {self.check.name}"
        verdict = "FAULT" if self.check.required else "lacks"
        what = self.check.lacking if self.tried else "it could not be tried."
        return f"{verdict} {self.check.name}: {what} {self.reason}".rstrip()


def probe(bucket: Bucket, checks: Sequence[Check] | None = None) -> list[Finding]:
    """Try everything, or `checks`. Raises MirrorError if nothing can be written at all."""
    key = f"temp/probe-{secrets.token_hex(8)}"
    bucket.call("put_object", Key=key, Body=BODY, **HEADERS)
    try:
        return [_tried(check, bucket, key) for check in (CHECKS if checks is None else checks)]
    finally:
        with suppress(MirrorError):
            bucket.call("delete_object", Key=key)


def _tried(check: Check, bucket: Bucket, key: str) -> Finding:
    try:
        return Finding(check, check.works(bucket, key))
    except MirrorError as error:
        return Finding(check, ok=False, reason=str(error), tried=error.code != NOT_ASKED)


def _reads(bucket: Bucket, key: str) -> bool:
    return content(bucket, key) == BODY


def content(bucket: Bucket, key: str) -> bytes:
    """The bytes of an object. Raises MirrorError."""
    with bucket.failures():
        return bytes(bucket.call("get_object", Key=key)["Body"].read())


def _keeps_headers(bucket: Bucket, key: str) -> bool:
    head = bucket.call("head_object", Key=key)
    return all(head.get(name) == value for name, value in HEADERS.items())


def _lists(bucket: Bucket, key: str) -> bool:
    page = bucket.call("list_objects_v2", Prefix=key)
    return [found["Key"] for found in page.get("Contents", ())] == [key]


def _deletes(bucket: Bucket, key: str) -> bool:
    bucket.call("put_object", Key=f"{key}-deleted", Body=BODY)
    objects.delete(bucket, f"{key}-deleted")
    return True


def _checks_digests(bucket: Bucket, key: str) -> bool:
    return _refuses(bucket, key, ContentMD5=MD5_OF_NOTHING)


def _writes_conditionally(bucket: Bucket, key: str) -> bool:
    return _refuses(bucket, key, IfNoneMatch="*")


def _refuses(bucket: Bucket, key: str, **condition: str) -> bool:
    """Whether a PUT that must not succeed leaves the object as it is."""
    with suppress(MirrorError):
        bucket.call("put_object", Key=key, Body=b"other", **condition)
    unchanged = content(bucket, key) == BODY
    bucket.call("put_object", Key=key, Body=BODY, **HEADERS)
    return unchanged


def _expires(bucket: Bucket, key: str) -> bool:
    LIFECYCLE.current(bucket)
    return True


def _tags(bucket: Bucket, key: str) -> bool:
    tag = {"Key": "status", "Value": "draft"}
    bucket.call("put_object_tagging", Key=key, Tagging={"TagSet": [tag]})
    return bool(bucket.call("get_object_tagging", Key=key)["TagSet"] == [tag])


CHECKS = (
    Check("reading", _reads, "the mirror cannot be checked.", required=True),
    Check("headers and metadata", _keeps_headers, "what is there cannot be recognized.", required=True),
    Check("listing", _lists, "what got lost is not noticed.", required=True),
    Check("deleting", _deletes, "yanked versions would stay for ever.", required=True),
    Check("digests of bodies", _checks_digests, "only devices notice a body that was changed on the way."),
    Check(
        "conditional writes", _writes_conditionally, "two hosts that use the bucket may overwrite each other's objects."
    ),
    Check("lifecycle rules", _expires, "leftovers below temp/ and drafts/ have to be deleted by hand."),
    Check("tags", _tags, "none are used: drafts have a prefix of their own."),
)
