"""Every row of the table of providers, held to an engine.

SeaweedFS runs here. To run another provider, name a TOML file in the variable that the skipped test reports: the keys
of `mirror` in the settings, for a scratch bucket. Without it, only the form of the row is checked, and that SeaweedFS
accepts the row's requests, which does not show what the provider itself honours.
"""

import os
import tomllib
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from portal.mirror import lifecycle
from portal.mirror.client import Bucket, MirrorError
from portal.mirror.lifecycle import LIFECYCLE, PRIVATE_DAYS
from portal.mirror.providers import ANY, PROVIDERS, Provider, provider_of
from portal.settings import S3, SettingsError

FILLED = {"ACCOUNT": "0123abcd", "REGION": "eu-central-1"}
EXPECTED = {  # provider: host of its requests, region that signs them
    "cloudflare-r2": ("0123abcd.r2.cloudflarestorage.com", "auto"),
    "aws-s3": ("mosis.s3.eu-central-1.amazonaws.com", "eu-central-1"),
    "backblaze-b2": ("s3.eu-central-1.backblazeb2.com", "eu-central-1"),
    "minio": ("s3.example.org", "us-east-1"),
    "seaweedfs": ("s3.example.org", "us-east-1"),
    "s3": ("s3.example.org", "us-east-1"),
}
each_row = pytest.mark.parametrize("row", PROVIDERS, ids=[provider.name for provider in PROVIDERS])


def engine_of(row: Provider, credentials: Path, **fields: str) -> S3:
    endpoint = row.endpoint or "https://s3.example.org"
    for word, value in FILLED.items():
        endpoint = endpoint.replace(word, value)
    return S3(endpoint=endpoint, bucket="mosis", credentials=credentials, **fields)


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    file = tmp_path / "credentials"
    file.write_text("AKIA\nsecret\n")
    return file


@each_row
def test_the_form_of_a_row(row: Provider, credentials: Path) -> None:
    named = engine_of(row, credentials, provider=row.name)
    assert provider_of(named) is row
    assert provider_of(engine_of(row, credentials)) is (row if row.endpoint else ANY)
    url = urlsplit(Bucket(named)._client.generate_presigned_url("get_object", Params={"Bucket": "mosis", "Key": "x"}))
    host, region = EXPECTED[row.name]
    assert (url.hostname, row.region_of(named)) == (host, region)
    assert url.path == ("/x" if row.addressing == "virtual" else "/mosis/x")
    assert f"%2F{region}%2Fs3%2F" in url.query
    assert row.public_url.endswith("/KEY")


def test_names_and_endpoints_are_unique(credentials: Path) -> None:
    assert len({row.name for row in PROVIDERS}) == len(PROVIDERS) == len(EXPECTED)
    for row in PROVIDERS:
        engine = engine_of(row, credentials)
        assert [other for other in PROVIDERS if other.serves(engine)] == ([row] if row.endpoint else [])


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("https://0123abcd.eu.r2.cloudflarestorage.com/", "cloudflare-r2"),
        ("https://0123abcd.r2.cloudflarestorage.com.example.org", "s3"),
        ("https://s3.us-west-004.backblazeb2.com", "backblaze-b2"),
        ("http://127.0.0.1:9000", "s3"),
    ],
)
def test_a_provider_is_known_by_its_endpoint(endpoint: str, name: str, credentials: Path) -> None:
    assert provider_of(S3(endpoint=endpoint, bucket="mosis", credentials=credentials)).name == name


def test_a_region_of_the_settings_wins_and_an_unknown_provider_is_refused(credentials: Path) -> None:
    aws = next(row for row in PROVIDERS if row.name == "aws-s3")
    assert aws.region_of(engine_of(aws, credentials, region="eu-west-1")) == "eu-west-1"
    with pytest.raises(SettingsError, match=r"mirror\.provider: 'r2' is not one of cloudflare-r2, aws-s3"):
        provider_of(engine_of(aws, credentials, provider="r2"))


@pytest.fixture
def scratch(engine: S3) -> Iterator[str]:
    """A prefix that no other run uses."""
    return f"temp/conformance-{uuid.uuid4().hex}/"


def real(row: Provider, engine: S3) -> S3:
    """An engine of this provider; skips where there is none."""
    if row.name in ("seaweedfs", "s3"):
        return engine.model_copy(update={"provider": row.name})
    variable = f"MOSIS_TEST_{row.name.upper().replace('-', '_')}"
    if variable not in os.environ:
        pytest.skip(f"no {row.title} here: only the form of its row is checked; {variable} may name a bucket")
    return S3.model_validate(tomllib.loads(Path(os.environ[variable]).read_text()) | {"provider": row.name})


@each_row
def test_the_provider_honours_its_row(row: Provider, engine: S3, scratch: str) -> None:
    bucket = Bucket(real(row, engine))
    assert bucket.provider is row
    stores_objects(bucket, scratch)
    merges_rules(bucket)
    if row.conditional_writes:
        refuses_to_overwrite(bucket, f"{scratch}once")
    if row.tagging:
        keeps_tags(bucket, f"{scratch}tagged")


@each_row
def test_the_requests_of_a_row_are_s3(row: Provider, engine: S3, scratch: str) -> None:
    bucket = Bucket(engine.model_copy(update={"provider": row.name, "region": row.region}))
    stores_objects(bucket, scratch)
    merges_rules(bucket)


def stores_objects(bucket: Bucket, prefix: str) -> None:
    for number, content in enumerate((b"", b"x" * 70_000)):
        key = f"{prefix}{number} é+.mosis"
        bucket.call("put_object", Key=key, Body=content, ContentType="application/zip")
        head = bucket.call("head_object", Key=key)
        assert (head["ContentLength"], head["ContentType"]) == (len(content), "application/zip")
        assert bucket.call("get_object", Key=key)["Body"].read() == content
        bucket.call("delete_object", Key=key)
        with pytest.raises(MirrorError) as gone:
            bucket.call("head_object", Key=key)
        assert gone.value.code == "404"


def merges_rules(bucket: Bucket) -> None:
    own = lifecycle.wanted(bucket.provider, PRIVATE_DAYS)
    before = [rule for rule in LIFECYCLE.current(bucket) if not LIFECYCLE.is_ours(rule, own)]
    theirs = {"ID": "theirs", "Status": "Disabled", "Filter": {"Prefix": "theirs/"}, "Expiration": {"Days": 9}}
    try:
        bucket.call("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": [*before, theirs]})
        LIFECYCLE.apply(bucket, own)
        assert not LIFECYCLE.changes(LIFECYCLE.current(bucket), own)
        kept = [rule for rule in LIFECYCLE.current(bucket) if not LIFECYCLE.is_ours(rule, own)]
        assert LIFECYCLE.canonical(kept) == LIFECYCLE.canonical([*before, theirs])
    finally:
        rules = {"LifecycleConfiguration": {"Rules": before}} if before else {}
        bucket.call("put_bucket_lifecycle_configuration" if before else "delete_bucket_lifecycle", **rules)


def refuses_to_overwrite(bucket: Bucket, key: str) -> None:
    bucket.call("put_object", Key=key, Body=b"first", IfNoneMatch="*")
    with pytest.raises(MirrorError) as refused:
        bucket.call("put_object", Key=key, Body=b"second", IfNoneMatch="*")
    assert refused.value.code == "PreconditionFailed"
    assert bucket.call("get_object", Key=key)["Body"].read() == b"first"


def keeps_tags(bucket: Bucket, key: str) -> None:
    bucket.call("put_object", Key=key, Body=b"x", Tagging="status=draft")
    assert bucket.call("get_object_tagging", Key=key)["TagSet"] == [{"Key": "status", "Value": "draft"}]
