"""A NAS that looks like one with DSM 7.2 and Container Manager, and fails where those fail."""

import os
from pathlib import Path

from tests.hosts.engine import Engine
from tests.hosts.machine import Volume
from tests.hosts.shell import run

ROOT = Path(__file__).with_name("root")
STATE = "var/lib/syno-stub"
LOOK_ALIKE = "/usr/lib/look-alike"
VOLUME = "/volume1"
USB = "/volumeUSB1/usbshare"
OWNER, PASSWORD = "nasadmin", "correct horse battery"
"""The person who set the NAS up: a member of administrators with a password and nothing else."""


class Nas(Engine):
    """Over the layers of `dsm.rootfs`, the Debian base below them.

    The account of `ssh` is the tests' own side door; deploys come as OWNER, once bootstrap.py has let them in.
    """

    DOCKER = "/usr/local/bin/docker"
    BEFORE_INIT = f"{Engine.BEFORE_INIT}; mount -o remount,noexec /tmp"

    def prepare(self) -> None:
        super().prepare()
        run("cp", "-R", "--remove-destination", f"{ROOT}/.", self.root)
        (self.root / "etc/sudoers").chmod(0o440)
        (self.root / STATE).mkdir(parents=True)
        self.forget_refused()
        own = sorted(str(path.relative_to(self.root)) for path in (self.root / "etc/systemd/system").rglob("*"))
        (self.root / "etc.defaults/units").write_text("".join(f"/{path}\n" for path in own))
        for name in ("passwd", "shadow", "group"):
            run("cp", "-p", self.root / "etc" / name, self.root / "etc.defaults" / name)
        self.attach(self.volume("volume1", kind="btrfs", megabytes=4096), VOLUME)
        (self.root / USB.lstrip("/")).mkdir(parents=True)
        home = self.root / VOLUME.lstrip("/") / "homes" / OWNER
        run("btrfs", "subvolume", "create", home.parent)
        home.mkdir(mode=0o755)
        self._chroot("/usr/syno/sbin/synouser", "--add", OWNER, PASSWORD, "The owner", "0", "", "0")
        self._chroot("/usr/syno/sbin/synogroup", "--member", "administrators", OWNER)
        self._chroot(f"{LOOK_ALIKE}/real/chown", f"{OWNER}:users", f"{VOLUME}/homes/{OWNER}")

    def _chroot(self, *words: str) -> None:
        run("chroot", self.root, *words)

    def attach(self, volume: Volume, path: str) -> None:
        super().attach(volume, path)
        if path == USB:
            self._device()

    def start(self) -> None:
        super().start()
        self._device()

    def _device(self) -> None:
        """The node of the drive at USB, if one is there: blkid reads its UUID."""
        found = self.try_ssh(f"awk -v at={USB} '$2 == at {{print $1}}' /proc/mounts").stdout.split()
        for node in found[-1:]:
            number = Path(node).stat().st_rdev
            self.ssh(f"sudo rm -f {node} && sudo mknod {node} b {os.major(number)} {os.minor(number)}")

    def update(self) -> None:
        """A DSM update, with the reboot that ends it."""
        self.ssh(f"sudo {LOOK_ALIKE}/event_update.py")
        self.reboot()

    def refused(self) -> str:
        """Every call that a stub did not understand, empty if there was none."""
        return (self.root / STATE / "refused.log").read_text()

    def forget_refused(self) -> None:
        """Begin the log of refused calls anew."""
        log = self.root / STATE / "refused.log"
        log.write_text("")
        log.chmod(0o666)

    def journal(self, options: str = "--lines=60") -> str:
        """The end of the journal, which DSM has no command for."""
        return self.ssh(f"sudo {LOOK_ALIKE}/real/journalctl --no-pager {options}")
