"""Lifecycle rules: none of ours can expire what devices read, and an engine enforces the others."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.mirror import lifecycle
from portal.mirror.client import Bucket
from portal.mirror.declared import declared
from portal.mirror.lifecycle import LIFECYCLE, PRIVATE_DAYS, PUBLIC_DAYS, PUBLISHED, expires_published
from portal.mirror.merging import Rule
from portal.mirror.objects import listed
from portal.mirror.providers import PROVIDERS
from portal.settings import SettingsError, parse
from portal.store import retention
from tests.mirror.seaweed import Seaweed, running_seaweed
from tests.mirror.test_merging import LOGS, rules

KEYS = ("packages/acme/org.example.reader/7/package.mosis", "assets/org.example.reader/icon-32.0123.png")
DAY = 86400


def reaches(rule: Rule, key: str) -> bool:
    """Whether an engine would expire `key` by the rule, whatever its tags are."""
    condition = rule.get("Filter", {})
    prefix = rule.get("Prefix") or condition.get("Prefix") or condition.get("And", {}).get("Prefix") or ""
    return rule["Status"] == "Enabled" and "Days" in rule.get("Expiration", {}) and key.startswith(prefix)


buckets = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{2,18}", fullmatch=True)
mirrors = st.fixed_dictionaries(
    {
        "endpoint": st.sampled_from([provider.endpoint.lower() or "http://127.0.0.1:9000" for provider in PROVIDERS]),
        "bucket": buckets,
        "credentials": st.just("/dev/null"),
    },
    optional={
        "provider": st.sampled_from([provider.name for provider in PROVIDERS]),
        "region": st.text(max_size=8),
        "public_url": st.sampled_from(["", "https://cdn.example.org"]),
        "private_bucket": buckets,
        "upload_credentials": st.just("/dev/zero"),
    },
)


@given(mirrors, st.sampled_from(["", "https://store.example.org/packages"]), st.text("abc/.-0123456789", max_size=30))
def test_no_configuration_expires_a_published_file(mirror: dict[str, str], public_url: str, rest: str) -> None:
    try:
        settings = parse({"root": "/srv/mosis", "public_url": public_url, "mirror": mirror})
    except SettingsError as refused:  # one bucket for both
        assert "must be another bucket" in str(refused)
        return
    own = [rule for one in declared(settings) if one.kind is LIFECYCLE for rule in one.own]
    assert len(own) == (3 if settings.mirror.private else 1)
    for rule in own:
        assert not expires_published(rule)
        assert not any(reaches(rule, key) for key in (*KEYS, *(f"{area}{rest}" for area in PUBLISHED)))
        assert rule["Filter"]["Prefix"].endswith("/")


def test_drafts_expire_in_the_private_bucket_alone_and_no_earlier_than_in_the_store() -> None:
    assert "drafts" not in PUBLIC_DAYS
    draft = next(rule for rule in retention.RULES if rule.status == "draft")
    assert PRIVATE_DAYS["drafts"] * DAY >= draft.seconds
    assert min(PUBLIC_DAYS["temp"], PRIVATE_DAYS["temp"]) * DAY >= retention.UPLOAD_SECONDS


@given(rules)
def test_a_rule_of_others_that_expires_published_files_is_named(rule: Rule) -> None:
    areas = [f"{area}{rest}" for area in PUBLISHED for rest in ("", "org.example/x", "acme/x/1/package.mosis")]
    is_dangerous = any(reaches(rule, key) for key in (*areas, *KEYS))
    assert expires_published(rule) or not is_dangerous
    assert bool(lifecycle.warnings([rule])) or not is_dangerous


def test_a_provider_that_only_hides_expired_objects_is_asked_to_remove_them() -> None:
    hiding = [provider for provider in PROVIDERS if provider.expiration_hides]
    assert [provider.name for provider in hiding] == ["backblaze-b2"]
    for rule in lifecycle.wanted(hiding[0], PRIVATE_DAYS):
        assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}


@pytest.fixture
def seaweed() -> Iterator[Seaweed]:
    """An engine of the test's own: once it has looked at everything, it looks at what has changed since."""
    with running_seaweed() as running:
        yield running


AGES = {  # days
    "temp/0123/package.mosis": 2,
    "temp/4567/package.mosis": 0,
    "drafts/acme/org.example.reader/8/package.mosis": 31,
    "drafts/acme/org.example.reader/9/package.mosis": 29,
    "packages/acme/org.example.reader/7/package.mosis": 5000,
    "assets/org.example.reader/icon-32.0123.png": 5000,
    "catalogue/metadata/timestamp.json": 5000,
    "somebody/else": 5000,
}


@pytest.mark.parametrize(
    ("foreign", "days", "gone"),
    [
        ([LOGS], PRIVATE_DAYS, {"temp/0123", "drafts/acme/org.example.reader/8"}),
        ([LOGS], PUBLIC_DAYS, {"temp/0123"}),
        # That nothing published has expired above is the rules' doing: by a bare rule on packages/ it does.
        ([LOGS | {"ID": "bare", "Filter": {"Prefix": "packages/"}}], {}, {"packages/acme/org.example.reader/7"}),
    ],
    ids=["private", "public", "bare"],
)
def test_an_engine_expires_what_our_rules_say_and_nothing_that_is_published(
    seaweed: Seaweed, foreign: list[Rule], days: dict[str, int], gone: set[str]
) -> None:
    bucket = Bucket(seaweed.engine)
    bucket.call("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": foreign})
    LIFECYCLE.apply(bucket, lifecycle.wanted(bucket.provider, days))
    for key in AGES:
        bucket.call("put_object", Key=key, Body=key.encode())
    seaweed.age(bucket.engine.bucket, {key: age * DAY for key, age in AGES.items()})
    seaweed.expire()
    assert {key.rpartition("/")[0] for key in AGES.keys() - {found.key for found in listed(bucket)}} == gone
