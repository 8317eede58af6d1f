"""Rules that S3 replaces all at once: compared by meaning, and merged with those of others."""

import copy
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.mirror import cors, lifecycle
from portal.mirror.client import Bucket, MirrorError
from portal.mirror.cors import CORS
from portal.mirror.lifecycle import LIFECYCLE, PRIVATE_DAYS
from portal.mirror.merging import Kind, Rule
from portal.mirror.providers import PROVIDERS
from portal.settings import S3

WANTED = lifecycle.wanted(next(provider for provider in PROVIDERS if provider.name == "seaweedfs"), PRIVATE_DAYS)
PAGES = cors.wanted("https://store.example.org/mosis")
LOGS = {"ID": "logs-90-days", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 90}}
EVERYTHING = {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 3650}}
SITE = {"AllowedOrigins": ["https://site.example.org"], "AllowedMethods": ["GET", "HEAD"], "MaxAgeSeconds": 10}
WIDE = SITE | {"ID": "wide", "AllowedOrigins": ["*"], "ExposeHeaders": ["ETag", "x-amz-meta-x"]}


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
    before = copy.deepcopy(same)
    assert LIFECYCLE.canonical(same) == LIFECYCLE.canonical(WANTED)
    assert not LIFECYCLE.changes(same, WANTED)
    assert same == before


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
    assert LIFECYCLE.canonical(different) != LIFECYCLE.canonical(WANTED)
    assert LIFECYCLE.changes(different, WANTED)


def test_every_change_is_named() -> None:
    found = [LOGS, *changed(0, Status="Disabled")[:1], EVERYTHING, LOGS | {"ID": "mosis-older"}]
    assert LIFECYCLE.changes(found, WANTED).lines() == [
        "add mosis-drafts",
        "change mosis-temp",
        "remove mosis-older",
        "keep all (not ours)",
        "keep logs-90-days (not ours)",
    ]


def test_a_rule_whose_id_the_engine_drops_is_known_by_what_it_says() -> None:
    """Every deploy would add it again."""
    nameless = [{name: value for name, value in PAGES[0].items() if name != "ID"}, SITE]
    assert CORS.changes(nameless, PAGES).lines() == [
        "keep mosis-uploads",
        f"keep without ID, {str(dict(sorted(SITE.items()))).replace(chr(39), chr(34))} (not ours)",
    ]
    assert CORS.merged(nameless, PAGES) == [SITE, *PAGES]
    assert CORS.changes(PAGES, cors.wanted("https://new.example.org")).changed == ("mosis-uploads",)


# A rule as a stranger or an engine may have it, with an ID that may look like ours, or none.
days = st.integers(1, 5000)
prefixes = st.sampled_from(["", "temp/", "drafts/", "drafts/x", "packages/", "pack", "assets/org.example", "logs/"])
filters = st.one_of(
    st.fixed_dictionaries({"Filter": st.fixed_dictionaries({"Prefix": prefixes})}),
    st.fixed_dictionaries({"Prefix": prefixes}),
    st.just({"Filter": {"And": {"Prefix": "packages/", "Tags": [{"Key": "status", "Value": "draft"}]}}}),
    st.just({}),
)
names = st.one_of(
    st.just({}), st.fixed_dictionaries({"ID": st.text(max_size=12).map(lambda text: text.replace("mosis-", ""))})
)
rules = st.builds(
    lambda name, status, condition, rest: {**name, "Status": status, **condition, **rest},
    names,
    st.sampled_from(["Enabled", "Disabled"]),
    filters,
    st.one_of(
        st.fixed_dictionaries({"Expiration": st.fixed_dictionaries({"Days": days})}),
        st.just({"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}),
        st.just({"NoncurrentVersionExpiration": {"NoncurrentDays": 3}}),
    ),
)
origins = st.lists(st.sampled_from(["*", "https://a.example.org", "http://localhost:3000"]), min_size=1, unique=True)
pages = st.builds(
    lambda name, where, methods, rest: {**name, "AllowedOrigins": where, "AllowedMethods": methods, **rest},
    names,
    origins,
    st.lists(st.sampled_from(["GET", "PUT", "HEAD", "POST"]), min_size=1, unique=True),
    st.fixed_dictionaries({}, optional={"MaxAgeSeconds": st.integers(0, 90), "ExposeHeaders": st.just(["ETag"])}),
)


@pytest.mark.parametrize(
    ("kind", "theirs", "own"), [(LIFECYCLE, rules, WANTED), (CORS, pages, PAGES), (CORS, pages, [])]
)
@given(data=st.data(), order=st.randoms(use_true_random=False))
def test_rules_of_others_always_survive(
    kind: Kind, theirs: st.SearchStrategy[Rule], own: list[Rule], data: st.DataObject, order: random.Random
) -> None:
    foreign = data.draw(st.lists(theirs))
    older = data.draw(st.lists(st.builds(lambda rule, name: rule | {"ID": f"mosis-{name}"}, theirs, st.text())))
    before, found = copy.deepcopy(foreign), [*foreign, *older]
    order.shuffle(found)
    target = kind.merged(found, own)
    survivors = [rule for rule in target if rule not in own]
    assert survivors == [rule for rule in found if not str(rule.get("ID", "")).startswith("mosis-")]
    assert sorted(map(repr, survivors)) == sorted(map(repr, before))
    assert target[len(survivors) :] == own
    assert not kind.changes(target, own)  # a second time there is nothing to do


@pytest.mark.parametrize(
    ("kind", "theirs", "own"), [(LIFECYCLE, [LOGS, EVERYTHING], WANTED), (CORS, [SITE, WIDE], PAGES)]
)
def test_our_rules_are_set_mended_and_removed_on_a_real_engine_beside_those_of_others(
    empty: S3, kind: Kind, theirs: list[Rule], own: list[Rule]
) -> None:
    """S3 replaces every rule: a stranger's were lost."""
    bucket = Bucket(empty)
    assert kind.current(bucket) == []
    bucket.call(f"put_{kind.operation}", **{kind.parameter: {kind.rules: theirs}})
    before = kind.current(bucket)
    assert kind.canonical(before) == kind.canonical(theirs)

    for ours in (own, [own[0] | {"ID": "mosis-older"}, *own[1:]], []):
        kind.apply(bucket, ours)
        after = kind.current(bucket)
        assert [rule for rule in after if not kind.is_ours(rule, ours)] == before
        assert kind.canonical(rule for rule in after if kind.is_ours(rule, ours)) == kind.canonical(ours)
        assert not kind.changes(after, ours)


@pytest.mark.parametrize(("kind", "own"), [(LIFECYCLE, WANTED), (CORS, PAGES)])
def test_the_last_rule_goes_with_the_configuration(empty: S3, kind: Kind, own: list[Rule]) -> None:
    bucket = Bucket(empty)
    kind.apply(bucket, own)
    kind.apply(bucket, [])
    assert kind.current(bucket) == []


def test_an_engine_that_keeps_other_rules_than_it_was_given_is_a_fault(
    empty: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Bucket.call

    def forgetful(bucket: Bucket, operation: str, **given: object) -> object:
        return {} if operation == "put_bucket_cors" else call(bucket, operation, **given)

    monkeypatch.setattr(Bucket, "call", forgetful)
    with pytest.raises(MirrorError, match="it accepted the CORS rules but keeps others"):
        CORS.apply(Bucket(empty), PAGES)
