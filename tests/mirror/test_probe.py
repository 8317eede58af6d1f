"""A probe says what this bucket honours, and what follows from what it does not."""

from pathlib import Path

import pytest

from portal.mirror import objects
from portal.mirror.client import Bucket, MirrorError
from portal.mirror.probe import CHECKS, probe
from portal.settings import S3
from tests.mirror.r2_like import r2_like
from tests.support.portal import make_store, mosis


def lacking(engine: S3) -> set[str]:
    return {finding.check.name for finding in probe(Bucket(engine)) if not finding.ok}


def test_seaweedfs_honours_everything_and_nothing_is_left(empty: S3) -> None:
    assert lacking(empty) == set()
    assert list(objects.listed(Bucket(empty))) == []


def test_a_bucket_like_r2_has_no_tags(empty: S3) -> None:
    with r2_like(empty) as proxy:
        assert lacking(proxy.engine) == {"tags"}


def test_deletions_that_are_only_reported_are_a_fault(empty: S3, tmp_path: Path) -> None:
    with r2_like(empty, lies=1) as proxy:
        store = make_store(tmp_path / "store", mirror=proxy.engine.model_dump(mode="json"))
        ran = mosis(store, "mirror", "--probe")
    assert ran.returncode == 1
    assert "FAULT deleting: yanked versions would stay for ever." in ran.stdout
    assert "ok    conditional writes" in ran.stdout


def test_a_bucket_that_ignores_what_it_should_check_is_found_out(empty: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Bucket.call

    def forgetful(bucket: Bucket, operation: str, **given: object) -> object:
        kept = {name: value for name, value in given.items() if name not in ("ContentMD5", "IfNoneMatch")}
        return call(bucket, operation, **kept)

    monkeypatch.setattr(Bucket, "call", forgetful)
    assert lacking(empty) == {"digests of bodies", "conditional writes"}


def test_a_bucket_that_is_not_there_is_one_sentence(empty: S3) -> None:
    with pytest.raises(
        MirrorError, match=r"NoSuchBucket.*Create the bucket, or correct its name in the setting mirror\.$"
    ):
        probe(Bucket(empty.model_copy(update={"bucket": "absent"})))


def test_each_check_says_what_follows() -> None:
    assert all(check.lacking.endswith(".") for check in CHECKS)
    assert len({check.name for check in CHECKS}) == len(CHECKS)
