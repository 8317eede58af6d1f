"""The inventories as they are shipped: documented defaults are the real ones, examples can be planned."""

import ast
import re
import runpy
from pathlib import Path

import pytest

from deploys.plan import plan
from deploys.plan.data import PREFIX, HostData
from deploys.plan.release import Release
from deploys.plan.render import CHECKOUT

EXAMPLES = sorted((CHECKOUT / "inventory").glob("*.py"))


def test_every_default_is_documented_as_it_is() -> None:
    text = (CHECKOUT / "inventory/group_data/all.py").read_text()
    shown = {name: ast.literal_eval(value) for name, value in re.findall(r"^# mosis_(\w+) = (.*)$", text, re.MULTILINE)}
    assert shown.keys() == HostData.model_fields.keys() - {"runtime"}
    assert HostData(runtime="local", **shown) == HostData(runtime="local")
    assert f"# {PREFIX}runtime" in text


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_can_be_planned(
    path: Path, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOT", "/home/dev/mosis")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".mosis").mkdir()
    for secret in ("r2", "cloudflare-token"):
        (tmp_path / ".mosis" / secret).write_text("AKIA\nsecret\n")
    groups = [value for value in runpy.run_path(str(path)).values() if isinstance(value, list)]
    hosts = [host for group in groups for host in group]
    assert hosts
    for _, data in hosts:
        plan(data, release)
