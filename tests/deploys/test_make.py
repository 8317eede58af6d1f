"""What `make` does on the operator's machine before and around pyinfra: the environment, the refusals, the output."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploys.make import deploy, place
from deploys.make.steps import Steps
from deploys.plan.render import CHECKOUT
from deploys.remote import down
from tests.deploys.local_store import local_store
from tests.support.portal import free_port

pytestmark = pytest.mark.seconds(170)

# What builds the checkout into the environment, out of the real lock: enough to be whole, and installed in seconds.
BUILDERS = ("editables", "hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers")


def make(checkout: Path, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    # MAKE…: what `make test` hands to the tests it runs would make this one print which directory it enters.
    own = ("ROOT", "PORT", "PYTHON", "V", "WHEELHOUSE")
    kept = {
        key: value for key, value in os.environ.items() if key not in own and not key.startswith(("MAKE", "MFLAGS"))
    }
    command = ["make", "-C", checkout, *words]
    return subprocess.run(command, env=kept | variables, capture_output=True, text=True, check=False)


def python(checkout: Path, statement: str) -> str:
    command = [checkout / ".venv/bin/python", "-c", statement]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy whose lock lists only the builders."""
    target = tmp_path / "a checkout"
    for name in ("deploys", "portal", "mosis_device"):
        shutil.copytree(CHECKOUT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml", "README.md"):
        shutil.copy(CHECKOUT / name, target)
    entries = re.split(r"^(?=\S)", (CHECKOUT / "requirements/operator.lock").read_text(), flags=re.MULTILINE)
    builders = [entry for entry in entries if entry.partition("==")[0] in BUILDERS]
    assert len(builders) == len(BUILDERS)
    (target / "requirements").mkdir()
    (target / "requirements/operator.lock").write_text("".join(builders))
    return target


def test_make_alone_says_what_each_command_does() -> None:
    [commands] = re.findall(r"^\.PHONY: (.*)$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    alone, asked = make(CHECKOUT), make(CHECKOUT, "help")
    assert (alone.returncode, alone.stdout) == (0, asked.stdout)
    assert {*re.findall(r"^    make ([a-z-]+) +\S", alone.stdout, re.MULTILINE)} == {*commands.split()}


@pytest.fixture
def installed(checkout: Path) -> Path:
    done = make(checkout, ".venv/operator.done")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Installing" in done.stdout
    return checkout


def assert_healed(checkout: Path) -> None:
    done = make(checkout, ".venv/operator.done")
    assert done.returncode == 0, done.stdout + done.stderr
    assert python(checkout, "import hatchling, portal; print(portal.__file__)") == f"{checkout}/portal/__init__.py"
    assert f"{checkout}/.venv/bin/python" in (checkout / ".venv/bin/mosis").read_text()
    assert "Rebuilding .venv" in done.stdout
    again = make(checkout, ".venv/operator.done")
    assert again.returncode == 0
    assert not [line for line in again.stdout.splitlines() if not line.startswith("make: ")]


def test_the_litestream_of_a_new_lock_is_compared_with_its_release() -> None:
    commands = make(CHECKOUT, "--dry-run", "lock").stdout
    assert commands.index("-o requirements/operator.lock") < commands.index("python -m deploys.make.litestream\n")


def test_a_moved_checkout_heals(installed: Path) -> None:
    moved = installed.rename(installed.with_name("moved"))
    assert_healed(moved)


def install_for_another_python(checkout: Path) -> None:
    """Leave the packages where an older Python looks for them."""
    (libraries,) = (checkout / ".venv/lib").glob("python3*")
    libraries.rename(libraries.with_name("python3.0"))


def test_a_python_that_has_vanished_heals(installed: Path) -> None:
    """As after an upgrade of the system."""
    install_for_another_python(installed)
    for name in ("python", "python3"):
        (installed / f".venv/bin/{name}").unlink(missing_ok=True)
    (installed / ".venv/bin/python").symlink_to("/usr/bin/python3.0")
    assert_healed(installed)


def test_a_python_that_was_replaced_heals(installed: Path) -> None:
    """It starts, and does not find what an older one had."""
    install_for_another_python(installed)
    assert_healed(installed)


def test_an_interrupted_first_install_heals(checkout: Path) -> None:
    """Killed between the two steps of `python -m venv`: a Python without pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    assert_healed(checkout)


def test_two_at_once_install_once(checkout: Path) -> None:
    command = ["make", "-C", checkout, ".venv/operator.done"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sorted("Installing" in output for output in outputs) == [False, True], outputs
    assert python(checkout, "import hatchling") == ""


def wheel(directory: Path, name: str, version: str, *requirements: str) -> Path:
    """A package without code."""
    path, info = directory / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    required = "".join(f"Requires-Dist: {requirement}\n" for requirement in requirements)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: more\n{required}",
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_a_newer_release_of_a_dependency_changes_nothing(checkout: Path, tmp_path: Path) -> None:
    """Left to itself pip takes the newest `needed[more]`, although the lock has `needed`, and refuses it: no digest."""
    locked = [wheel(tmp_path, "asks", "1", "needed[more]>=1"), wheel(tmp_path, "needed", "1")]
    wheel(tmp_path, "needed", "2")
    with (checkout / "requirements/operator.lock").open("a") as lock:
        for path in locked:
            name, version = path.name.split("-")[:2]
            lock.write(f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n")
    places = f"{os.environ.get('PIP_FIND_LINKS', '')} {tmp_path.as_uri()}".strip()
    done = make(checkout, ".venv/operator.done", PIP_FIND_LINKS=places)
    assert done.returncode == 0, done.stderr
    assert python(checkout, "from importlib.metadata import version; print(version('needed'))") == "1"


def test_without_an_index_it_says_how_to_go_on(checkout: Path, tmp_path: Path) -> None:
    nowhere = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_NO_CACHE_DIR": "1",
    }
    done = make(checkout, ".venv/operator.done", **nowhere)
    assert done.returncode != 0
    assert "No package index can be reached." in done.stderr and "WHEELHOUSE=wheels" in done.stderr
    assert "urllib3" not in done.stderr and "Traceback" not in done.stderr
    (command,) = re.findall(r"-m (pip download .*)", done.stderr)
    wheels = command.replace("--dest wheels", f"--dest {tmp_path}/wheels").split(" ")
    subprocess.run([sys.executable, "-m", *wheels], cwd=checkout, check=True, capture_output=True)
    local = make(checkout, ".venv/operator.done", WHEELHOUSE=f"{tmp_path}/wheels", **nowhere)
    assert local.returncode == 0, local.stderr
    assert python(checkout, "import hatchling") == ""


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"ROOT": "/srv/Müller Apps/store"}, "it contains 'ü' and ' '"),
        ({"ROOT": "/" + 80 * "a"}, "too long for a Unix socket"),
        ({"PORT": "80a"}, "'80a' is not a TCP port"),
        ({"PORT": "70000"}, "'70000' is not a TCP port"),
        ({"PYTHON": "/usr/bin/pyhton3"}, "'/usr/bin/pyhton3' does not exist"),
        ({"PYTHON": "/bin/false"}, "'/bin/false' cannot start"),
    ],
)
def test_a_wrong_variable_is_refused_before_anything_is_installed(
    checkout: Path, variables: Mapping[str, str], sentence: str
) -> None:
    done = make(checkout, "deploy", **variables)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr and not (checkout / ".venv").exists()


def test_a_python_that_is_too_old_is_named_with_its_version(checkout: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 9); $2"\n')
    old.chmod(0o755)
    done = make(checkout, "deploy", PYTHON=str(old))
    assert f"'{old}' is Python 3.9; Mosis needs 3.11 or newer" in done.stderr


def test_a_python_that_is_not_used_is_reported(installed: Path) -> None:
    other = Path("/usr/bin/python3")
    if not other.exists() or os.path.realpath(other) == os.path.realpath(installed / ".venv/bin/python"):
        pytest.skip("this machine has one Python")
    done = make(installed, ".venv/operator.done", PYTHON=str(other))
    assert done.returncode == 0
    assert f"PYTHON={other} is ignored: .venv uses " in done.stdout


def test_make_down_needs_no_environment(checkout: Path) -> None:
    """Another make may be rebuilding it, or its Python may be gone."""
    with local_store() as store:
        first = store.deploy()
        assert first.code == 0, first.output
        done = make(checkout, "down", ROOT=str(store.root))
        assert not down.ours(store.root)
        assert done.returncode == 0, done.stderr
        assert re.search(rf"^Stopped \d+ processes of {store.root}\.$", done.stdout, re.MULTILINE), done.stdout
    assert not (checkout / ".venv").exists()


def test_make_down_fails_for_a_root_that_is_no_store(checkout: Path) -> None:
    done = make(checkout, "down", ROOT=str(checkout))
    assert done.returncode != 0
    assert f"{checkout} is not a store" in done.stderr


@pytest.mark.parametrize(
    ("name", "used"), [("plain", True), ("a blank", False), ("Müller", False), ("not/there", False)]
)
def test_pyinfra_is_given_a_temporary_directory_whose_name_its_commands_can_hold(
    name: str, used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = tmp_path / name
    if name != "not/there":
        wanted.mkdir()
    monkeypatch.setenv("TMPDIR", str(wanted))
    chosen = deploy._temporary()
    assert (chosen == str(wanted)) is used
    assert Path(chosen).is_dir() and not place.not_plain(chosen)


def test_the_cause_of_a_failure_is_the_last_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = make(CHECKOUT, "deploy", ROOT=str(tmp_path / "store"), PORT=str(port))
    assert done.returncode != 0
    assert done.stdout.splitlines()[-2] == f"Port {port} is taken by python; stop that program or choose another port."
    assert "pyinfra error" not in done.stdout and "No hosts remaining" not in done.stdout
    assert not (tmp_path / "store").exists()


RUN = """--> Loading config...
    [@local] Connected
    Loading: deploy.py
    [@local] Ready: deploy.py
--> Starting operation: Base | Directory /srv/mosis
    [@local] No changes
--> Starting operation: Portal | Database
    [@local] Success
--> Starting operation: Local | Programs run
"""


@pytest.mark.parametrize(
    ("ending", "failed", "printed"),
    [
        (
            "    [@local] Success\n--> Results:\n    Grand total 3\n",
            False,
            ["    Local | Programs run", "3 steps, 2 changed"],
        ),
        (
            """    [@local] a line of the log
    [@local] Not ready within 30 s.
    [@local] Error: executed 0 commands
--> Disconnecting from hosts...
--> pyinfra error: No hosts remaining!
""",
            True,
            ["    a line of the log", "Local | Programs run failed: Not ready within 30 s."],
        ),
        (
            "    [@local] Success\n--> pyinfra error in /x y/preflight.py line 39: @local: Port 80 is taken.\n",
            True,
            ["    Local | Programs run", "Port 80 is taken."],
        ),
        (
            "    [@local] Success\nTraceback (most recent call last):\n  File x\nKeyError: 3\n",
            True,
            ["    Local | Programs run", "Traceback (most recent call last):", "  File x", "KeyError: 3"],
        ),
    ],
)
def test_a_run_in_short(ending: str, failed: bool, printed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps()
    steps.follow((RUN + ending).splitlines(keepends=True))
    steps.report(failed=failed)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "    Portal | Database"
    assert shown[1 : 1 + len(printed)] == printed


def test_a_deploy_moves_a_store_only_where_a_port_is_named(tmp_path: Path) -> None:
    temporary = tmp_path / "a blank"  # which pyinfra could not use
    temporary.mkdir()
    with local_store() as store:
        elsewhere = free_port()
        deployed, again, moved = [
            make(CHECKOUT, "deploy", ROOT=str(store.root), TMPDIR=str(temporary), **port)
            for port in ({"PORT": str(store.port)}, {}, {"PORT": str(elsewhere)})
        ]
    assert deployed.returncode == again.returncode == moved.returncode == 0, again.stdout + again.stderr
    assert (deploy.AS_ROOT in deployed.stderr) == (os.geteuid() == 0)
    assert f"http://127.0.0.1:{store.port}" in again.stdout and "moved" not in again.stdout
    assert f"The store moved from port {store.port} to {elsewhere}." in moved.stdout.splitlines()


@pytest.mark.parametrize(
    ("settings", "port", "expected"),
    [
        (None, "", "8080"),
        ('root = "/srv"\n', "", "8080"),
        ("port = 18150\n", "", "18150"),
        ("port = 18150\n", "9000", "9000"),
        ("port = \n", "", "8080"),
    ],
)
def test_a_store_keeps_its_port(settings: str | None, port: str, expected: str, tmp_path: Path) -> None:
    if settings is not None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/mosis.toml").write_text(settings)
    asked = "import runpy; print(runpy.run_path('inventory/local.py')['store'][0][1]['mosis_port'])"
    variables = os.environ | {"ROOT": str(tmp_path), "PORT": port}
    done = subprocess.run([sys.executable, "-c", asked], cwd=CHECKOUT, env=variables, capture_output=True, text=True)
    assert done.stdout.strip() == expected, done.stderr


def test_a_root_that_is_a_link_is_the_directory_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    asked = "import runpy; print(runpy.run_path('inventory/local.py')['store'][0][1]['mosis_root'])"
    variables = os.environ | {"ROOT": str(tmp_path / "link")}
    done = subprocess.run([sys.executable, "-c", asked], cwd=CHECKOUT, env=variables, capture_output=True, text=True)
    assert done.stdout.strip() == str(tmp_path / "disk"), done.stderr
