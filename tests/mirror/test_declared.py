"""Each bucket has to have rules of its own, which `mosis lifecycle` shows and brings about."""

import json
import os
import subprocess
import uuid
from pathlib import Path

import httpx
import pytest

from portal.mirror.client import Bucket
from portal.mirror.cors import CORS
from portal.mirror.declared import declared
from portal.mirror.lifecycle import LIFECYCLE
from portal.settings import S3, Settings
from tests.mirror.test_merging import EVERYTHING, SITE
from tests.support.portal import MOSIS

ORIGIN = "https://store.example.org:8443"
ASKED = ("Origin", "Methods", "Headers")  # of a preflight request


@pytest.fixture
def settings(empty: S3, tmp_path: Path) -> Settings:
    """Of a store with two empty buckets."""
    private = f"mosis-{uuid.uuid4().hex}"
    Bucket(empty.model_copy(update={"bucket": private})).call("create_bucket")
    mirror = empty.model_copy(update={"private_bucket": private})
    return Settings(root=tmp_path, public_url=f"{ORIGIN}/mosis", mirror=mirror)


def mosis(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the real command. Raises CalledProcessError."""
    config = settings.root / "mosis.toml"
    config.write_text(settings.to_toml())
    environment = os.environ | {"MOSIS_CONFIG": str(config)}
    return subprocess.run([MOSIS, *arguments], capture_output=True, text=True, env=environment, check=True, timeout=120)


def test_the_command_shows_what_it_would_do_and_does_it(settings: Settings) -> None:
    public, private = Bucket(settings.mirror), Bucket(settings.mirror.private)
    public.call("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": [EVERYTHING]})
    private.call("put_bucket_cors", CORSConfiguration={"CORSRules": [SITE | {"ID": "site"}]})
    todo = [
        f"{public.engine.bucket} lifecycle: add mosis-temp",
        f"{public.engine.bucket} lifecycle: keep all (not ours)",
        f"{private.engine.bucket} lifecycle: add mosis-drafts",
        f"{private.engine.bucket} lifecycle: add mosis-temp",
        f"{private.engine.bucket} CORS: add mosis-uploads",
        f"{private.engine.bucket} CORS: keep site (not ours)",
    ]
    would = mosis(settings, "lifecycle", "apply", "--dry-run")
    assert would.stdout.splitlines() == [f"would {line}" for line in todo]
    assert "Rule 'all', which is not ours, expires published files" in would.stderr
    assert [rule["ID"] for rule in LIFECYCLE.current(public)] == ["all"]
    assert LIFECYCLE.current(private) == []

    assert mosis(settings, "lifecycle", "apply").stdout.splitlines() == todo
    shown = json.loads(mosis(settings, "lifecycle", "show").stdout)
    foreign = {todo[1].partition(":")[0]: [EVERYTHING], todo[5].partition(":")[0]: [SITE]}
    for one in declared(settings):
        expected = [*foreign.get(one.label, ()), *one.own]
        assert one.kind.canonical(shown[one.label]) == one.kind.canonical(expected)
    assert all(": keep " in line for line in mosis(settings, "lifecycle", "apply").stdout.splitlines())


def test_without_a_private_bucket_there_is_nothing_for_drafts_or_pages(settings: Settings) -> None:
    alone = settings.model_copy(update={"mirror": settings.mirror.model_copy(update={"private_bucket": None})})
    assert [(one.kind.name, [rule["ID"] for rule in one.own]) for one in declared(alone)] == [
        ("lifecycle", ["mosis-temp"])
    ]


def test_pages_of_the_store_alone_may_send_packages(settings: Settings) -> None:
    mosis(settings, "lifecycle", "apply")
    private = Bucket(settings.mirror.private)
    url = private.presigned_put("temp/0/package.mosis", size=5, media_type="application/octet-stream", seconds=60)

    def allowed(origin: str, method: str = "PUT", header: str = "content-type") -> bool:
        """Whether a browser goes on after the answer to its preflight request."""
        asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": header}
        answer = httpx.options(url, headers={"Origin": origin} | asked, trust_env=False)
        given = {name: answer.headers.get(f"Access-Control-Allow-{name}", "").lower() for name in ASKED}
        return given["Origin"] == origin and method.lower() in given["Methods"] and header in given["Headers"]

    assert allowed(ORIGIN)
    assert not allowed("https://store.example.org")
    assert not allowed("https://evil.example.org")
    assert not allowed(ORIGIN, "GET")
    assert not allowed(ORIGIN, header="x-amz-acl")


def test_a_store_without_a_public_url_lets_no_page_send_anything(settings: Settings) -> None:
    mosis(settings, "lifecycle", "apply")
    nowhere = settings.model_copy(update={"public_url": ""})
    assert f"{settings.mirror.private_bucket} CORS: remove mosis-uploads" in mosis(nowhere, "lifecycle", "apply").stdout
    assert CORS.current(Bucket(settings.mirror.private)) == []
