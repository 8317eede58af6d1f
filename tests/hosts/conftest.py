"""What the tests on booted hosts share. Each test module boots its own hosts, over one cached base."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest

from tests.hosts import engine, probe, rootfs
from tests.hosts.checkout import Checkout
from tests.hosts.dsm import rootfs as dsm
from tests.hosts.dsm.nas import Nas
from tests.hosts.engine import Engine
from tests.hosts.machine import Machine
from tests.hosts.pyinfra_run import REPOSITORY
from tests.hosts.shell import Say, run
from tests.hosts.wheelhouse import wheelhouse

Host = TypeVar("Host", bound=Engine)


def _hosts_of(nodeid: str) -> str:
    """`dsm` of `tests/hosts/test_dsm.py::test_it`."""
    return Path(nodeid.partition("::")[0]).stem.removeprefix("test_")


@pytest.hookimpl(trylast=True)
def pytest_runtest_logstart(nodeid: str, location: tuple[str, int | None, str]) -> None:
    """A line a test: what it shows. Below it come the lines of its steps, see `say`."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        _print(f"  {_hosts_of(nodeid)}: {location[2].partition('[')[0].removeprefix('test_').replace('_', ' ')}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A line for what is not well, and no dot for what is."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        _print(f"  {_hosts_of(report.nodeid)}: FAILED {report.nodeid.partition('::')[2]}")


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    if report.failed:
        return ("failed" if report.when == "call" else "error"), "", "FAILED"
    return ("passed", "", "PASSED") if report.when == "call" and report.passed else None


def _print(line: str) -> None:
    """Of a worker only standard error reaches the terminal."""
    print(line, file=sys.stderr, flush=True)


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Say:
    """Print one line about a step of the test under way, whatever pytest captures."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def line(text: str) -> None:
        with capture.global_and_fixture_disabled():
            _print(f"    {_hosts_of(os.environ['PYTEST_CURRENT_TEST'].rpartition(' ')[0])}: {text}")

    return line


@pytest.fixture(scope="session")
def ready(say: Say) -> Iterator[None]:
    """This machine has what it takes to boot a host, or the run stops with the reason."""
    if os.geteuid() == 0 and (packages := probe.missing_packages()):
        with rootfs.alone(rootfs.cache_folder() / "apt.lock"):
            say(f"installing {' '.join(packages)}")
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            run("apt-get", "update", "-q", env=environment)
            run("apt-get", "install", "-q", "-y", "--no-install-recommends", *packages, env=environment)
    if faults := probe.faults():
        pytest.exit("\n".join(faults), returncode=1)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended by `timeout`, hosts stop as on Ctrl-C
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def base(ready: None, say: Say) -> Path:
    """Root file system of a plain Debian server."""
    return rootfs.base(rootfs.SERVER, rootfs.cache_folder(), say)


@pytest.fixture(scope="session")
def wheels(say: Say) -> Path:
    """Every wheel of the portal's lock file."""
    return wheelhouse(REPOSITORY, say)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of this checkout, to deploy other releases from."""
    return Checkout(tmp_path_factory.mktemp("checkout") / "mosis")


@pytest.fixture(scope="module")
def boot(base: Path, tmp_path_factory: pytest.TempPathFactory, say: Say) -> Iterator[Callable[[], Machine]]:
    """Boot a fresh host; every host booted by a module is gone when the module is done."""
    with ExitStack() as hosts:

        def fresh() -> Machine:
            machine = hosts.enter_context(Machine((base,), tmp_path_factory.mktemp("host") / "console.log"))
            say(f"booted {machine.name} at {machine.address}")
            return machine

        yield fresh


@pytest.fixture(scope="session")
def image(ready: None, say: Say) -> Path:
    """A tar file with what the store's image is built on, for a host that reaches no registry."""
    return engine.image(rootfs.SERVER.suite, rootfs.cache_folder(), say)


@pytest.fixture(scope="session")
def docker_layers(base: Path, say: Say) -> tuple[Path, ...]:
    """A Debian server with Docker."""
    return engine.layer(base, rootfs.cache_folder(), say), base


@pytest.fixture(scope="module")
def boot_engine(
    docker_layers: tuple[Path, ...], image: Path, tmp_path_factory: pytest.TempPathFactory, say: Say
) -> Iterator[Callable[[], Engine]]:
    """Boot a fresh Debian host with Docker and import the image; gone when the module is done."""
    yield from _booted(Engine, docker_layers, image, tmp_path_factory, say)


@pytest.fixture(scope="module")
def boot_nas(
    docker_layers: tuple[Path, ...], image: Path, tmp_path_factory: pytest.TempPathFactory, say: Say
) -> Iterator[Callable[[], Nas]]:
    """The same for a look-alike NAS."""
    layers = (dsm.layer(docker_layers, rootfs.cache_folder(), say), *docker_layers)
    yield from _booted(Nas, layers, image, tmp_path_factory, say)


def _booted(
    kind: type[Host], layers: tuple[Path, ...], image: Path, places: pytest.TempPathFactory, say: Say
) -> Iterator[Callable[[], Host]]:
    with ExitStack() as hosts:

        def fresh() -> Host:
            host = hosts.enter_context(kind(layers, places.mktemp("host") / "console.log"))
            host.wait_engine()
            host.import_image(image)
            say(f"booted {host.name}, a {kind.__name__}, at {host.address}")
            return host

        yield fresh
