"""Every package that the store accepts is unpacked by other programs to the tree that was signed."""

import os
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path

import pytest

from portal.packages import build, package, signature

from . import samples
from .test_archive import ACCEPTED
from .test_writers import COMMITTED, FILES, OTHER, WRITERS, WRITTEN, run, tree

SOURCES = Path(__file__).parent / "readers"
ENVIRONMENT = os.environ | {"LC_ALL": "C.UTF-8"}

COMMANDS = {
    "unzip": "unzip -q {package} -d {target}",
    "bsdtar": "bsdtar -xf {package} -C {target}",
    "bsdtar from a pipe": "bsdtar -xf - -C {target} < {package}",
    "7zz": "7zz x -bso0 -bsp0 -o{target} {package}",
    "busybox": "busybox unzip -q {package} -d {target}",
}


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Packages by their names: of every writer that is there, of others, and those that test_archive.py builds."""
    place = tmp_path_factory.mktemp("signed")
    files = tree(place / "files", FILES | OTHER)
    ascii_files = tree(place / "ascii", FILES)
    made: dict[str, Path] = {}

    def add(name: str) -> Path:
        made[name] = place / f"{len(made)}.mosis"
        return made[name]

    build.pack(files, add("mosis pack"))
    for name, writer in WRITERS.items():
        if shutil.which(writer.command.split()[0]) and not writer.ascii:
            out = place / "written.zip"  # a name that every writer leaves as it is
            run(writer, ascii_files if writer.other else files, out)
            out.rename(add(name))
    for name, verdict in COMMITTED.items():
        if not verdict:
            shutil.copy(WRITTEN / f"{name}.zip", add(name))
    for path in made.values():
        build.sign(path, samples.KEY)
    for name, data in ACCEPTED.items():
        add(name).write_bytes(data)
    return made


def same(path: Path, target: Path) -> Iterator[str]:
    """How what was unpacked to `target` differs from what the package states, or may harm."""
    statement = package.read(path).statement.decode()
    lines = [line.split("  ", 2) for line in statement.splitlines()[signature.HEADER_LINES :]]
    expected = {name: digest for digest, _, name in lines if not name.endswith("/")}
    found = {}
    for item in target.rglob("*"):
        name, mode = item.relative_to(target).as_posix(), item.lstat().st_mode
        if stat.S_ISREG(mode):
            found[name] = sha256(item.read_bytes()).hexdigest()
        elif not stat.S_ISDIR(mode):
            yield f"{name} is neither a file nor a directory"
        # unzip makes directories without a mode, as jar writes them, writable by everybody
        harmful = 0o7002 if stat.S_ISREG(mode) else 0o7000
        if mode & harmful or not mode & stat.S_IRUSR:
            yield f"{name} has the mode {stat.S_IMODE(mode):o}"
    found.pop(signature.PATH, None)
    if found != expected:
        yield f"{found.keys() ^ expected.keys() or 'the content'} differs"
    yield from (f"{name} is missing" for *_, name in lines if name.endswith("/") and not (target / name).is_dir())


def differences(signed: dict[str, Path], targets: list[Path]) -> dict[str, list[str]]:
    found = {name: list(same(path, target)) for (name, path), target in zip(signed.items(), targets, strict=True)}
    return {name: faults for name, faults in found.items() if faults}


@pytest.fixture
def targets(signed: dict[str, Path], tmp_path: Path) -> list[Path]:
    """A new directory for each package."""
    made = [tmp_path / str(number) for number in range(len(signed))]
    for target in made:
        target.mkdir()
    return made


@pytest.mark.parametrize("reader", COMMANDS)
def test_a_command(reader: str, signed: dict[str, Path], targets: list[Path]) -> None:
    program = COMMANDS[reader].split()[0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    for path, target in zip(signed.values(), targets, strict=True):
        command = COMMANDS[reader].format(package=path, target=target)
        subprocess.run(command, shell=True, env=ENVIRONMENT, stderr=subprocess.DEVNULL, timeout=300)
    assert differences(signed, targets) == {}


def test_python(signed: dict[str, Path], targets: list[Path]) -> None:
    for path, target in zip(signed.values(), targets, strict=True):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(target)
    assert differences(signed, targets) == {}


def run_once(command: list[str | Path], *arguments: Path) -> None:
    """Once for all packages: these two are slow to start."""
    ran = subprocess.run([*command, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr


def test_java(signed: dict[str, Path], targets: list[Path], tmp_path: Path) -> None:
    if shutil.which("javac") is None:
        pytest.skip("javac is not installed")
    streamed = [tmp_path / f"streamed-{target.name}" for target in targets]
    for target in streamed:
        target.mkdir()
    run_once(["java", SOURCES / "Unpack.java"], *chain(*zip(signed.values(), targets, streamed, strict=True)))
    assert differences(signed, targets) == {}
    assert differences(signed, streamed) == {}


def test_go(signed: dict[str, Path], targets: list[Path]) -> None:
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    run_once(["go", "run", SOURCES / "unpack.go"], *chain(*zip(signed.values(), targets, strict=True)))
    assert differences(signed, targets) == {}
