"""Upgrades, releases that fail and ways back, under a client that never rests: on a Debian host and a look-alike NAS.

A host begins with the release that stores run today, deployed by its own deploys.

The tests are steps in the life of one host, in this order, first of the one and then of the other.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.hosts import debian
from tests.hosts.checkout import IN_USE, Checkout, released
from tests.hosts.debian import Debian
from tests.hosts.dsm import deployed
from tests.hosts.dsm.deployed import Deployed
from tests.hosts.dsm.nas import Nas
from tests.hosts.forward import forwarded
from tests.hosts.hammer import Hammer
from tests.hosts.machine import Machine
from tests.hosts.pyinfra_run import Result
from tests.hosts.shell import Say, until
from tests.hosts.store import Store, Upload

pytestmark = pytest.mark.seconds(1000)

FRONT = 8000  # where the reverse proxy in front of a NAS listens
NOT_READY = "The new portal is not ready: the previous one keeps running."
FIRST_CODES = count(1000, 1000)  # version_code of the first upload under load

Unnoticed = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Host:
    """A host with a store. `home` has the links to its releases.

    `portal` is a shell command that prints the portal's main process, `declared` one that prints what a boot starts.
    """

    machine: Machine
    store: Store
    deploy: Callable[..., Result]
    home: str
    portal: str
    declared: str

    def release(self, link: str) -> str:
        """The id of the release that is `current` or `previous`."""
        return Path(self.machine.ssh(f"sudo readlink {self.home}/{link}").strip()).name

    def schema(self) -> int:
        [[number]] = self.store.sql(f"{self.store.root}/data/portal.db", "PRAGMA user_version")
        return number

    def copies(self, schema: int) -> int:
        """How many copies of the database before that schema there are."""
        return self.machine.ssh(f"sudo ls {self.store.root}/backups/snapshots").count(f"before-schema-{schema}-")

    def kill_portal(self) -> None:
        """Raises AssertionError unless the portal starts again by itself."""
        killed = self.machine.ssh(self.portal)
        self.machine.ssh(f"sudo kill -9 {killed}")
        until("another portal", lambda: self.machine.ssh(self.portal) not in (killed, "0\n"))
        self.store.wait_ready()


def debian_host(machine: Machine, directory: Path, first: Path, say: Say) -> Host:
    own = Debian(machine, directory, say)
    own.deploy(checkout=first)
    admin = machine.ssh(f"sudo cat {debian.ROOT}/secrets/admin-token").strip()
    portal = "systemctl show --property=MainPID --value mosis-portal.service"
    declared = "readlink /opt/mosis/current"
    return Host(machine, Store(machine, debian.ROOT, admin), own.deploy, "/opt/mosis", portal, declared)


def nas_host(nas: Nas, directory: Path, first: Path, say: Say) -> Host:
    own = Deployed(nas, directory, say)
    own.bootstrap(checkout=first)
    own.deploy(checkout=first)
    admin = nas.ssh(f"sudo cat {deployed.ROOT}/secrets/admin-token").strip()
    urls = {"url": f"http://{nas.address}:{FRONT}", "inside": f"http://127.0.0.1:{deployed.PORT}"}
    portal = "sudo /usr/local/bin/docker inspect --format '{{.State.Pid}}' mosis-portal-1"
    declared = "sudo cat /volume1/@mosis/etc/compose.yml"
    return Host(nas, Store(nas, deployed.ROOT, admin, **urls), own.deploy, "/volume1/@mosis", portal, declared)


@pytest.fixture(scope="module")
def in_use(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the release that stores run today."""
    return released(IN_USE, tmp_path_factory.mktemp("in-use") / "mosis")


@pytest.fixture(scope="module", params=["debian", "nas"])
def host(
    request: pytest.FixtureRequest,
    boot: Callable[[], Machine],
    boot_nas: Callable[[], Nas],
    in_use: Path,
    tmp_path_factory: pytest.TempPathFactory,
    say: Say,
) -> Iterator[Host]:
    with ExitStack() as undo:
        directory = tmp_path_factory.mktemp("inventory")
        if request.param == "debian":
            host = debian_host(boot(), directory, in_use, say)
        else:
            nas = boot_nas()
            undo.enter_context(forwarded((nas.address, FRONT), ("127.0.0.1", deployed.PORT), nas.name))
            host = nas_host(nas, directory, in_use, say)
        host.store.wait_ready()
        host.store.join(tmp_path_factory.mktemp("developer") / "key.pem")
        yield host


@pytest.fixture(scope="module")
def checkout(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The releases of one host come from one copy of this checkout."""
    return Checkout(tmp_path_factory.mktemp("checkout") / "mosis")


@pytest.fixture(scope="module")
def published(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Upload:
    upload = host.store.upload(tmp_path_factory.mktemp("packages"), 1, megabytes=1)
    host.store.publish(1)
    host.store.icon()
    return upload


@pytest.fixture
def nobody_notices(host: Host, published: Upload, tmp_path: Path, say: Say) -> Iterator[Unnoticed]:
    """What is done inside fails no request, and loses nothing that was uploaded meanwhile."""

    @contextmanager
    def hammered() -> Iterator[None]:
        with Hammer(host.store, published, tmp_path, next(FIRST_CODES)) as hammer:
            yield
        say(str(hammer))
        assert hammer.failures == []
        hammers.append(hammer)

    hammers: list[Hammer] = []
    yield hammered
    for hammer in hammers:  # at the end of the test, after all that came next
        hammer.all_is_there()


def test_a_plain_deploy_upgrades_the_release_in_use(
    host: Host, published: Upload, nobody_notices: Unnoticed, say: Say
) -> None:
    picture = f"/assets/{host.store.app_id}/icon-128.png"
    before, icon = host.release("current"), host.store.get(picture).content
    with nobody_notices():
        done = host.deploy()
    assert done.changed and host.release("previous") == before != host.release("current")
    host.store.serves({1: published})
    assert host.store.get(picture).content == icon
    host.machine.ssh("sudo /usr/local/bin/mosis audit verify")
    assert host.deploy().changed == ()
    say(f"from {IN_USE}: packages, icon and audit log are whole; a second deploy changes nothing")


def test_an_upgrade_migrates(host: Host, checkout: Checkout, nobody_notices: Unnoticed, say: Say) -> None:
    before = host.release("current")
    checkout.expand()
    with nobody_notices():
        assert host.deploy(checkout=checkout.path).changed
    assert host.release("previous") == before != host.release("current")
    assert (host.schema(), host.copies(checkout.schema)) == (checkout.schema, 1)
    assert host.deploy(checkout=checkout.path).changed == ()
    say(f"schema {host.schema()}, a copy of the one before")


def test_a_release_that_does_not_get_ready_leaves_one_that_does(
    host: Host, checkout: Checkout, nobody_notices: Unnoticed, say: Say
) -> None:
    before = host.release("current"), host.release("previous")
    checkout.expand()
    with nobody_notices(), checkout.broken_portal():
        failed = host.deploy(checkout=checkout.path, check=False)
    assert failed.returncode and NOT_READY in failed.output and "broken on purpose" in failed.output
    assert (host.release("current"), host.release("previous")) == before
    assert host.schema() == checkout.schema
    host.kill_portal()
    say("the release before starts again beside the newer schema")


def test_a_migration_that_fails_changes_nothing(host: Host, checkout: Checkout, nobody_notices: Unnoticed) -> None:
    before = host.release("current"), host.release("previous"), host.schema()
    with nobody_notices(), checkout.broken_migration():
        failed = host.deploy(checkout=checkout.path, check=False)
    assert failed.returncode and NOT_READY in failed.output
    assert "fails on a copy of the database: no such table: absent" in failed.output
    assert (host.release("current"), host.release("previous"), host.schema()) == before
    host.kill_portal()


def test_the_mended_release_is_deployed(host: Host, checkout: Checkout, nobody_notices: Unnoticed) -> None:
    before = host.release("current")
    told = host.deploy(checkout=checkout.path, dry=True)
    with nobody_notices():
        done = host.deploy(checkout=checkout.path)
    assert done.changed and sorted(done.changed) == sorted(told.changed)
    assert host.release("previous") == before


def test_the_way_back_is_a_deploy(host: Host, checkout: Checkout, nobody_notices: Unnoticed, say: Say) -> None:
    before = host.release("current")
    with nobody_notices():
        assert host.deploy().changed
    assert host.release("previous") == before
    assert host.deploy().changed == ()
    assert host.schema() == checkout.schema
    host.machine.reboot()
    host.store.wait_ready(180)
    say("the older release comes up with the host, beside the newer schema")


def test_a_release_that_is_too_old_for_the_database_is_refused(
    host: Host, checkout: Checkout, nobody_notices: Unnoticed
) -> None:
    checkout.contract()
    with nobody_notices():
        assert host.deploy(checkout=checkout.path).changed
        before = host.release("current"), host.release("previous")
        refused = host.deploy(check=False)
    assert refused.returncode and f"for releases of schema {checkout.schema - 1} and newer" in refused.output
    assert (host.release("current"), host.release("previous")) == before


def test_a_host_that_goes_down_during_an_upgrade_comes_up_with_it(host: Host, checkout: Checkout, say: Say) -> None:
    before = host.machine.ssh(host.declared)
    checkout.expand()
    with ThreadPoolExecutor() as pool:
        cut = pool.submit(host.deploy, checkout=checkout.path, check=False)
        until("files of the new release", lambda: host.machine.ssh(host.declared) != before, seconds=240, every=0.1)
        host.machine.reboot()
        assert cut.result().returncode
    host.store.wait_ready(180)
    assert host.schema() == checkout.schema and host.copies(checkout.schema)
    say("after the boot the new release has migrated the database")
    host.deploy(checkout=checkout.path)
    assert host.deploy(checkout=checkout.path).changed == ()
