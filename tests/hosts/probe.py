"""Whether this machine can boot test hosts, and what it lacks."""

import os
import shutil

from tests.hosts import cgroups
from tests.hosts.shell import CommandError, run

TOOLS = {  # command: Debian package
    "debootstrap": "debootstrap",
    "pebble": "pebble",
    "systemd-nspawn": "systemd-container",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "ip": "iproute2",
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
}

KERNEL = {  # what the hosts need: commands that need it, in a mount namespace of their own
    "network namespaces and veth": "ip netns add $P && ip link add $P type veth peer name x0 netns $P && "
    "ip link del $P && ip netns del $P",
    "overlayfs over tmpfs": "mount -t tmpfs tmpfs /mnt && mkdir /mnt/l /mnt/u /mnt/w /mnt/m && "
    "mount -t overlay overlay -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w /mnt/m",
    "a free loop device": "losetup --find",
}


def missing_packages() -> list[str]:
    """Debian packages of tools that this machine lacks."""
    return sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})


def faults() -> list[str]:
    """Why no host can boot here, one sentence each; empty if one can. Needs the tools."""
    if os.geteuid():
        return ["make test-hosts boots real hosts and must be run as root."]
    found = [f"This machine lacks {what}: {reason}." for what, script in KERNEL.items() if (reason := _fails(script))]
    trees = cgroups.hierarchies() if cgroups.MOUNT.is_dir() else []
    if not any(os.access(tree, os.W_OK) for tree in trees):
        found.append(f"This machine lacks a writable control group tree below {cgroups.MOUNT}.")
    return found


def _fails(script: str) -> str:
    try:
        run("unshare", "--mount", "sh", "-c", f"P=probe-$$; {script}", timeout=20)
    except CommandError as error:
        return str(error).splitlines()[-1]
    return ""
