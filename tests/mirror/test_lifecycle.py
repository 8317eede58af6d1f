"""Lifecycle rules: compared by meaning, and set on a real engine."""

import copy
import json
from collections.abc import Iterator

import pytest

from deploys.plan.render import CHECKOUT
from portal.mirror import lifecycle
from portal.mirror.lifecycle import LifecycleError, canonical
from portal.settings import S3
from tests.mirror.seaweed import seaweed

WANTED = json.loads((CHECKOUT / "files/r2/lifecycle.json").read_text())["Rules"]


@pytest.fixture(scope="module")
def engine() -> Iterator[S3]:
    with seaweed() as running:
        yield running


def changed(rule: int, **fields: object) -> list[lifecycle.Rule]:
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
def test_spelling_does_not_matter(same: list[lifecycle.Rule]) -> None:
    assert canonical(same) == canonical(WANTED)


@pytest.mark.parametrize(
    "different",
    [
        WANTED[:1],
        changed(0, Expiration={"Days": 2}),
        changed(0, Status="Disabled"),
        changed(1, Filter={"Prefix": "packages/"}),
        changed(1, Filter={"Prefix": "drafts/", "Tag": {"Key": "status", "Value": "draft"}}),
    ],
    ids=["missing", "days", "disabled", "prefix", "tag"],
)
def test_meaning_matters(different: list[lifecycle.Rule]) -> None:
    assert canonical(different) != canonical(WANTED)


def test_no_rule_can_delete_a_published_package() -> None:
    prefixes = [rule["Filter"]["Prefix"] for rule in WANTED]
    assert sorted(prefixes) == ["drafts/", "temp/"]


def test_set_on_a_real_engine(engine: S3) -> None:
    assert lifecycle.current(engine) == []
    lifecycle.apply(engine, changed(0, Expiration={"Days": 7}))
    assert canonical(lifecycle.current(engine)) != canonical(WANTED)
    lifecycle.apply(engine, WANTED)
    assert canonical(lifecycle.current(engine)) == canonical(WANTED)


@pytest.mark.parametrize(
    ("credentials", "sentence"),
    [("mosis-test\nwrong\n", "The lifecycle rules of mosis at"), ("one-line\n", "must hold two lines")],
)
def test_credentials_that_do_not_work_are_one_sentence(engine: S3, tmp_path, credentials: str, sentence: str) -> None:
    file = tmp_path / "credentials"
    file.write_text(credentials)
    with pytest.raises(LifecycleError, match=sentence) as raised:
        lifecycle.current(engine.model_copy(update={"credentials": file}))
    assert "wrong" not in str(raised.value)


def test_an_absent_file_and_an_absent_engine_are_one_sentence(engine: S3, tmp_path) -> None:
    with pytest.raises(LifecycleError, match="cannot be read: No such file"):
        lifecycle.current(engine.model_copy(update={"credentials": tmp_path / "absent"}))
    away = S3(endpoint="http://127.0.0.1:1", bucket="mosis", credentials=engine.credentials)
    with pytest.raises(LifecycleError, match="Could not connect"):
        lifecycle.current(away)
