"""A booted Debian host on this machine: its own init, sshd, cron and journal, its own network and control groups."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from shlex import quote
from types import TracebackType
from typing import IO, Self

from tests.hosts import cgroups
from tests.hosts.network import RUN, namespace, network, number
from tests.hosts.rootfs import OPERATOR
from tests.hosts.shell import CommandError, output_of, run, until

REBOOT = 133  # systemd-nspawn's exit code when the host asked for a reboot
V1_LIMITS = "memory pids cpu cpuacct blkio"  # writable in the host, so that its units' limits are enforced


class Machine:
    """A host over read-only layers; all it writes is in memory and gone with it.

    Use as a context manager: inside, the host is up and answers `ssh`. The class attributes are what other sorts of
    hosts have otherwise: options and environment of systemd-nspawn, and the shell code that runs in the host's place
    before its init.
    """

    NSPAWN: tuple[str, ...] = ("--capability=CAP_NET_ADMIN",)
    ENVIRONMENT: Mapping[str, str] = {}
    BEFORE_INIT = f"for c in {V1_LIMITS}; do d=/sys/fs/cgroup/$c; [ ! -d $d ] || mount -o remount,bind,rw $d; done"

    address: str
    name: str

    def __init__(self, layers: tuple[Path, ...], log: Path) -> None:
        """`layers` are root file systems (see `rootfs.base`), the upper first; `log` gets the host's console."""
        self._layers, self._log = layers, log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self._reap)
            slot = undo.enter_context(number())
            self.name = namespace(slot)
            self._groups = undo.enter_context(cgroups.groups(self.name))
            self.address = undo.enter_context(network(slot))
            self._place = undo.enter_context(_memory(RUN / str(slot)))
            self.root = self._place / "root"
            self._mount_root()
            self._personalise()
            self.prepare()
            self.start()
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def at_end(self, callback: Callable[[], None]) -> None:
        """Call it before the host goes."""
        self._undo.callback(callback)

    def _reap(self) -> None:
        """Its processes are killed with their control groups."""
        if self._process:
            self._process.wait(timeout=10)

    def prepare(self) -> None:
        """What a sort of host does to its root before the first boot."""

    @property
    def key(self) -> Path:
        """Private SSH key of the operator."""
        return self._place / "operator"

    @property
    def known_hosts(self) -> Path:
        """OpenSSH file with this host's key and no other."""
        return self._place / "known_hosts"

    def start(self) -> None:
        """Boot and wait for SSH. Raises AssertionError if a unit failed or the host did not come up."""
        nspawn = (
            *("systemd-nspawn", "--quiet", "-D", self.root, "--register=no", "--keep-unit", f"--machine={self.name}"),
            *(f"--network-namespace-path=/run/netns/{self.name}", *self.NSPAWN, "--resolv-conf=off"),
            *("--kill-signal=SIGRTMIN+3", "--link-journal=no", "--timezone=off", "--console=pipe"),
            *("/bin/sh", "-c", f"{self.BEFORE_INIT}; exec /lib/systemd/systemd"),
        )
        enter = 'n=$1; shift; while [ $n -gt 0 ]; do echo $$ > "$1"; shift; n=$((n-1)); done; exec "$@"'
        procs = [group / "cgroup.procs" for group in self._groups]
        command = ["sh", "-c", enter, "sh", len(procs), *procs, *nspawn]
        with self._log.open("ab") as console:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                env={**os.environ, **self.ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,  # Ctrl-C is for pytest, which then stops the host
            )
        self.wait_ssh()

    def wait_ssh(self, seconds: float = 60) -> None:
        """Wait until the host is reached over SSH and has finished booting without a failed unit."""
        until(f"SSH to {self.address} (console: {self._log})", self._answers, seconds=seconds, every=0.1)
        state = until(f"the end of {self.name}'s boot", self._booted, seconds=seconds)
        if state != "running":
            raise AssertionError(f"{self.name} is {state}: {self.ssh('systemctl --failed --no-legend')}")

    def _booted(self) -> str | None:
        state = self.try_ssh("systemctl is-system-running").stdout.strip()
        return None if state in ("", "initializing", "starting") else state

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            end = self._log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"systemd-nspawn ended with exit code {self._process.returncode}:\n{end}")
        return self.try_ssh("true", timeout=5).returncode == 0

    def reboot(self) -> None:
        """Reboot the way an operator does, and wait for SSH."""
        self.try_ssh("sudo systemctl reboot")
        if (code := self._process.wait(timeout=90)) != REBOOT:
            raise AssertionError(f"{self.name} ended with exit code {code} instead of rebooting (console: {self._log})")
        self.start()

    def kill(self) -> None:
        """Every process of the host ends at once, nothing is told; `start` boots it again."""
        cgroups.kill(self.name)
        self._process.wait(timeout=10)

    def ssh(self, command: str, *, stdin: str = "", timeout: float = 120) -> str:
        """Standard output of a shell command run by the operator. Raises CommandError."""
        return output_of(self.try_ssh(command, stdin=stdin, timeout=timeout))

    def try_ssh(self, command: str, *, stdin: str = "", timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """The same, for a command that may fail; exit code 255 is SSH's own failure."""
        words = self._ssh(command)
        return subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)

    def started(self, command: str, output: IO[str]) -> subprocess.Popen[bytes]:
        """The same, for a command that goes on and prints to `output`; without SSH it ends when it prints."""
        words = self._ssh(command)
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL)

    def _ssh(self, command: str) -> list[str]:
        options = ("IdentitiesOnly=yes", "BatchMode=yes", "ConnectTimeout=3", "StrictHostKeyChecking=yes")
        words = ["ssh", "-F", "/dev/null", "-i", str(self.key), "-o", f"UserKnownHostsFile={self.known_hosts}"]
        words += [word for option in options for word in ("-o", option)]
        return [*words, f"{OPERATOR}@{self.address}", "--", command]

    def fetch(self, url: str) -> str:
        """The body of a GET that the host itself makes, for what listens on its loopback. Raises CommandError."""
        script = "import sys, urllib.request as r; sys.stdout.write(r.urlopen(sys.argv[1], timeout=10).read().decode())"
        return self.ssh(f"python3 -c {quote(script)} {quote(url)}")

    def boot_id(self) -> str:
        """What is different after every boot."""
        return self.ssh("cat /proc/sys/kernel/random/boot_id").strip()

    def attach(self, volume: "Volume", path: str) -> None:
        """Mount `volume` at `path` of the running host, as a drive that is plugged in; it survives reboots."""
        point = self.root / path.lstrip("/")
        point.mkdir(parents=True, exist_ok=True)
        run("mount", "-o", "loop", volume.image, point)

    def detach(self, path: str) -> None:
        """Pull the drive mounted at `path`; the empty mount point stays."""
        run("umount", "--lazy", self.root / path.lstrip("/"))

    def volume(self, name: str, *, kind: str = "ext4", megabytes: int = 512) -> "Volume":
        """A new drive with an empty file system of `kind`."""
        return Volume(self._place / f"{name}.img", kind, megabytes)

    def _mount_root(self) -> None:
        upper, work = self._place / "upper", self._place / "work"
        for directory in (upper, work, self.root):
            directory.mkdir()
        options = f"lowerdir={':'.join(map(str, self._layers))},upperdir={upper},workdir={work}"
        run("mount", "-t", "overlay", "overlay", "-o", options, self.root)
        run("mount", "--make-shared", self.root)  # a drive mounted here later appears in the host as well

    def _personalise(self) -> None:
        """What no two hosts share: name, machine id, host key; and the operator's key."""
        etc = self.root / "etc"
        (etc / "hostname").write_text(f"{self.name}\n")
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
        for key in (etc / "ssh/ssh_host_ed25519_key", self.key):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", key)
        host_key = (etc / "ssh/ssh_host_ed25519_key.pub").read_text()
        self.known_hosts.write_text(f"{self.address} {' '.join(host_key.split()[:2])}\n")
        home = self.root / "home" / OPERATOR
        (home / ".ssh").mkdir(mode=0o700)
        shutil.copyfile(self.key.with_suffix(".pub"), home / ".ssh/authorized_keys")
        run("chown", "-R", f"--reference={home}", home / ".ssh")
        # The package lists are those of a host that has just run `apt-get update`: without a route it cannot.
        (self.root / "var/lib/apt/periodic/update-success-stamp").touch()


class Volume:
    """A drive of a host: a file system in a sparse file, mounted through a loop device."""

    def __init__(self, image: Path, kind: str, megabytes: int) -> None:
        self.image = image
        with image.open("wb") as file:
            file.truncate(megabytes * 1024 * 1024)
        run(f"mkfs.{kind}", "-q", image)


@contextmanager
def _memory(place: Path) -> Iterator[Path]:
    """An empty tmpfs at `place`; everything mounted in it goes when it goes."""
    _unmount(place)
    place.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", place)
    try:
        yield place
    finally:
        _unmount(place)
        place.rmdir()


def _unmount(place: Path) -> None:
    with suppress(CommandError):
        run("umount", "--recursive", "--lazy", place)
