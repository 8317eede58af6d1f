"""What must hold before a deploy changes anything; asked of the host in one question while the run is prepared."""

import inspect
import json
import sys
from pathlib import Path
from shlex import join, quote
from typing import TypedDict

from pyinfra import host
from pyinfra.api import FactBase
from pyinfra.api.exceptions import DeployError

from deploys.containers import engine
from deploys.plan.model import Plan
from deploys.plan.shared import DIRECTORIES
from deploys.remote import probe
from deploys.synology import shared_folder

PYTHON_MIN = (3, 11)
# File systems as /proc/self/mountinfo names them; fuseblk is NTFS or exFAT by a program.
WITHOUT_MODES = ("vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk")
IN_MEMORY = ("tmpfs", "ramfs")
NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs", "fuse.glusterfs")


class Found(TypedDict, total=False):
    """The answer of the probe; `ports`: port to the programs that listen there."""

    python: list[int]
    uid: int
    systemd: bool
    apt: bool
    writable: bool
    entries: list[str]
    mount: dict[str, str]
    drive: dict[str, str]
    own_data: list[str]
    copied_store: str | None
    forbidden: list[int]
    ports: dict[str, list[dict[str, str]]]


class Probe(FactBase[Found]):
    """What `deploys/remote/probe.py` finds on the host, empty when the host has no python3."""

    @staticmethod
    def default() -> Found:
        return {}

    def command(self, python: str, root: str, ports: str, drive: str) -> str:
        words = join([inspect.getsource(probe), root, ports, drive])
        return f"if command -v {python} >/dev/null; then {python} -c {words}; fi"

    def process(self, output: list[str]) -> Found:
        found: Found = json.loads(output[-1])
        return found


def check(plan: Plan) -> None:
    """Raises DeployError, one sentence, where this host cannot take the plan."""
    python = quote(sys.executable) if plan.runtime == "local" else "python3"
    ports = json.dumps([listener.port for listener in plan.listeners])
    drive = str(plan.settings.backup.directory) if plan.settings.backup else ""
    found = host.get_fact(Probe, python=python, root=str(plan.settings.root), ports=ports, drive=drive)
    if fault := (_engine_fault(plan) if plan.stack else None) or _fault(plan, found):
        raise DeployError(f"{host.name}: {fault}")


def _engine_fault(plan: Plan) -> str | None:
    return engine.fault(
        plan, host.get_fact(engine.Engine), host.get_fact(shared_folder.Share, share=plan.data.share or "-")
    )


def _fault(plan: Plan, found: Found) -> str | None:
    if not found:
        return "python3 is missing on this host; install it first (apt-get install python3)."
    if plan.stack is None and tuple(found["python"]) < PYTHON_MIN:
        return f"Python {'.'.join(map(str, found['python']))} is too old; Mosis needs 3.11 or newer."
    if plan.runtime == "systemd" and not (found["systemd"] and found["apt"] and found["uid"] == 0):
        return "The runtime systemd needs a Debian host that booted with systemd, and root (or _sudo = True)."
    if not found["writable"]:
        return f"The root {plan.settings.root} cannot be written to; choose another one or change its owner."
    if fault := _disk_fault(plan, found["mount"], found["drive"]) or (plan.data.follows and _data_fault(plan, found)):
        return fault
    return _root_fault(plan, found["entries"]) or _port_fault(plan, found)


def _root_fault(plan: Plan, entries: list[str]) -> str | None:
    """Why the directory cannot become a store: the deploy would change the owner and mode of other people's files."""
    root = plan.settings.root
    paths = [*(Path(directory.path) for directory in plan.directories), *(root / name for name in DIRECTORIES)]
    own = {path.relative_to(root).parts[0] for path in paths if root in path.parents}
    foreign = [name for name in entries if name not in own]
    if foreign and not plan.data.share:  # a shared folder keeps its owner and mode
        return f"The root {root} is neither a store nor empty: it contains {foreign[0]}. Choose a new directory."
    return None


def _port_fault(plan: Plan, found: Found) -> str | None:
    """Which port the store cannot have, and why."""
    for port in found["forbidden"]:
        return f"Port {port} needs root: this user may not listen there; choose a port above 1023."
    for listener in plan.listeners:
        for holder in found["ports"][str(listener.port)]:
            if listener.owner not in holder.values():
                return f"Port {listener.port} is taken by {_named(holder)}; stop that program or choose another port."
    return None


def _disk_fault(plan: Plan, disk: dict[str, str], drive: dict[str, str]) -> str | None:
    """Why the store cannot lie on its disk, or its copy on the drive if that is attached."""
    root, kind = plan.settings.root, disk["type"]
    if kind in WITHOUT_MODES:
        return f"The root {root} is on {kind}, which supports neither permissions nor Unix sockets; choose ext4, say."
    if kind in NETWORK:
        return f"The root {root} is on {kind}: SQLite's log is not safe on a network file system; choose a local disk."
    if kind in IN_MEMORY and plan.runtime != "local":
        return f"The root {root} is on {kind}, which a boot empties; choose one on a disk."
    if plan.settings.backup and drive["point"] == str(plan.settings.backup.mount) and _same(disk, drive):
        return f"{plan.settings.backup.mount} is on the disk of the root {root}; a backup belongs on another one."
    return None


def _same(disk: dict[str, str], drive: dict[str, str]) -> bool:
    """A bind mount has the device number, a subvolume of btrfs only the name of the disk."""
    named = disk["source"] == drive["source"] and disk["source"].startswith("/")
    return disk["device"] == drive["device"] or named


def _named(holder: dict[str, str]) -> str:
    store = holder["config"].removesuffix("/etc/mosis.toml")
    return f"the store in {store}" if store else holder["name"] or "another user's program"


def _data_fault(plan: Plan, found: Found) -> str | None:
    """What a standby's copy would take the place of."""
    store, root = plan.data.follows, plan.settings.root
    if own := found["own_data"]:
        return f"{' and '.join(own)} are this host's own; move them away first if it is to follow {store}."
    if found["copied_store"] not in (None, store):
        return f"{root}/data is a copy of {found['copied_store']}; move it away first to follow {store}."
    return None
