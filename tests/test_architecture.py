"""Nothing imports upwards: import-linter's contracts, which stand in pyproject.toml, hold and would notice."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
UPWARD = [
    ("portal/store/layout.py", "from portal.http import ranges", "the portal's floors"),
    ("portal/packages/paths.py", "import bottle", "knows no http"),
    ("portal/settings.py", "from portal.store import layout", "the portal's floors"),
    ("portal/http/routes/images.py", "from portal.images import convert", "the portal decodes no image"),
    ("deploys/host/files.py", "from deploys.services import nginx", "the floors of the deploys"),
    ("deploys/services/nginx.py", "from deploys.containers import engine", "the floors of the deploys"),
    ("deploys/plan/paths.py", "import pyinfra", "a plan is values"),
    ("deploys/make/place.py", "import pydantic", "what runs before anything is installed"),
    ("mosis_device/keys.py", "from portal.packages import signature", "a device needs nothing"),
    ("mosis_device/keys.py", "from mosis_device import device", "the floors of the device"),
    ("deploys/remote/check.py", "from portal.store import layout", "what runs on a host stands alone"),
]


def linted(checkout: Path) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(checkout), "COLUMNS": "200"}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("checkout")
    for name in ("portal", "deploys", "mosis_device"):
        shutil.copytree(REPOSITORY / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", target)
    return target


def test_the_contracts_hold() -> None:
    done = linted(REPOSITORY)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("module", "statement", "contract"), UPWARD)
def test_an_import_upwards_is_noticed(copy: Path, module: str, statement: str, contract: str) -> None:
    path = copy / module
    before = path.read_text()
    try:
        path.write_text(f"{before}\n\n{statement}\n")
        done = linted(copy)
    finally:
        path.write_text(before)
    broken = [line.lower() for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert done.returncode == 1
    assert any(contract in line for line in broken), done.stdout
