"""What a host is like, compared with its plan: one line a fact, the same facts that a deploy asks, nothing changed.

Meant for after an update of the system, which takes schedules, units and files with it.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from shlex import quote

from pyinfra import host
from pyinfra.api import FactBase, operation
from pyinfra.facts.systemd import SystemdEnabled

from deploys import compose, dsm, dsm_schedules, images, litestream, portal
from deploys.crontab import task_schedule
from deploys.files import Digests, sha256
from deploys.model import Plan, Stack
from deploys.plan_compose import ENVIRONMENT
from deploys.processes import Process, Running
from deploys.release import HOME, Releases
from portal.jobs.status import Line

ROOT_FREE_KIB = 200 * 1024  # DSM stops to work properly when its system partition is full


class Status(FactBase[list[dict] | None]):
    """The lines of `mosis status`, None when it does not run."""

    def command(self, mosis: str) -> str:
        return f"{quote(mosis)} status --json 2>/dev/null; true"

    def process(self, output: list[str]) -> list[dict] | None:
        try:
            return json.loads("\n".join(output))["lines"]
        except ValueError:
            return None


class RootFree(FactBase[int]):
    """Free space of the root file system, KiB."""

    default = int

    def command(self) -> str:
        return "df -Pk / | tail -n 1"

    def process(self, output: list[str]) -> int:
        return int(output[-1].split()[3])


class Drive(FactBase[str]):
    """`away`, `unmarked`, or UUID of the drive that is there with its marker, `-` where that cannot be told."""

    default = str

    def command(self, mount: str, directory: str) -> str:
        device = f"$(awk -v at={quote(mount)} '$2 == at {{print $1}}' /proc/mounts | tail -n 1)"
        marker = quote(f"{directory}/.mosis-backup")
        uuid = 'blkid -s UUID -o value "$device" 2>/dev/null || echo -'
        return (
            f'device={device}; if [ -z "$device" ]; then echo away; '
            f"elif [ ! -f {marker} ]; then echo unmarked; else {uuid}; fi"
        )

    def process(self, output: list[str]) -> str:
        return output[0]


class Permission(FactBase[str]):
    """What the ACL of a directory lets a user do, as letters."""

    default = str

    def command(self, path: str, user: str) -> str:
        return f"{ENVIRONMENT}synoacltool -get-perm {quote(path)} {quote(user)} 2>/dev/null | tail -n 1; true"

    def process(self, output: list[str]) -> str:
        return output[-1].partition("[")[2].rstrip("]")


def lines(plan: Plan) -> list[Line]:
    """Every fact about the host of this moment."""
    found = [*_files(plan), _root()]
    if plan.stack:
        found += [*_stack(plan, plan.stack), *(_synology(plan, plan.stack) if plan.data.share else ())]
    if plan.runtime == "systemd":
        found += _units(plan)
    if plan.settings.backup:
        found.append(_drive(plan))
    return [*found, *_status(plan)]


def _files(plan: Plan) -> Iterator[Line]:
    files = [*(file for service in plan.services.values() for file in service.files), plan.command]
    files += [*(plan.stack.files if plan.stack else ()), *([plan.lifecycle] if plan.lifecycle else [])]
    found = host.get_fact(Digests, paths=[file.path for file in files])
    wrong = [file.path for file in files if found.get(file.path) != sha256(file.content)]
    for path in wrong:
        yield Line("file", False, f"{path} is {'not as declared' if path in found else 'missing'}")
    if not wrong:
        yield Line("files", True, f"{len(files)} as declared")


def _root() -> Line:
    free = host.get_fact(RootFree)
    return Line("root", free >= ROOT_FREE_KIB, f"{free // 1024} MiB free on the system's partition")


def _release(plan: Plan, home: str) -> Line:
    found = host.get_fact(Releases, home=home)
    (current,), (previous,) = found["current"] or {"none"}, found["previous"] or {"none"}
    return Line("release", current == plan.release.id, f"{current}, before it {previous}; declared {plan.release.id}")


def _stack(plan: Plan, stack: Stack) -> Iterator[Line]:
    yield _release(plan, stack.home)
    built = host.get_fact(images.Recipes, images=list(stack.images.values()))
    for image in stack.images.values():
        yield Line("image", built.get(image) == stack.recipe, f"{image} {'there' if image in built else 'missing'}")
    state = compose.observed(plan, stack)
    differing = compose.differing(plan, state)
    for name in compose.running_services(plan):
        found = state.containers.get(name)
        word = "missing" if found is None else "stopped" if not found.running else "not as declared"
        fine = name not in differing and found.healthy
        yield Line("container", fine, f"{name} {word if name in differing else 'runs' if fine else 'does not answer'}")


def _synology(plan: Plan, stack: Stack) -> Iterator[Line]:
    yield Line("account", host.get_fact(dsm.Account, user=stack.user), f"DSM user {stack.user}")
    root, share = str(plan.settings.root), host.get_fact(dsm.Share, share=plan.data.share)
    fine = share is not None and share.path == root and stack.user in share.writers
    yield Line("share", fine, f"{plan.data.share} at {root}, written by {stack.user}")
    letters = host.get_fact(Permission, path=root, user=stack.user)
    yield Line("acl", set("rwx") <= set(letters), f"{stack.user} may {letters or 'nothing'} on {root}")
    ids = host.get_fact(dsm_schedules.Tasks)
    for job in plan.jobs:
        if not task_schedule(job.time):
            continue
        wanted = dsm_schedules.task_wanted(job, stack.scripts[job.name])
        number = ids.get(wanted["name"])
        task = host.get_fact(dsm_schedules.Task, number=number) if number is not None else None
        yield _schedule(f"task {wanted['name']} at {job.time}", task, dsm_schedules.task_holds(wanted, task))
    if lines_wanted := [job.name for job in plan.jobs if not task_schedule(job.time)]:
        kept = host.get_fact(dsm_schedules.Crontab, script=f"{stack.home}/bin/crontab")
        yield Line("schedule", kept, f"lines of {', '.join(lines_wanted)} in /etc/crontab")
    boot = host.get_fact(dsm_schedules.BootTask, task=dsm_schedules.BOOT_TASK)
    holds = dsm_schedules.boot_holds(dsm_schedules.boot_wanted(stack.boot), boot)
    yield _schedule(f"task {dsm_schedules.BOOT_TASK} at every boot", boot, holds)


def _schedule(name: str, found: object, holds: bool) -> Line:
    return Line("schedule", holds, name if holds else f"{name}: {'not as declared' if found else 'missing'}")


def _units(plan: Plan) -> Iterator[Line]:
    yield _release(plan, HOME)
    for unit, service in ((portal.UNIT, "portal"), (litestream.UNIT, "litestream")):
        declared = plan.services[service]
        running = host.get_fact(
            Process, pid=f"systemctl show --property MainPID --value {unit}", files=declared.paths
        )  # fmt: skip
        enabled = host.get_fact(SystemdEnabled, services=[unit]).get(unit)
        fine = running == Running(declared.stamp) and bool(enabled)
        word = "stopped" if running is None else "runs" if fine else "not as declared"
        yield Line("unit", fine, f"{unit} {word}{'' if enabled else ', not enabled'}")


def _drive(plan: Plan) -> Line:
    backup, wanted = plan.settings.backup, plan.data.drive_uuid
    found = host.get_fact(Drive, mount=str(backup.mount), directory=str(backup.directory))
    if found in ("", "away"):
        return Line("drive", False, f"{backup.mount} is not mounted: attach the drive")
    if found == "unmarked":
        return Line("drive", False, f"{backup.directory} has no .mosis-backup: is it the right drive?")
    fine = wanted is None or found == wanted
    return Line("drive", fine, f"{backup.directory} on drive {found}{'' if fine else f', declared is {wanted}'}")


def _status(plan: Plan) -> Iterable[Line]:
    found = host.get_fact(Status, mosis=plan.mosis)
    return [Line("status", False, "mosis status does not run")] if found is None else [Line(**line) for line in found]


@operation(is_idempotent=False)
def without_fault(faults: int) -> Iterator[str]:
    """Fails the run where there is one, after every host has told its own."""
    if faults:
        yield f"echo {faults} faults >&2; exit 1"


def report(plan: Plan, as_json: bool) -> None:
    """Print the host's lines, and let the run end with exit code 1 where one is a fault."""
    found = lines(plan)
    if as_json:
        ok = all(line.ok for line in found)
        print(json.dumps({"host": host.name, "ok": ok, "lines": [asdict(line) for line in found]}))
    for line in () if as_json else found:
        print(f"{host.name}  {'ok   ' if line.ok else 'FAULT'} {line.name:16} {line.text}")
    without_fault(name="Nothing needs attention", faults=sum(not line.ok for line in found))
