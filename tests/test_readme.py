"""README.md is true: its walk-through is run word for word, its settings table is the settings."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from portal.settings import S3, Backup, Follow, Settings
from tests.support.portal import free_port

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
TABLES = {"backup": Backup, "mirror": S3, "follow": Follow}


def test_the_walkthrough_runs_as_written(tmp_path: Path) -> None:
    for need in ("make", "curl", "cmp"):
        if shutil.which(need) is None:
            pytest.skip(f"{need} is not installed")
    script = re.search(r"<!-- walkthrough -->\n```sh\n(.*?)```", README, re.DOTALL)[1]
    port, root = free_port(), tmp_path / "store"
    # As in the README but for the place: another test may have the default port.
    for default, own in (("127.0.0.1:8080", f"127.0.0.1:{port}"), ("ROOT=var/mosis", f"ROOT={root}")):
        assert default in script
        script = script.replace(default, own)
    script = script.replace("make ", f"make -C {REPOSITORY} ").replace(".venv/", f"{REPOSITORY}/.venv/")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MOSIS_", "MAKE"))}
    environment |= {"ROOT": str(root), "PORT": str(port)}
    try:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=600,
        )  # fmt: skip
        assert ran.returncode == 0, f"{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
        first, second, third = re.findall(r"Grand total +(\d+) +(\S+) +(\S+) +(\S+)", ran.stderr)
        assert first[1] == first[0], "the first deploy left something out"
        assert second[3] == second[0], "the second deploy changed something"
        assert third[1] == "1", "the third deploy did more than start the processes"
        token = (root / "secrets" / "admin-token").read_text().strip()
        assert token not in ran.stdout + ran.stderr
    finally:
        subprocess.run(["make", "-C", REPOSITORY, "down"], env=environment, capture_output=True, timeout=60)


def test_the_settings_table_lists_every_setting() -> None:
    section = README.partition("\n## Settings\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([a-z0-9_.]+)` \| (.+?) \| (.+) \|$", section, re.MULTILINE) == rows(Settings)


def rows(model: type[BaseModel], prefix: str = "") -> list[tuple[str, str, str]]:
    found = []
    for name, field in model.model_fields.items():
        found.append((prefix + name, shown(field.default), field.description))
        if name in TABLES:
            found += rows(TABLES[name], f"{name}.")
    return found


def shown(default: object) -> str:
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return "none"
    if default == "":
        return "empty"
    if isinstance(default, tuple):
        return f"`{', '.join(map(str, default))}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
