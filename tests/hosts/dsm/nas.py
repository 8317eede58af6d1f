"""A NAS that looks like one with DSM 7.2 and Container Manager, and fails where those fail."""

from pathlib import Path
from typing import ClassVar

from tests.hosts.machine import Machine
from tests.hosts.shell import run, until

ROOT = Path(__file__).with_name("root")
STATE = "var/lib/syno-stub"
LOOK_ALIKE = "/usr/lib/look-alike"
VOLUME = "/volume1"
USB = "/volumeUSB1/usbshare"
IMAGE = "mosis-base:bookworm"
OWNER, PASSWORD = "nasadmin", "correct horse battery"
"""The person who set the NAS up: a member of administrators with a password and nothing else."""

ENGINE_SECONDS = 60  # Container Manager starts late


class Nas(Machine):
    """Over the layers of `dsm.rootfs`, the Debian base below them.

    The account of `ssh` is the tests' own side door; deploys come as OWNER, once bootstrap.py has let them in.
    """

    NSPAWN = ("--capability=all", "--system-call-filter=add_key keyctl bpf")
    ENVIRONMENT: ClassVar = {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"}
    BEFORE_INIT = (
        "mount -o remount,rw /sys/fs/cgroup; "
        'for c in /sys/fs/cgroup/*/; do [ -L "${c%/}" ] || mount -o remount,bind,rw "$c"; done 2> /dev/null; '
        "mount -o remount,noexec /tmp"
    )

    def prepare(self) -> None:
        run("cp", "-R", "--remove-destination", f"{ROOT}/.", self.root)
        (self.root / "etc/sudoers").chmod(0o440)
        (self.root / STATE).mkdir(parents=True)
        self.forget_refused()
        own = sorted(str(path.relative_to(self.root)) for path in (self.root / "etc/systemd/system").rglob("*"))
        (self.root / "etc.defaults/units").write_text("".join(f"/{path}\n" for path in own))
        for name in ("passwd", "shadow", "group"):
            run("cp", "-p", self.root / "etc" / name, self.root / "etc.defaults" / name)
        self.attach(self.volume("volume1", kind="btrfs", megabytes=4096), VOLUME)
        self.attach(self.volume("docker", megabytes=8192), "/var/lib/docker")
        (self.root / USB.lstrip("/")).mkdir(parents=True)
        home = self.root / VOLUME.lstrip("/") / "homes" / OWNER
        run("btrfs", "subvolume", "create", home.parent)
        home.mkdir(mode=0o755)
        self._chroot("/usr/syno/sbin/synouser", "--add", OWNER, PASSWORD, "The owner", "0", "", "0")
        self._chroot("/usr/syno/sbin/synogroup", "--member", "administrators", OWNER)
        self._chroot(f"{LOOK_ALIKE}/real/chown", f"{OWNER}:users", f"{VOLUME}/homes/{OWNER}")

    def _chroot(self, *words: str) -> None:
        run("chroot", self.root, *words)

    def wait_engine(self) -> None:
        """Wait until Docker answers. Raises AssertionError."""
        until("Docker", lambda: not self.try_ssh("sudo /usr/local/bin/docker info").returncode, seconds=ENGINE_SECONDS)

    def docker(self, command: str, timeout: float = 300) -> str:
        """Standard output of a docker command, words as in a shell. Raises CommandError."""
        return self.ssh(f"sudo /usr/local/bin/docker {command}", timeout=timeout)

    def import_image(self, tar: Path) -> None:
        """Make IMAGE of a root file system. Raises CommandError."""
        point = self.root / "mnt" / tar.name
        point.touch()
        run("mount", "--bind", tar, point)
        self.docker(f"import /mnt/{tar.name} {IMAGE}")
        run("umount", "--lazy", point)

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
