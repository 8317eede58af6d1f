"""What a look-alike NAS starts with: a layer over a Debian host with Docker.

It lacks what DSM lacks; the stubs of `root/` come on top when a host is made, so that a change of a stub builds nothing
anew.
"""

import hashlib
import shutil
from pathlib import Path

from tests.hosts import rootfs
from tests.hosts.engine import over
from tests.hosts.shell import Say

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


def layer(below: tuple[Path, ...], cache: Path, say: Say) -> Path:
    """The directory that lies over the layers `below`, the upper first. Raises CommandError."""
    steps = Path(__file__).read_bytes() + "".join(path.name for path in below).encode()
    done = cache / f"dsm-{hashlib.sha256(steps).hexdigest()[:16]}"
    return rootfs.built("the layer of the look-alike NAS", done, say, lambda upper: _layer(below, upper))


def _layer(below: tuple[Path, ...], upper: Path) -> None:
    with over(below, upper) as root:
        (root / REAL).mkdir(parents=True)
        for program in MOVED:
            (root / program).rename(root / REAL / Path(program).name)
        for alias in ("reboot", "halt", "poweroff", "shutdown"):  # links to systemctl, which act by their names
            (root / "usr/sbin" / alias).unlink()
            (root / "usr/sbin" / alias).symlink_to("/" + REAL + "/systemctl")
        for path in (path for pattern in LACKING for path in sorted(root.glob(pattern))):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
