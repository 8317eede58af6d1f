"""The harness itself: a host that boots, takes a deploy, reboots, has drives, and leaves nothing behind."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts import cgroups, network
from tests.hosts.machine import Machine
from tests.hosts.pyinfra_run import deploy, write_inventory
from tests.hosts.shell import run

pytestmark = pytest.mark.seconds(100)

SELFTEST = Path(__file__).parent / "selftest"
DRIVE = "/volumeUSB1"


@pytest.fixture(scope="module")
def host(boot: Callable[[], Machine]) -> Machine:
    return boot()


@pytest.fixture
def inventory(host: Machine, tmp_path: Path) -> Path:
    return write_inventory(tmp_path / "hosts.py", {"one": host}, {}, tmp_path)


def test_a_deploy_changes_a_fresh_host_and_then_nothing(host: Machine, inventory: Path) -> None:
    operations = {"Harness | A file in /etc", "Harness | Cron from the package cache"}
    planned = deploy(inventory, SELFTEST / "deploy.py", dry=True)
    assert set(planned.changed) == operations
    assert host.try_ssh("ls /etc/mosis-harness").returncode == 2  # a dry run writes nothing
    first = deploy(inventory, SELFTEST / "deploy.py")
    assert (first.hosts, set(first.changed), first.unchanged) == ({"one"}, operations, ())
    assert host.ssh("sudo cat /etc/mosis-harness; stat -c %a /etc/mosis-harness") == "written by the self-test\n640\n"
    assert host.ssh("systemctl is-active cron") == "active\n"
    second = deploy(inventory, SELFTEST / "deploy.py")
    assert (second.changed, set(second.unchanged)) == ((), operations)


def test_a_deploy_that_fails_is_reported(inventory: Path, tmp_path: Path) -> None:
    broken = tmp_path / "deploy.py"
    broken.write_text("from pyinfra.operations import server\nserver.shell(name='Fails', commands=['exit 3'])\n")
    assert deploy(inventory, broken, check=False).returncode != 0
    with pytest.raises(AssertionError, match="exit code"):
        deploy(inventory, broken)


def test_a_rebooted_host_comes_back_with_its_files(host: Machine) -> None:
    before = host.boot_id()
    host.ssh("echo kept | sudo tee /var/lib/kept")
    host.reboot()
    assert host.boot_id() != before
    assert host.ssh("cat /var/lib/kept") == "kept\n"


def test_a_killed_host_boots_again(host: Machine) -> None:
    before = host.boot_id()
    host.kill()
    assert host.try_ssh("true", timeout=10).returncode == 255
    host.start()
    assert host.boot_id() != before


@pytest.mark.parametrize("kind", ["ext4", "btrfs"])
def test_a_drive_is_pulled_and_plugged_in_again(host: Machine, kind: str) -> None:
    drive = host.volume(kind, kind=kind)
    host.attach(drive, DRIVE)
    assert host.ssh(f"findmnt -n -o FSTYPE {DRIVE}") == f"{kind}\n"
    host.ssh(f"echo on the drive | sudo tee {DRIVE}/file")
    host.detach(DRIVE)
    assert host.try_ssh(f"findmnt {DRIVE}").returncode == 1
    assert host.ssh(f"ls {DRIVE}") == ""
    host.attach(drive, DRIVE)
    assert host.ssh(f"cat {DRIVE}/file") == "on the drive\n"
    host.detach(DRIVE)


def test_limits_of_units_are_enforced(host: Machine) -> None:
    unit = "sudo systemd-run --wait -p MemorySwapMax=0 -p MemoryMax={limit}M python3 -c 'b = bytearray(60_000_000)'"
    assert "Finished with result: success" in host.try_ssh(unit.format(limit=300)).stderr
    assert "code=killed/status=KILL" in host.try_ssh(unit.format(limit=30)).stderr


def test_two_hosts_share_nothing(host: Machine, boot: Callable[[], Machine]) -> None:
    other = boot()
    assert {host.name, other.name} == {host.ssh("hostname").strip(), other.ssh("hostname").strip()}
    assert host.address != other.address
    for unique in ("/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub"):
        assert host.ssh(f"cat {unique}") != other.ssh(f"cat {unique}")
    assert other.try_ssh(f"timeout 2 bash -c '</dev/tcp/{host.address}/22'").returncode != 0  # no route out


def test_a_host_leaves_nothing_behind(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Machine((base,), tmp_path / "console.log") as machine:
        machine.attach(machine.volume("drive"), DRIVE)
        name, place = machine.name, machine.root.parent
        raise ZeroDivisionError
    assert name not in run("ip", "netns", "list") + run("ip", "link")
    assert str(place) not in run("losetup", "-a") + Path("/proc/mounts").read_text()
    assert not place.exists() and place.is_relative_to(network.RUN)
    assert not [tree for tree in cgroups.hierarchies() if (tree / name).exists()]
