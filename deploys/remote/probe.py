"""Runs on the host before a deploy: `python3 -c … ROOT '[PORT, …]' DRIVE` prints JSON. Python 3.8, no packages."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from contextlib import suppress
from pathlib import Path

SETTINGS = "etc/mosis.toml"  # of a local store, below its root
STORE = (SETTINGS, "data/portal.db", "backups/portal")  # one of them is enough: the others may be lost
SYSTEM = ("lost+found", ".", "@", "#")  # how names of file systems and of DSM begin
LISTEN = "0A"
LOOPBACK_AND_ANY = ("0100007F", "00000000", "0" * 32, "0" * 24 + "01000000", "0000000000000000FFFF00000100007F")


def listening(ports: list[int]) -> dict[str, int]:
    """Inode to port, of the listeners that a bind to loopback or to any address would collide with."""
    found = {}
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        lines = table.read_text().splitlines()[1:] if table.exists() else []
        for row in (line.split() for line in lines):
            address, port = row[1].split(":")
            if row[3] == LISTEN and int(port, 16) in ports and address in LOOPBACK_AND_ANY:
                found[row[9]] = int(port, 16)
    return found


def inodes(process: Path) -> set[str]:
    """Inodes of what the process has open; empty for a process of somebody else."""
    found = set()
    with suppress(OSError):
        for entry in (process / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                found.add(str(entry.stat().st_ino))
    return found


def settings_file(process: Path) -> str:
    """MOSIS_CONFIG of the process or of the nearest one above it that has one: nginx overwrites its environment."""
    pid = process.name
    while pid not in ("0", "1"):
        with suppress(OSError):  # somebody else's
            variables = Path("/proc", pid, "environ").read_bytes().decode(errors="replace").split("\0")
            for value in variables:
                if value.startswith("MOSIS_CONFIG="):
                    return value.partition("=")[2]
        try:
            pid = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            break
    return ""


def log_settings_file(process: Path) -> str:
    """Settings file of the store whose log the process has open: nginx's workers outlive all above them."""
    with suppress(OSError):
        for entry in (process / "fd").iterdir():
            with suppress(OSError):
                log = Path(os.readlink(str(entry))).parent
                if log.name == "log" and (log.parent / SETTINGS).exists():
                    return str(log.parent / SETTINGS)
    return ""


def holders(ports: list[int], root: Path) -> dict[int, list[dict[str, str]]]:
    """Port to the programs that listen there: name and settings file, empty where the process cannot be read."""
    own = root / SETTINGS
    sockets = listening(ports)
    found: dict[int, list[dict[str, str]]] = {port: [] for port in ports}
    unknown = set(sockets)
    for process in Path("/proc").glob("[0-9]*") if sockets else ():
        for inode in inodes(process) & set(sockets):
            name = (process / "comm").read_text().strip()
            config = log_settings_file(process) or settings_file(process)
            same = config and os.path.realpath(config) == os.path.realpath(str(own))
            found[sockets[inode]].append({"name": name, "config": str(own) if same else config})
            unknown.discard(inode)
    for inode in unknown:
        found[sockets[inode]].append({"name": "", "config": ""})
    return found


def forbidden(ports: list[int]) -> list[int]:
    """Ports that this user may not listen on, as the kernel answers; nothing listens meanwhile."""
    found = []
    for port in ports:
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except PermissionError:
                found.append(port)
            except OSError:
                pass  # taken: see holders()
    return found


def entries(root: Path) -> list[str]:
    """What a directory holds that is not a store yet."""
    if any(os.path.lexists(str(root / name)) for name in STORE):
        return []
    with suppress(OSError):
        return sorted(path.name for path in root.iterdir() if not path.name.startswith(SYSTEM))
    return []


def writable(root: Path) -> bool:
    """Whether the directory, or the nearest above it that exists, takes files; without trying: a dry run asks too."""
    existing = next(place for place in (root, *root.parents) if os.path.lexists(str(place)))
    return existing.is_dir() and os.access(str(existing), os.W_OK | os.X_OK)


def mount_of(path: Path) -> dict[str, str]:
    """Type, device and source of the file system of the path, or of the nearest directory above it that exists."""
    existing = next(place for place in (path, *path.parents) if os.path.lexists(str(place))).resolve()
    found: dict[str, str] = {}
    for row in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        own, _, shared = row.partition(" - ")
        fields, (kind, source) = own.split(), shared.split()[:2]
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code.group(1), 8)), fields[4]))
        if point in (existing, *existing.parents) and len(str(point)) >= len(found.get("point", "")):
            found = {"point": str(point), "type": kind, "device": fields[2], "source": source}
    return found


def own_data(root: Path) -> list[str]:
    """What a standby would have to replace, because it is no copy: a database of this host, a replica of it."""
    found = []
    if (root / "data/portal.db").exists() and not (root / "data/standby.json").exists():
        found.append("data/portal.db")
    replica = root / "backups/portal"
    if replica.is_dir() and any(replica.iterdir()):
        found.append("backups/portal")
    return [str(root / name) for name in found]


def copied_store(root: Path) -> str | None:
    """Name of the store that the data of this host is a copy of, None where it is none."""
    note = root / "data/standby.json"
    return str(json.loads(note.read_text())["store"]) if note.exists() else None


if __name__ == "__main__":
    answers = {
        "python": sys.version_info[:3],
        "uid": os.getuid(),
        "systemd": Path("/run/systemd/system").is_dir(),
        "apt": Path("/usr/bin/apt-get").exists(),
        "writable": writable(Path(sys.argv[1])),
        "entries": entries(Path(sys.argv[1])),
        "mount": mount_of(Path(sys.argv[1])),
        "drive": mount_of(Path(sys.argv[3])) if sys.argv[3] else {},
        "own_data": own_data(Path(sys.argv[1])),
        "copied_store": copied_store(Path(sys.argv[1])),
        "forbidden": forbidden(json.loads(sys.argv[2])),
        "ports": holders(json.loads(sys.argv[2]), Path(sys.argv[1])),
    }
    print(json.dumps(answers))
