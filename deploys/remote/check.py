"""Runs on the host as root: `mosis status --json | python3 check.py DECLARED [--json]`. Python 3.8, no packages.

Compares the host with what the last deploy declared, one line a fact, and adds the portal's own lines. Exit code 1
where something needs attention: an operator who logs in after an update of the system sees what it took.
"""

from __future__ import annotations

import calendar
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator

ROOT_FREE_KIB = 200 * 1024  # DSM stops to work properly when its system partition is full
RECIPE, STAMP = "mosis.recipe", "mosis.stamp"  # labels of images and of containers
MARKER = ".mosis-backup"
Line = Dict[str, Any]  # name, ok, text


def line(name: str, ok: bool, text: str) -> Line:
    return {"name": name, "ok": ok, "text": text}


def output(*words: str) -> str | None:
    """Standard output of a command, None where it fails or does not exist."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return None if done.returncode else done.stdout


def younger(paths: Iterable[str], since: float) -> bool:
    """Whether one of the files is missing or was written after `since`."""
    try:
        return any(os.lstat(path).st_mtime > since for path in paths)
    except OSError:
        return True


def files(wanted: dict[str, str]) -> Iterator[Line]:
    """`{path: SHA-256}`, a line for each that is not so."""
    faults = [(path, fault) for path, digest in wanted.items() if (fault := file_fault(Path(path), digest))]
    for path, fault in faults:
        yield line("file", False, f"{path} is {fault}")
    if not faults:
        yield line("files", True, f"{len(wanted)} as declared")


def file_fault(path: Path, digest: str) -> str:
    """What is wrong with the file, empty if nothing is."""
    try:
        content, written = path.read_bytes(), path.stat().st_mtime
    except OSError:
        return "missing"
    if hashlib.sha256(content).hexdigest() != digest:
        return "not as declared"
    if written > time.time():  # what reads it is older until then, and so never as declared
        return "from the future: it was deployed while the clock was ahead; deploy again"
    return ""


def root(wanted: dict[str, int]) -> Iterator[Line]:
    free = os.statvfs("/").f_bavail * os.statvfs("/").f_frsize // 1024
    yield line("root", free >= wanted["free_kib"], f"{free // 1024} MiB free on the system's partition")


def release(wanted: dict[str, str]) -> Iterator[Line]:
    """`home`: directory of the links; `id`: the release that should run."""
    links = [Path(wanted["home"], name) for name in ("current", "previous")]
    current, previous = (link.resolve().name if link.is_symlink() else "none" for link in links)
    other = "" if current == wanted["id"] else ", declared is " + wanted["id"]
    yield line("release", not other, f"{current}, before it {previous}{other}")


def images(wanted: dict[str, str]) -> Iterator[Line]:
    """`{image: recipe}`, which tells builds of the same name apart."""
    for image, recipe in wanted.items():
        found = output("docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{RECIPE}"}}}}', image)
        word = "missing" if found is None else "there" if found.strip() == recipe else "not as declared"
        yield line("image", word == "there", f"{image} {word}")


def containers(wanted: dict[str, Any]) -> Iterator[Line]:
    """`{service: {stamp, reads, loaded}}`; `loaded`, if any, is touched when the service has read its files anew."""
    mine = ("--filter", "label=com.docker.compose.project=mosis", "--filter", "label=com.docker.compose.oneoff=False")
    listed = output("docker", "ps", "--all", "--quiet", *mine)
    if listed is None:
        yield line("engine", False, "Docker does not answer: start it (Package Center > Container Manager)")
        return
    inspected = json.loads(output("docker", "inspect", *listed.split()) or "[]") if listed.split() else []
    found = {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in inspected}
    for service, declared in wanted.items():
        word = container(found.get(service), declared)
        yield line("container", word == "runs", f"{service} {word}")


def container(found: dict[str, Any] | None, declared: dict[str, Any]) -> str:
    if found is None:
        return "missing"
    if found["State"]["Status"] != "running":
        return "stopped"
    since: float = calendar.timegm(time.strptime(found["State"]["StartedAt"][:19], "%Y-%m-%dT%H:%M:%S"))
    if declared["loaded"] and Path(declared["loaded"]).exists():
        since = max(since, Path(declared["loaded"]).stat().st_mtime)
    if found["Config"]["Labels"].get(STAMP) != declared["stamp"] or younger(declared["reads"], since + 1):
        return "not as declared"
    return "runs" if found["State"].get("Health", {}).get("Status", "healthy") == "healthy" else "does not answer"


def units(wanted: dict[str, Any]) -> Iterator[Line]:
    """`{unit: {stamp, reads}}`; a unit of the system has no stamp."""
    for unit, declared in wanted.items():
        shown = output("systemctl", "show", "--property=MainPID", "--property=UnitFileState", unit) or ""
        state = dict(row.split("=", 1) for row in shown.splitlines())
        word = "runs" if state.get("MainPID", "0") != "0" else "stopped"
        if word == "runs" and declared["stamp"] and not as_started(state["MainPID"], **declared):
            word = "not as declared"
        enabled = state.get("UnitFileState") == "enabled"
        yield line("unit", word == "runs" and enabled, unit + " " + word + ("" if enabled else ", not enabled"))


def as_started(pid: str, stamp: str, reads: list[str]) -> bool:
    """Whether the process carries the stamp and is younger than all that it reads."""
    process = Path("/proc", pid)
    variables = (process / "environ").read_bytes().decode(errors="replace").split("\0")
    ticks = int((process / "stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    booted = time.time() - float(Path("/proc/uptime").read_text().split()[0])
    return "MOSIS_STAMP=" + stamp in variables and not younger(reads, booted + ticks)


def share(wanted: dict[str, str]) -> Iterator[Line]:
    """A share of a Synology NAS that `user` may write to: `name`, `path`."""
    name, user, path = wanted["name"], wanted["user"], wanted["path"]
    account = output("synouser", "--get", user) is not None
    yield line("account", account, f"DSM user {user}{'' if account else ' is missing'}")
    found = shared_folder((output("synoshare", "--get", name) or "").splitlines())
    if found is None:
        yield line("share", False, f"{name} is missing")
    else:
        fine = found["path"] == path and user in found["writers"]
        writers = ",".join(found["writers"]) or "nobody"
        yield line("share", fine, f"{name} at {found['path']}, written by {writers}")
    fine = writes((output("synoacltool", "-get-perm", path, user) or "").splitlines())
    yield line("acl", fine, f"{user} may {'' if fine else 'not '}read and write {path}")


def shared_folder(dump: list[str]) -> dict[str, Any] | None:
    """Path and writers of what `synoshare --get` prints, None where it shows no share."""
    rows = dict(row.strip().rstrip("]").split("[", 1) for row in dump if "[" in row)
    fields = {name.strip(" ."): value for name, value in rows.items()}
    if "Path" not in fields:
        return None
    return {"path": fields["Path"], "writers": [name for name in fields.get("RW list", "").split(",") if name]}


def writes(permission: list[str]) -> bool:
    """Whether what `synoacltool -get-perm` prints last, letters in brackets, lets the user read and write."""
    return set("rwx") <= set(permission[-1].partition("[")[2]) if permission else False


def tasks(wanted: list[dict[str, Any]]) -> Iterator[Line]:
    """Tasks of DSM's Task Scheduler: `name`, `when` in words, and the fields that matter; a boot task has no id."""
    listed = webapi("SYNO.Core.TaskScheduler", "list", 3, offset=0, limit=1000, sort_by="name", sort_direction="ASC")
    ids = {task["name"]: task["id"] for task in (listed or {}).get("tasks", []) if "id" in task}
    for task in wanted:
        name = task["name"]
        if "event" in task["fields"]:
            found = webapi("SYNO.Core.EventScheduler", "get", 1, task_name=name)
        elif name in ids:
            found = webapi("SYNO.Core.TaskScheduler", "get", 4, id=ids[name], real_owner="root")
        else:
            found = None
        text = f"task {name} at {task['when']}"
        wrong = "" if same(found, task["fields"]) else ": not as declared" if found else ": missing"
        yield line("schedule", not wrong, text + wrong)


def webapi(api: str, method: str, version: int, **values: object) -> dict[str, Any] | None:
    """The data of an answer of DSM's web API, None where it refuses."""
    given = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    call = ("api=" + api, "method=" + method, f"version={version}")
    return answer(output("synowebapi", "--exec", *call, *given) or "")


def answer(text: str) -> dict[str, Any] | None:
    """What synowebapi printed: its data, None for a refusal; it ends with 0 either way, and talks before it answers."""
    try:
        found, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
    except ValueError:
        return None
    data: dict[str, Any] | None = found.get("data", {}) if found.get("success") else None
    return data


def same(found: Any, wanted: Any) -> bool:
    """Whether everything wanted stands in what was found; DSM adds fields of its own."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(same(found.get(key), value) for key, value in wanted.items())
    return bool(found == wanted)


def crontab(wanted: dict[str, Any]) -> Iterator[Line]:
    """`script --check` reports whether the lines of `jobs` are in /etc/crontab."""
    kept = output("sh", wanted["script"], "--check") is not None
    yield line("schedule", kept, f"lines of {', '.join(wanted['jobs'])} in /etc/crontab")


def unescaped(field: str) -> str:
    """A field of /proc/mounts, which has blanks and backslashes in octal (proc(5))."""
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code.group(1), 8)), field)


def elsewhere(wanted: dict[str, Any], found: set[str]) -> str:
    """What to do about a drive that is away. A NAS may number the ports of its drives anew: volumeUSB1, volumeUSB2."""
    mount, directory = wanted["mount"], wanted["directory"]
    alike = re.compile(re.sub(r"\d+", r"\\d+", re.escape(mount)))
    for other in sorted(filter(alike.fullmatch, found)):
        if Path(other + directory[len(mount) :], MARKER).is_file():
            return f"a marked drive is at {other}, set backup.mount and backup.directory accordingly and deploy"
    return "attach the drive"


def drive(wanted: dict[str, Any]) -> Iterator[Line]:
    """The external drive: `mount`, `directory`, and `uuid` of its file system where only one will do."""
    mount, directory, uuid = wanted["mount"], wanted["directory"], wanted["uuid"]
    table = [row.split() for row in Path("/proc/mounts").read_text(errors="surrogateescape").splitlines()]
    devices = [fields[0] for fields in table if unescaped(fields[1]) == mount]
    if not devices:
        yield line("drive", False, f"{mount} is not mounted: {elsewhere(wanted, {unescaped(row[1]) for row in table})}")
    elif not Path(directory, MARKER).is_file():
        yield line("drive", False, f"{directory} has no {MARKER}: is it the right drive?")
    else:
        found = (output("blkid", "-s", "UUID", "-o", "value", devices[-1]) or "-").strip()
        other = "" if uuid in (None, found) else f", declared is {uuid}"
        yield line("drive", not other, f"{directory} on drive {found}{other}")


def certificate(wanted: dict[str, Any]) -> Iterator[Line]:
    """That of nginx: the `script` beside this one judges what is `wanted` of it."""
    found = json.loads(output(sys.executable, wanted["script"], json.dumps(wanted["wanted"])) or "{}")
    fault = found.get("fault", f"cannot be checked: {wanted['script']} fails")
    yield line("certificate", not fault, f"{wanted['wanted']['certificate']} {fault or 'expires ' + found['ends']}")


Check = Callable[[Any], Iterator[Line]]
CHECKS: tuple[Check, ...] = (
    *(files, root, release, images, containers, units, certificate),
    *(share, tasks, crontab, drive),
)


def portal(text: str) -> list[Line]:
    """The lines of `mosis status --json`."""
    try:
        lines: list[Line] = json.loads(text)["lines"]
        return lines
    except (KeyError, ValueError):
        return [line("status", False, "`mosis status` printed no JSON")]


def checked(check: Check, wanted: Any) -> list[Line]:
    """The lines of a check; one that breaks takes no other with it."""
    try:
        return list(check(wanted))
    except (LookupError, OSError, ValueError) as error:
        return [line(check.__name__, False, f"cannot be checked: {error!r}")]


def main(path: str, *options: str) -> int:
    declared = json.loads(Path(path).read_text())
    lines = [row for check in CHECKS if check.__name__ in declared for row in checked(check, declared[check.__name__])]
    lines += portal(sys.stdin.read())
    ok = all(row["ok"] for row in lines)
    if "--json" in options:
        print(json.dumps({"ok": ok, "lines": lines}, indent=2))
    else:
        for row in lines:
            print(f"{'ok   ' if row['ok'] else 'FAULT'} {row['name']:16} {row['text']}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
