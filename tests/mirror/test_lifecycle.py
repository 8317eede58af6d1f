"""Lifecycle rules: compared by meaning, merged with those of others, and set on a real engine."""

import copy
import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.mirror import lifecycle
from portal.mirror.client import Bucket
from portal.mirror.lifecycle import Rule, canonical, changes, expires_published, is_ours, merged
from portal.mirror.providers import PROVIDERS, provider_of
from portal.settings import S3, Settings
from tests.support.portal import MOSIS

WANTED = lifecycle.wanted(next(provider for provider in PROVIDERS if provider.name == "seaweedfs"))
LOGS = {"ID": "logs-90-days", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 90}}
EVERYTHING = {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 3650}}

PUBLISHED = ("packages/acme/org.example.reader/7/package.mosis", "assets/org.example.reader/icon-32.png")


def mosis(engine: S3, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the real command with the bucket as its mirror. Raises CalledProcessError."""
    config = root / "mosis.toml"
    config.write_text(Settings(root=root, mirror=engine).to_toml())
    environment = os.environ | {"MOSIS_CONFIG": str(config)}
    return subprocess.run([MOSIS, *arguments], capture_output=True, text=True, env=environment, check=True, timeout=120)


def changed(rule: int, **fields: object) -> list[Rule]:
    rules = copy.deepcopy(WANTED)
    rules[rule].update(fields)
    return rules


@pytest.mark.parametrize(
    "same",
    [
        WANTED[::-1],
        changed(0, Prefix=""),
        changed(0, Expiration={"Days": 1, "ExpiredObjectDeleteMarker": False}),
        changed(1, Transitions=[], NoncurrentVersionExpiration={}),
        [{"Prefix": "temp/"} | {k: v for k, v in WANTED[0].items() if k != "Filter"}, WANTED[1]],
        changed(1, Filter={"And": {"Prefix": "drafts/"}}),
    ],
    ids=["order", "empty", "false", "empty-lists", "old-prefix", "and"],
)
def test_spelling_does_not_matter(same: list[Rule]) -> None:
    assert canonical(same) == canonical(WANTED)
    assert not changes(same, WANTED)


@pytest.mark.parametrize(
    "different",
    [
        WANTED[:1],
        changed(0, Expiration={"Days": 2}),
        changed(0, Status="Disabled"),
        changed(1, Filter={"Prefix": "packages/"}),
        changed(1, Filter={"Prefix": "drafts/", "Tag": {"Key": "status", "Value": "draft"}}),
        [*WANTED, EVERYTHING | {"ID": "mosis-of-an-older-release"}],
    ],
    ids=["missing", "days", "disabled", "prefix", "tag", "superfluous"],
)
def test_meaning_matters(different: list[Rule]) -> None:
    assert canonical(different) != canonical(WANTED)
    assert changes(different, WANTED)


def test_every_change_is_named() -> None:
    found = [LOGS, *changed(0, Status="Disabled")[:1], EVERYTHING, LOGS | {"ID": "mosis-older"}]
    assert changes(found, WANTED).lines() == [
        "add mosis-drafts",
        "change mosis-temp",
        "remove mosis-older",
        "keep all (not ours)",
        "keep logs-90-days (not ours)",
    ]


# A rule as a stranger or an engine may have it, with an ID that may look like ours, or none.
days = st.integers(1, 5000)
prefixes = st.sampled_from(["", "temp/", "drafts/", "drafts/x", "packages/", "pack", "assets/org.example", "logs/"])
filters = st.one_of(
    st.fixed_dictionaries({"Filter": st.fixed_dictionaries({"Prefix": prefixes})}),
    st.fixed_dictionaries({"Prefix": prefixes}),
    st.just({"Filter": {"And": {"Prefix": "packages/", "Tags": [{"Key": "status", "Value": "draft"}]}}}),
    st.just({}),
)
rules = st.builds(
    lambda name, status, condition, rest: {**name, "Status": status, **condition, **rest},
    st.one_of(st.just({}), st.fixed_dictionaries({"ID": st.text(max_size=12).map(lambda t: t.replace("mosis-", ""))})),
    st.sampled_from(["Enabled", "Disabled"]),
    filters,
    st.one_of(
        st.fixed_dictionaries({"Expiration": st.fixed_dictionaries({"Days": days})}),
        st.just({"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}),
        st.just({"NoncurrentVersionExpiration": {"NoncurrentDays": 3}}),
    ),
)
own_rules = st.builds(lambda rule, name: rule | {"ID": f"mosis-{name}"}, rules, st.text(max_size=5))


def reaches(rule: Rule, key: str) -> bool:
    """Whether an engine would expire `key` by the rule, whatever its tags are."""
    condition = rule.get("Filter", {})
    prefix = rule.get("Prefix") or condition.get("Prefix") or condition.get("And", {}).get("Prefix") or ""
    return rule["Status"] == "Enabled" and "Days" in rule.get("Expiration", {}) and key.startswith(prefix)


@given(foreign=st.lists(rules), older=st.lists(own_rules), order=st.randoms(use_true_random=False))
def test_rules_of_others_always_survive(foreign: list[Rule], older: list[Rule], order: random.Random) -> None:
    before = copy.deepcopy(foreign)
    found = [*foreign, *older]
    order.shuffle(found)
    target = merged(found, WANTED)
    survivors = [rule for rule in target if not is_ours(rule)]
    assert survivors == [rule for rule in found if not is_ours(rule)]
    assert sorted(map(repr, survivors)) == sorted(map(repr, before))
    assert [rule for rule in target if is_ours(rule)] == WANTED
    assert not changes(target, WANTED)  # a second time there is nothing to do


@given(
    st.builds(
        lambda provider, endpoint, region, bucket: S3(
            provider=provider, endpoint=endpoint, region=region, bucket=bucket, credentials="/dev/null"
        ),
        st.sampled_from(["", *(provider.name for provider in PROVIDERS)]),
        st.sampled_from([p.endpoint.lower() or "http://127.0.0.1:9000" for p in PROVIDERS]),
        st.text(max_size=8),
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{2,18}", fullmatch=True),
    ),
    st.from_regex(r"(packages|assets|catalogue)/[a-z0-9./-]{0,30}", fullmatch=True),
)
def test_no_configuration_expires_a_published_file(engine: S3, key: str) -> None:
    for rule in lifecycle.wanted(provider_of(engine)):
        assert not reaches(rule, key)
        assert not expires_published(rule)


@given(rules)
def test_a_rule_of_others_that_expires_published_files_is_named(rule: Rule) -> None:
    areas = [
        f"{area}{rest}" for area in lifecycle.PUBLISHED for rest in ("", "org.example/x", "acme/x/1/package.mosis")
    ]
    assert expires_published(rule) or not any(reaches(rule, key) for key in (*areas, *PUBLISHED))


def test_our_rules_are_set_on_a_real_engine_and_rules_of_others_stay(empty: S3) -> None:
    """`PutBucketLifecycleConfiguration` replaces every rule: a stranger's were lost."""
    bucket = Bucket(empty)
    assert lifecycle.current(bucket) == []
    foreign = [LOGS, LOGS | {"ID": "abort", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}]
    bucket.call("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": foreign})
    before = lifecycle.current(bucket)
    assert {rule["ID"] for rule in before} == {"logs-90-days", "abort"}

    assert lifecycle.apply(empty, dry_run=True).added == ("mosis-temp", "mosis-drafts")
    assert lifecycle.current(bucket) == before
    assert lifecycle.apply(empty).foreign == tuple(rule["ID"] for rule in before)
    after = lifecycle.current(bucket)
    assert [rule for rule in after if not is_ours(rule)] == before
    assert canonical(rule for rule in after if is_ours(rule)) == canonical(WANTED)
    assert not lifecycle.apply(empty)


def test_our_rules_are_mended_and_an_older_release_leaves_none(empty: S3) -> None:
    bucket = Bucket(empty)
    drifted = [EVERYTHING, *changed(0, Expiration={"Days": 7})[:1], LOGS | {"ID": "mosis-older"}]
    bucket.call("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": drifted})
    done = lifecycle.apply(empty)
    assert (done.added, done.changed, done.removed) == (("mosis-drafts",), ("mosis-temp",), ("mosis-older",))
    assert (done.foreign, done.dangerous) == (("all",), ("all",))
    assert canonical(lifecycle.current(bucket)) == canonical([EVERYTHING, *WANTED])


def test_the_command_shows_what_it_would_do(empty: S3, tmp_path: Path) -> None:
    bucket = Bucket(empty)
    bucket.call("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": [EVERYTHING]})
    would = mosis(empty, tmp_path, "lifecycle", "apply", "--dry-run")
    assert would.stdout.splitlines() == ["would add mosis-drafts", "would add mosis-temp", "would keep all (not ours)"]
    assert "Rule 'all', which is not ours, expires published files" in would.stderr
    assert [rule["ID"] for rule in lifecycle.current(bucket)] == ["all"]
    assert mosis(empty, tmp_path, "lifecycle", "apply").stdout.splitlines()[0] == "add mosis-drafts"
    shown = json.loads(mosis(empty, tmp_path, "lifecycle", "show").stdout)
    assert canonical(shown) == canonical([EVERYTHING, *WANTED])
    again = mosis(empty, tmp_path, "lifecycle", "apply").stdout.splitlines()
    assert again == ["keep all (not ours)", "keep mosis-drafts", "keep mosis-temp"]


def test_a_provider_that_only_hides_expired_objects_is_asked_to_remove_them() -> None:
    hiding = [provider for provider in PROVIDERS if provider.expiration_hides]
    assert [provider.name for provider in hiding] == ["backblaze-b2"]
    for rule in lifecycle.wanted(hiding[0]):
        assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
