"""The client is a package of its own, which a device installs without the portal."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

CLIENT = Path(__file__).parents[2] / "mosis_device"
BLOCKED = ("portal", "pydantic", "rich", "typer", "boto3", "bottle")


def test_the_wheel_contains_each_module_and_nothing_else(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(build, check=True, cwd=CLIENT, stdout=subprocess.DEVNULL)
    [wheel] = tmp_path.glob("*.whl")
    names = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {f"mosis_device/{path.name}" for path in CLIENT.glob("*.py")}
    assert "mosis_device.cli:main" in str(ZipFile(wheel).read("mosis_device-0.1.0.dist-info/entry_points.txt"))


def test_it_runs_where_there_is_no_portal(tmp_path: Path) -> None:
    program = (
        "import sys\nsys.modules.update(dict.fromkeys({blocked}))\nfrom mosis_device.cli import main\nmain(['-h'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(CLIENT.parent)}
    command = [sys.executable, "-c", program.format(blocked=BLOCKED)]
    assert b"mosis-install" in subprocess.run(command, env=environment, check=True, capture_output=True).stdout


def test_the_wheel_of_the_store_contains_it_too(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(build, check=True, cwd=CLIENT.parent, stdout=subprocess.DEVNULL)
    [wheel] = tmp_path.glob("*.whl")
    names = {name for name in ZipFile(wheel).namelist() if name.startswith("mosis_device/")}
    assert names == {f"mosis_device/{path.name}" for path in CLIENT.glob("*.py")}
