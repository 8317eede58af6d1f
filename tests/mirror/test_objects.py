"""Objects are written whole or not at all, and read back only if they are good; memory stays constant."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from portal.mirror import objects
from portal.mirror.client import Bucket, MirrorError
from portal.mirror.objects import DamagedError
from portal.mirror.wanted import Wanted
from portal.settings import MIB, S3
from tests.mirror.r2_like import r2_like
from tests.support.cutting import CuttingProxy

KEY = "packages/acme/org.example.app/1/package.mosis"


def wanted(content: bytes | Path, sha256: str = "", size: int = 0) -> Wanted:
    data = content if isinstance(content, bytes) else content.read_bytes()
    return Wanted(KEY, "org.example.app", size or len(data), sha256 or hashlib.sha256(data).hexdigest(), content, {})


def found(bucket: Bucket, one: Wanted) -> str | None:
    return objects.find(bucket, one.key, size=one.size, sha256=one.sha256)


@pytest.fixture
def bucket(empty: S3) -> Bucket:
    return Bucket(empty)


@pytest.mark.parametrize("content", [b"", b"x", b"x" * (3 * MIB)], ids=["empty", "a byte", "several pieces"])
def test_what_is_written_is_read_back(bucket: Bucket, tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "source"
    source.write_bytes(content)
    one = wanted(source)
    assert found(bucket, one) is None
    assert objects.ensure(bucket, one) == hashlib.md5(content).hexdigest() == found(bucket, one)
    target = tmp_path / "target"
    assert objects.fetch(bucket, KEY, target, size=one.size, sha256=one.sha256)
    assert target.read_bytes() == content


def test_what_is_there_is_not_sent_again(empty: S3) -> None:
    one = wanted(b"content")
    objects.ensure(Bucket(empty), one)
    with r2_like(empty) as proxy:
        objects.ensure(Bucket(proxy.engine), one)
    assert [method for method, _, _ in proxy.requests] == ["HEAD"]


def test_other_content_under_the_metadata_of_ours_is_replaced(bucket: Bucket) -> None:
    """A tool that edits an object in place keeps its metadata; the entity tag shows it."""
    one = wanted(b"ours")
    bucket.call("put_object", Key=KEY, Body=b"0urs", Metadata={"sha256": one.sha256})
    assert objects.ensure(bucket, one) == hashlib.md5(b"ours").hexdigest()
    assert bucket.call("get_object", Key=KEY)["Body"].read() == b"ours"


def in_parts(bucket: Bucket, one: Wanted) -> str:
    """Have the object written as a multipart upload, as tools for copying do; its entity tag."""
    upload = bucket.call("create_multipart_upload", Key=KEY, Metadata={"sha256": one.sha256})["UploadId"]
    part = bucket.call("upload_part", Key=KEY, UploadId=upload, PartNumber=1, Body=one.open().read())
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    etag: str = bucket.call("complete_multipart_upload", Key=KEY, UploadId=upload, MultipartUpload=parts)["ETag"]
    return etag.strip('"')


def encrypted(bucket: Bucket, one: Wanted, head: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the bucket report an encrypted object, whose entity tag is no digest of anything; it."""
    bucket.call("put_object", Key=KEY, Body=one.open(), Metadata={"sha256": one.sha256})
    call, etag = bucket.call, "f" * 32

    def reporting(operation: str, **given: object) -> object:
        answer = call(operation, **given)
        return {**answer, **head, "ETag": f'"{etag}"'} if operation == "head_object" else answer

    monkeypatch.setattr(bucket, "call", reporting)
    return etag


ENCRYPTION = (
    {"ServerSideEncryption": "aws:kms"},
    {"ServerSideEncryption": "aws:kms:dsse"},
    {"SSECustomerAlgorithm": "AES256"},
)


@pytest.mark.parametrize("head", [None, *ENCRYPTION], ids=str)
def test_an_entity_tag_that_is_no_md5_says_nothing(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, head: dict[str, str] | None
) -> None:
    one = wanted(b"ours")
    etag = encrypted(bucket, one, head, monkeypatch) if head else in_parts(bucket, one)
    written: list[str] = []
    call = bucket.call
    monkeypatch.setattr(
        bucket, "call", lambda operation, **given: written.append(operation) or call(operation, **given)
    )
    assert objects.ensure(bucket, one) == etag
    assert written == ["head_object"]


def test_what_the_disk_has_lost_is_not_taken_for_other_content(bucket: Bucket, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"ours")
    one = wanted(source)
    objects.ensure(bucket, one)
    for damage in (lambda: source.write_bytes(b"0urs"), source.unlink):
        damage()
        assert objects.ensure(bucket, one) == hashlib.md5(b"ours").hexdigest()


def test_what_a_list_lacked_is_written_without_asking_first(empty: S3) -> None:
    with r2_like(empty) as proxy:
        objects.ensure(Bucket(proxy.engine), wanted(b"content"), absent=True)
    assert [method for method, _, _ in proxy.requests] == ["PUT"], "the answer has the MD5 of what was sent"


def test_what_an_answer_does_not_show_is_asked_for(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entity tag of an encrypted object is no MD5, and some engines leave it out."""
    call, asked, one = bucket.call, list[str](), wanted(b"content")
    for answer in ({"ETag": f'"{"f" * 32}"'}, {}):

        def put(operation: str, answer: dict[str, str] = answer, **given: object) -> object:
            asked.append(operation)
            found = call(operation, **given)
            return answer if operation == "put_object" else found

        monkeypatch.setattr(bucket, "call", put)
        asked.clear()
        assert objects.ensure(bucket, one, absent=True) == hashlib.md5(b"content").hexdigest()
        assert asked == ["put_object", "head_object"]


def test_only_what_has_our_digest_is_deleted(bucket: Bucket) -> None:
    one = wanted(b"ours")
    assert not objects.delete_own(bucket, KEY, one.sha256), "there is none"
    objects.ensure(bucket, one)
    assert not objects.delete_own(bucket, KEY, "0" * 64)
    assert objects.delete_own(bucket, KEY, one.sha256)
    assert list(objects.listed(bucket)) == []


def test_a_bucket_that_keeps_versions_is_like_any_other(bucket: Bucket) -> None:
    """Deleted is deleted for everybody who asks by key, and can be written again."""
    bucket.call("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})
    conditional = Bucket(bucket.engine.model_copy(update={"provider": "seaweedfs"}))
    one = wanted(b"ours")
    for _ in range(2):
        etag = objects.ensure(conditional, one)
        assert found(bucket, one) == etag
        assert [(listed.key, listed.etag) for listed in objects.listed(bucket)] == [(KEY, etag)]
        assert objects.delete_own(conditional, KEY, one.sha256)
        assert found(bucket, one) is None
    assert list(objects.listed(bucket)) == []


def test_a_file_that_is_damaged_is_not_sent(bucket: Bucket, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"rotten")
    with pytest.raises(DamagedError, match="is damaged in the store: run `mosis scrub --repair`"):
        objects.ensure(bucket, wanted(source, sha256=hashlib.sha256(b"good!!").hexdigest()))
    assert list(objects.listed(bucket)) == []


def test_bytes_that_change_on_the_way_are_refused_by_the_engine(bucket: Bucket, tmp_path: Path) -> None:
    """Nothing of them is stored: what the digest is computed from is not what is sent."""
    with pytest.raises(MirrorError, match=r"BadDigest|InvalidDigest"):
        bucket.call("put_object", Key=KEY, Body=b"other", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    assert list(objects.listed(bucket)) == []


@pytest.mark.parametrize(
    ("size", "sha256"), [(5, hashlib.sha256(b"other").hexdigest()), (4, hashlib.sha256(b"these"[:4]).hexdigest())]
)
def test_an_object_that_is_not_what_it_should_be_leaves_no_file(
    bucket: Bucket, tmp_path: Path, size: int, sha256: str
) -> None:
    objects.ensure(bucket, wanted(b"these"))
    assert not objects.fetch(bucket, KEY, tmp_path / "target", size=size, sha256=sha256)
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_is_absent_leaves_no_file(bucket: Bucket, tmp_path: Path) -> None:
    assert not objects.fetch(bucket, KEY, tmp_path / "target", size=1, sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_is_cut_leaves_no_file(empty: S3, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 8 * MIB)
    one = wanted(source)
    objects.ensure(Bucket(empty), one)
    with CuttingProxy(empty.endpoint.port, cuts=100, after=100) as proxy:
        engine = S3.model_validate(empty.model_dump(mode="json") | {"endpoint": proxy.url})
        with pytest.raises(MirrorError):
            objects.fetch(Bucket(engine), KEY, tmp_path / "target", size=one.size, sha256=one.sha256)
    assert not (tmp_path / "target").exists()


def test_an_upload_that_is_cut_leaves_no_object(empty: S3, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 8 * MIB)
    with CuttingProxy(empty.endpoint.port, cuts=100, after=1 * MIB) as proxy:
        engine = S3.model_validate(empty.model_dump(mode="json") | {"endpoint": proxy.url})
        with pytest.raises(MirrorError):
            objects.ensure(Bucket(engine), wanted(source))
    assert list(objects.listed(Bucket(empty))) == []


def test_of_two_hosts_that_write_at_once_the_first_one_wins(empty: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one comes between HEAD and PUT; what is equal is no fault, what differs stays and is reported."""
    conditional = Bucket(empty.model_copy(update={"provider": "seaweedfs"}))
    call = conditional.call
    ours = wanted(b"ours")
    for theirs in (ours, wanted(b"theirs")):

        def late(operation: str, theirs: Wanted = theirs, **given: object) -> object:
            if operation == "put_object":
                call(operation, Key=KEY, Body=theirs.open(), Metadata={"sha256": theirs.sha256})
            return call(operation, **given)

        monkeypatch.setattr(conditional, "call", late)
        if theirs is ours:
            assert objects.ensure(conditional, ours)
        else:
            with pytest.raises(MirrorError, match=r"has not got .* as it was sent"):
                objects.ensure(conditional, ours)
        assert call("get_object", Key=KEY)["Body"].read() == theirs.open().read()
        call("delete_object", Key=KEY)


def test_the_list_has_every_object_whatever_the_page(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        bucket.call("put_object", Key=f"some/{number}", Body=b"x" * number)
    call = bucket.call
    monkeypatch.setattr(bucket, "call", lambda operation, **more: call(operation, MaxKeys=2, **more))
    assert [(one.key, one.size) for one in objects.listed(bucket)] == [(f"some/{n}", n) for n in range(5)]


PEAK = """
import hashlib, resource, sys
from pathlib import Path
from portal.mirror import objects
from portal.mirror.client import Bucket
from portal.mirror.wanted import Wanted
from portal.settings import S3
source, engine = Path(sys.argv[1]), S3.model_validate_json(sys.argv[2])
with source.open("rb") as file:
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
one, bucket = Wanted("large", "app", source.stat().st_size, sha256, source, {}), Bucket(engine)
objects.ensure(bucket, one)
assert objects.fetch(bucket, "large", source.with_name("back"), size=one.size, sha256=sha256)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_the_size_of_a_package_does_not_matter_to_memory(empty: S3, tmp_path: Path) -> None:
    def peak(size: int) -> int:
        """KiB."""
        own = tmp_path / str(size)
        own.mkdir()
        with (own / "source").open("wb") as file:
            file.truncate(size)
        ran = subprocess.run(
            [sys.executable, "-c", PEAK, own / "source", empty.model_dump_json()],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return int(ran.stdout)

    assert peak(50 * MIB) - peak(1 * MIB) < 10 * 1024
