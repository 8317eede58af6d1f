"""What a host is refused for: the disks as the kernel describes them, judged before anything changes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploys.checks import preflight
from deploys.plan import plan
from deploys.plan.model import Plan
from deploys.plan.release import Release
from deploys.remote import probe

DISK = {"point": "/", "type": "ext4", "device": "8:1", "source": "/dev/sda1"}
DRIVE = {"point": "/mnt/usb", "type": "exfat", "device": "8:17", "source": "/dev/sdb1"}
BACKUP = {"mosis_settings": {"backup": {"mount": "/mnt/usb", "directory": "/mnt/usb/mosis"}}}
# What the probe finds on a new host that can take a store.
FOUND = {
    "python": [3, 11, 2],
    "uid": 0,
    "systemd": True,
    "apt": True,
    "writable": True,
    "entries": [],
    "mount": DISK,
    "drive": {},
    "own_data": [],
    "copied_store": None,
    "forbidden": [],
}
# In a mount namespace of its own: a directory with a blank in its name, and the same one bound elsewhere.
MOUNTED = """mkdir "$1/a drive" "$1/bound" && mount -t tmpfs tmpfs "$1/a drive" && mkdir "$1/a drive/x" &&
mount --bind "$1/a drive/x" "$1/bound" && exec "$2" "$3" "$1/a drive/x/not/there" '[]' "$1/bound/mosis"
"""


def refusal(wanted: Plan, **found: object) -> str | None:
    """Why a host on which this was `found` is refused, None if it is not."""
    ports = {str(listener.port): [] for listener in wanted.listeners}
    return preflight._fault(wanted, FOUND | {"ports": ports} | found)


@pytest.mark.parametrize(
    ("disk", "drive", "sentence"),
    [
        ({}, {}, None),
        ({"type": "btrfs"}, {}, None),
        ({"type": "exfat"}, {}, "is on exfat, which supports neither permissions"),
        ({"type": "fuseblk"}, {}, "is on fuseblk, which supports neither permissions"),
        ({"type": "nfs4"}, {}, "SQLite's log is not safe on a network file system"),
        ({"type": "cifs"}, {}, "SQLite's log is not safe on a network file system"),
        ({"type": "tmpfs"}, {}, "is on tmpfs, which a boot empties"),
        ({}, {"device": "8:1"}, "/mnt/usb is on the disk of the root /srv/mosis"),
        ({}, {"device": "0:40", "source": "/dev/sda1"}, "/mnt/usb is on the disk of the root /srv/mosis"),
        ({}, {"device": "8:1", "point": "/"}, None),  # the drive is away
    ],
)
def test_disks(disk: dict[str, str], drive: dict[str, str], sentence: str | None, release: Release) -> None:
    wanted = plan({"mosis_runtime": "systemd"} | BACKUP, release)
    fault = refusal(wanted, mount=DISK | disk, drive=DRIVE | drive)
    assert fault is None if sentence is None else fault and sentence in fault


@pytest.fixture
def mounted(tmp_path: Path) -> dict[str, dict[str, str]]:
    """The answer of the probe, whose root does not exist yet on the one mount, and whose drive is the other."""
    command = [
        "unshare",
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        MOUNTED,
        "sh",
        tmp_path,
        sys.executable,
        probe.__file__,
    ]
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip("this machine lets nobody mount anything in a namespace")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_probe_finds_a_mount_that_is_bound_twice(mounted: dict[str, dict[str, str]], tmp_path: Path) -> None:
    root, drive = mounted["mount"], mounted["drive"]
    assert (root["point"], root["type"]) == (f"{tmp_path}/a drive", "tmpfs")
    assert drive["point"] == f"{tmp_path}/bound"
    assert preflight._same(root, drive)


@pytest.mark.parametrize(
    ("runtime", "present", "foreign"),
    [
        ("local", (), None),
        ("local", ("data", "log", "temp"), None),  # an interrupted first deploy
        ("local", (".bashrc", "lost+found", "@eaDir", "#recycle"), None),
        ("local", ("data", "photos"), "photos"),
        ("local", ("photos", "etc/mosis.toml"), None),  # a store, whose owner put something beside it
        ("systemd", ("photos", "data/portal.db"), None),
        ("systemd", ("photos", "backups/portal/"), None),  # a store that lost its database
        ("systemd", ("data", "packages", "assets"), None),
        ("systemd", ("hosts", "passwd"), "hosts"),
        ("compose", ("data", "packages"), None),
        ("compose", ("photos",), "photos"),
    ],
)
def test_a_directory_of_other_files_is_not_taken_as_a_new_root(
    runtime: str, present: tuple[str, ...], foreign: str | None, release: Release, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in present:
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).touch() if "." in name else (root / name).mkdir()
    wanted = plan({"mosis_runtime": runtime, "mosis_root": "/srv/mosis"}, release)
    fault = refusal(wanted, entries=probe.entries(root))
    assert fault is None if foreign is None else fault and f"neither a store nor empty: it contains {foreign}." in fault


def test_the_probe_finds_a_port_that_needs_root(tmp_path: Path) -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if not shutil.which("unshare") or first <= 1:
        pytest.skip("unshare is not installed, or this machine has no port that needs root")
    words = ["unshare", "--user", sys.executable, probe.__file__, str(tmp_path), "[1, 50000]", ""]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip("this machine lets nobody make a namespace")
    assert json.loads(done.stdout)["forbidden"] == [1]


def test_a_port_that_needs_root_is_refused(release: Release) -> None:
    wanted = plan({"mosis_runtime": "local", "mosis_root": "/home/dev/mosis", "mosis_port": 80}, release)
    assert refusal(wanted, forbidden=[80]) == (
        "Port 80 needs root: this user may not listen there; choose a port above 1023."
    )
    assert refusal(wanted) is None
