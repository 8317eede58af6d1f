"""docs/vectors/ is what its script makes, and what this client does."""

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mosis_device import document
from mosis_device.device import Device, Options, Outcome, refused
from mosis_device.document import Release
from mosis_device.refusals import Refused
from tests.device import vectors
from tests.device.shelf import serving

DATA = json.loads((vectors.VECTORS / "cases.json").read_text())


def files(place: Path) -> dict[str, bytes]:
    found = (path for path in place.rglob("*") if path.is_file())
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in found}


def test_the_script_makes_them(tmp_path: Path) -> None:
    vectors.make(tmp_path)
    assert files(tmp_path) == {name: data for name, data in files(vectors.VECTORS).items() if name != "README.md"}


@pytest.mark.parametrize("case", DATA["cases"], ids=lambda case: case["case"])
def test_this_client_does_what_they_say(tmp_path: Path, case: dict[str, Any]) -> None:
    Device(tmp_path, [], Options()).trust((vectors.VECTORS / "root.json").read_bytes())
    for step in case["steps"]:
        outcome = take(step, tmp_path)
        if "refused" in step:
            assert outcome.reason == step["refused"], outcome
        else:
            kind = "current" if "current" in step else "installed"
            assert outcome.version_code == step[kind], outcome
            assert (outcome.outcome == "current") == (kind == "current")


def take(step: dict[str, Any], directory: Path) -> Outcome:
    options = Options(
        api=step.get("api"), automatic=step.get("automatic", False), accepted_key=step.get("accept_key"),
        clock=lambda: datetime.fromisoformat(step["now"]),
    )  # fmt: skip
    with serving(vectors.VECTORS / step["serve"]) as copy:
        try:
            [outcome] = Device(directory, [copy.url], options).install([f"org.example.{step['app']}"])
        except Refused as error:
            return refused("", error, directory)
    return outcome


@pytest.mark.parametrize("row", DATA["rollout"], ids=lambda row: f"{row['secret'][:4]} {row['version_code']}")
def test_the_place_in_a_rollout(row: dict[str, Any]) -> None:
    text = b"MOSIS-ROLLOUT-V1\0%b\0%b\0%d" % (
        bytes.fromhex(row["secret"]), row["app_id"].encode(), row["version_code"],
    )  # fmt: skip
    assert hashlib.sha256(text).hexdigest()[:16] == row["bucket"]
    for percent in (0, 1, 10, 50, 99, 100):
        release = Release(row["version_code"], "", "stable", percent, False, None, 0, "", "", "", "", ())
        admitted = document.admitted(bytes.fromhex(row["secret"]), row["app_id"], release)
        assert admitted == (percent in row["admitted_at_percent"])
