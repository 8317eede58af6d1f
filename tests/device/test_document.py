"""A device takes the highest release of its channel, API level and bucket that is not withdrawn."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mosis_device import document
from mosis_device.document import Release, Traits
from mosis_device.refusals import Refused
from tests.device.conftest import Phone
from tests.device.shelf import Copy, Shelf
from tests.packages.samples import APP_ID

ANY = Traits(api=None, channel="stable", secret=bytes(16), automatic=False)


def release(version_code: int, **changes: Any) -> Release:
    plain = Release(version_code, f"{version_code}.0.0", "stable", 100, False, None, 1, "", "", "", "", ())
    return replace(plain, **changes)


def chosen(
    *releases: Release, traits: Traits = ANY, installed: int = 0, withdrawn: dict[int, str] | None = None
) -> int | None:
    found = document.choose(
        document.Document(APP_ID, "Reader", [], list(releases), withdrawn or {}), installed, traits
    )  # fmt: skip
    return found and found.version_code


def test_the_highest_code_is_taken() -> None:
    assert chosen(release(3), release(2), installed=1) == 3
    assert chosen(release(3), release(2), installed=3) is None
    assert chosen(release(2), installed=3) is None


def test_an_older_device_takes_the_release_for_it() -> None:
    releases = [release(3, min_api=30), release(2, min_api=21), release(1)]
    assert chosen(*releases, traits=replace(ANY, api=30)) == 3
    assert chosen(*releases, traits=replace(ANY, api=29)) == 2
    assert chosen(*releases, traits=replace(ANY, api=1)) == 1
    assert chosen(*releases) == 1, "a device that does not say its level"


def test_channels_contain_those_before_them() -> None:
    releases = [release(3, channel="edge"), release(2, channel="beta"), release(1)]
    assert [chosen(*releases, traits=replace(ANY, channel=name)) for name in document.CHANNELS] == [1, 2, 3]
    assert chosen(release(4, channel="new"), *releases, traits=replace(ANY, channel="edge")) == 3


def test_a_withdrawn_version_is_not_taken() -> None:
    assert chosen(release(2), release(1), withdrawn={2: "crashes"}) == 1


@pytest.mark.parametrize(
    ("releases", "withdrawn", "reason", "said"),
    [
        ([], {}, "no-release", "no release yet"),
        ([], {2: "crashes", 1: "leaks"}, "withdrawn", "crashes"),
        ([release(2)], {2: "crashes"}, "withdrawn", "crashes"),
        ([release(2, min_api=30)], {}, "no-release", "API level 30"),
        ([release(2, channel="beta")], {}, "no-release", "--channel"),
    ],
)
def test_why_nothing_suits_is_said(
    releases: list[Release], withdrawn: dict[int, str], reason: str, said: str
) -> None:  # fmt: skip
    with pytest.raises(Refused, match=said) as refused:
        chosen(*releases, withdrawn=withdrawn)
    assert refused.value.reason == reason
    assert chosen(*releases, withdrawn=withdrawn, installed=1) is None


def secrets(count: int) -> list[bytes]:
    return [number.to_bytes(16) for number in range(count)]


def test_a_rollout_reaches_its_share_and_raising_it_only_adds() -> None:
    before: set[bytes] = set()
    for percent in (0, 1, 10, 50, 100):
        staged = release(7, percent=percent)
        reached = {secret for secret in secrets(2000) if document.admitted(secret, APP_ID, staged)}
        assert before <= reached
        assert abs(len(reached) - 20 * percent) <= 60
        before = reached


def test_nobody_is_always_first() -> None:
    first = [
        {secret for secret in secrets(2000) if document.admitted(secret, APP_ID, release(code, percent=10))}
        for code in (7, 8)
    ]
    assert len(first[0] & first[1]) < 60


def test_who_asks_now_and_what_is_critical_does_not_wait() -> None:
    waiting = replace(ANY, automatic=True)
    assert chosen(release(2, percent=0), release(1), traits=waiting) == 1
    assert chosen(release(2, percent=0), release(1)) == 2
    assert chosen(release(2, percent=0, critical=True), release(1), traits=waiting) == 2


BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "other format": lambda found: found.update(format=2),
    "other app": lambda found: found.update(app_id="org.example.writer"),
    "no releases": lambda found: found.pop("releases"),
    "a code of text": lambda found: found["releases"][0].update(version_code="1"),
    "a negative size": lambda found: found["releases"][0].update(size=-1),
    "true": lambda found: found["releases"][0].update(percent=True),
    "a digest of no text": lambda found: found["releases"][0].update(sha256=7),
    "a null size": lambda found: found["releases"][0].update(size=None),
    "paths of no list": lambda found: found["releases"][0].update(paths=7),
    "no keys": lambda found: found.update(signing=[]),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_document_that_is_not_of_the_protocol_is_refused(
    shelf: Shelf, copy: Copy, phone: Phone, change: Callable[[dict[str, Any]], object]
) -> None:
    found = json.loads(json.dumps(shelf.publish(1)))
    change(found)
    with pytest.raises(Refused) as refused:
        document.parse(json.dumps(found).encode(), APP_ID)
    assert refused.value.reason == "malformed"


def test_a_document_without_end_is_refused() -> None:
    with pytest.raises(Refused):
        document.parse(b"[" * 200_000, APP_ID)


def test_unknown_keys_are_ignored(shelf: Shelf) -> None:
    found = shelf.publish(1) | {"news": 1}
    found["releases"][0]["news"] = 1
    assert document.parse(json.dumps(found).encode(), APP_ID).releases[0].version_code == 1


def test_that_the_installed_version_is_withdrawn_is_said(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    shelf.publish(1)
    phone.install(copy)
    shelf.documents[APP_ID] |= {"releases": [], "withdrawn": [{"version_code": 1, "reason": "It crashes."}]}
    shelf.sign()
    assert phone.install(copy).outcome == "current"
    assert phone.said == [f"The installed version 1 of {APP_ID} is withdrawn: It crashes."]
