"""A probe of the private bucket says whether uploads through it work, and that nobody reads them."""

import json
import uuid
from pathlib import Path

import pytest

from portal.mirror import objects, private_probe
from portal.mirror.client import Bucket
from portal.mirror.probe import probe
from portal.settings import S3
from tests.mirror.seaweed import SECRET_KEY, UPLOAD_KEY
from tests.support.portal import make_store, mosis


def lacking(bucket: Bucket) -> set[str]:
    return {finding.check.name for finding in probe(bucket, private_probe.CHECKS) if not finding.ok}


def test_seaweedfs_honours_everything_and_nothing_is_left(empty: S3) -> None:
    bucket = Bucket(empty)
    assert lacking(bucket) == set()
    assert list(objects.listed(bucket)) == []


def test_uploads_are_tried_with_their_own_key(empty: S3, tmp_path: Path) -> None:
    own = tmp_path / "uploads"
    bucket = Bucket(empty.model_copy(update={"upload_credentials": own}))
    own.write_text(f"{UPLOAD_KEY}\n{SECRET_KEY}\n")
    assert lacking(bucket) == set()
    own.write_text(f"{UPLOAD_KEY}\nwrong\n")
    assert "private bucket: presigned uploads" in lacking(bucket)


def test_a_bucket_that_anybody_reads_is_a_fault(empty: S3, tmp_path: Path) -> None:
    """The operator gave the public bucket's rights to the wrong one."""
    private = Bucket(empty.model_copy(update={"bucket": f"private-{uuid.uuid4().hex}"}))
    private.call("create_bucket")
    everybody = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"]}
    statement = everybody | {"Resource": [f"arn:aws:s3:::{private.engine.bucket}/*"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    private.call("put_bucket_policy", Policy=policy)
    assert lacking(private) == {"private bucket: nobody reads it"}
    mirror = empty.model_dump(mode="json") | {"private_bucket": private.engine.bucket}
    ran = mosis(make_store(tmp_path / "store", mirror=mirror), "mirror", "--probe")
    assert ran.returncode == 1
    assert "ok    conditional writes" in ran.stdout
    assert "FAULT private bucket: nobody reads it: anybody who knows an upload's ID can read it." in ran.stdout


def test_a_bucket_that_ignores_what_is_signed_is_found_out(empty: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsigned(bucket: Bucket, key: str, *, size: int, media_type: str, seconds: int) -> str:
        given = {"Bucket": bucket.engine.bucket, "Key": key}
        return str(bucket._client.generate_presigned_url("put_object", Params=given, ExpiresIn=seconds))

    monkeypatch.setattr(Bucket, "presigned_put", unsigned)
    assert lacking(Bucket(empty)) == {"private bucket: signed length", "private bucket: signed type"}


def test_what_cannot_be_tried_is_not_called_lacking(empty: S3, tmp_path: Path) -> None:
    """Without an access key for uploads nobody knows whether they work; that anybody reads the bucket is not said."""
    bucket = Bucket(empty.model_copy(update={"upload_credentials": tmp_path / "lost"}))
    found = {finding.check.name: str(finding) for finding in probe(bucket, private_probe.CHECKS)}
    assert found["private bucket: nobody reads it"] == "ok    private bucket: nobody reads it"
    lost = f"FAULT private bucket: presigned uploads: it could not be tried. {tmp_path / 'lost'} cannot be read"
    assert found["private bucket: presigned uploads"].startswith(lost)
