"""What the tests on booted hosts share. Each test module boots its own hosts, over one cached base."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hosts import probe, rootfs
from tests.hosts.checkout import Checkout
from tests.hosts.dsm import rootfs as dsm
from tests.hosts.dsm.nas import Nas
from tests.hosts.machine import Machine
from tests.hosts.pyinfra_run import REPOSITORY
from tests.hosts.shell import Say, run
from tests.hosts.wheelhouse import wheelhouse


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Say:
    """Print one line about a step, whatever pytest captures."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def line(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n    {text}", end="", flush=True)

    return line


@pytest.fixture(scope="session")
def ready(say: Say) -> Iterator[None]:
    """This machine has what it takes to boot a host, or the run stops with the reason."""
    if os.geteuid() == 0 and (packages := probe.missing_packages()):
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
    return wheelhouse(REPOSITORY / "requirements/portal.lock", rootfs.cache_folder(), say)


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
    return dsm.image(rootfs.SERVER.suite, rootfs.cache_folder(), say)


@pytest.fixture(scope="module")
def boot_nas(
    base: Path, image: Path, tmp_path_factory: pytest.TempPathFactory, say: Say
) -> Iterator[Callable[[], Nas]]:
    """Boot a fresh look-alike NAS, wait for its Docker and import the image; gone when the module is done."""
    layers = (dsm.layer(base, rootfs.cache_folder(), say), base)
    with ExitStack() as hosts:

        def fresh() -> Nas:
            nas = hosts.enter_context(Nas(layers, tmp_path_factory.mktemp("nas") / "console.log"))
            nas.wait_engine()
            nas.import_image(image)
            say(f"booted the NAS {nas.name} at {nas.address}")
            return nas

        yield fresh
