"""Schedules of a Synology NAS: tasks of Task Scheduler, lines of /etc/crontab for the rest, and a task at boot."""

import json
from collections.abc import Generator
from shlex import quote

from pyinfra import host
from pyinfra.api import FactBase, operation

from deploys.host.deploy import deploy
from deploys.plan.dsm_times import task_schedule
from deploys.plan.model import Plan, Stack
from deploys.plan.paths import ENVIRONMENT
from deploys.plan.schedules import Job
from deploys.remote.check import answer, same

BOOT_TASK = "mosis-boot"


def _webapi(api: str, method: str, version: int, **values: object) -> str:
    words = [f"{key}={quote(json.dumps(value))}" for key, value in values.items()]
    return f"{ENVIRONMENT}synowebapi --exec api=SYNO.Core.{api} method={method} version={version} {' '.join(words)}"


def _done(command: str) -> str:
    """The command, failing when DSM says so."""
    said = f"said=$({command} 2>/dev/null); "
    return said + "case $said in *'\"success\"'*true*) ;; *) printf '%s\\n' \"$said\" >&2; exit 1;; esac"


class Tasks(FactBase[dict[str, int]]):
    """Name to id of the tasks of Task Scheduler."""

    default = dict

    def command(self) -> str:
        command = _webapi("TaskScheduler", "list", 3, offset=0, limit=1000, sort_by="name", sort_direction="ASC")
        return f"{command} 2>/dev/null || true"

    def process(self, output: list[str]) -> dict[str, int]:
        return {task["name"]: task["id"] for task in (answer("\n".join(output)) or {}).get("tasks", []) if "id" in task}


class Task(FactBase[dict | None]):
    """A task with its schedule and script."""

    def command(self, number: int) -> str:
        return _webapi("TaskScheduler", "get", 4, id=number, real_owner="root") + " 2>/dev/null || true"

    def process(self, output: list[str]) -> dict | None:
        return answer("\n".join(output))


class BootTask(FactBase[dict | None]):
    """A task that runs at boot, None when there is none."""

    def command(self, task: str) -> str:
        return _webapi("EventScheduler", "get", 1, task_name=task) + " 2>/dev/null || true"

    def process(self, output: list[str]) -> dict | None:
        return answer("\n".join(output))


def task_wanted(job: Job, script: str) -> dict[str, object]:
    """A job as a task of root."""
    mail = {"notify_enable": False, "notify_if_error": False, "notify_mail": ""}
    return {
        "name": f"mosis-{job.name}",
        "real_owner": "root",
        "owner": "root",
        "enable": True,
        "schedule": task_schedule(job.time),
        "extra": {"script": script, **mail},
        "type": "script",
    }


@operation()
def task_present(wanted: dict[str, object]) -> Generator[str]:
    """Task Scheduler has the task as declared, asked again after it was set."""
    number = host.get_fact(Tasks).get(wanted["name"])
    if number is None:
        yield _done(_webapi("TaskScheduler.Root", "create", 4, **wanted))
    elif not same(host.get_fact(Task, number=number), matters(wanted)):
        yield _done(_webapi("TaskScheduler.Root", "set", 4, id=number, **wanted))
    else:
        return
    kept = f"{Tasks().command()} | grep -q {quote(wanted['name'])}"
    yield f"{kept} || {{ echo 'DSM has not kept the task.' >&2; exit 1; }}"


def matters(wanted: dict[str, object]) -> dict[str, object]:
    """What makes a task the declared one; DSM writes some fields in its own way."""
    schedule = {key: value for key, value in wanted["schedule"].items() if key != "monthly_week"}
    return {"enable": True, "extra": {"script": wanted["extra"]["script"]}, "schedule": schedule}


@operation()
def tasks_absent(prefix: str, names: set[str]) -> Generator[str]:
    """No task of the store is left that is not declared."""
    extra = {name: number for name, number in host.get_fact(Tasks).items() if name.startswith(prefix)}
    gone = [{"id": number, "real_owner": "root"} for name, number in sorted(extra.items()) if name not in names]
    if gone:
        yield _done(_webapi("TaskScheduler", "delete", 2, tasks=gone))


def boot_wanted(script: str) -> dict[str, object]:
    """The task that brings the store back after a boot."""
    return {
        "task_name": BOOT_TASK,
        "owner": {"0": "root"},
        "event": "bootup",
        "enable": True,
        "depend_on_task": "",
        "notify_enable": False,
        "notify_mail": "",
        "notify_if_error": False,
        "operation_type": "script",
        "operation": script,
    }


def boot_matters(wanted: dict[str, object]) -> dict[str, object]:
    """What makes a task at boot the declared one."""
    return {key: wanted[key] for key in ("event", "enable", "operation")}


@operation()
def boot_task_present(wanted: dict[str, object]) -> Generator[str]:
    """DSM runs the script at every boot."""
    found = host.get_fact(BootTask, task=wanted["task_name"])
    if not same(found, boot_matters(wanted)):
        yield _done(_webapi("EventScheduler.Root", "set" if found else "create", 1, **wanted))


class Crontab(FactBase[bool]):
    """Whether the store's block stands in /etc/crontab as declared."""

    default = bool

    def command(self, script: str) -> str:
        return f"if sh {quote(script)} --check 2>/dev/null; then echo yes; fi"

    def process(self, output: list[str]) -> bool:
        return "yes" in output


class CrontabMarked(FactBase[bool]):
    """Whether /etc/crontab has a block of the store at all."""

    default = bool

    def command(self) -> str:
        return "if grep -q '^# BEGIN mosis$' /etc/crontab; then echo yes; fi"

    def process(self, output: list[str]) -> bool:
        return "yes" in output


@operation()
def crontab_current(script: str, wanted: bool) -> Generator[str]:
    """/etc/crontab has exactly the block of the jobs that Task Scheduler cannot express, or none."""
    if wanted and not host.get_fact(Crontab, script=script):
        yield f"sh {quote(script)}"
    if not wanted and host.get_fact(CrontabMarked):
        yield f"{ENVIRONMENT}sed -i '/^# BEGIN mosis$/,/^# END mosis$/d' /etc/crontab && synosystemctl restart crond"


@deploy("Schedules")
def schedules(plan: Plan, stack: Stack) -> None:
    """Task Scheduler first: it rewrites /etc/crontab, which then gets what it could not express."""
    wanted = [task_wanted(job, stack.scripts[job.name]) for job in plan.jobs if task_schedule(job.time)]
    for task in host.loop(wanted):
        task_present(name=f"Task {task['name']}", wanted=task)
    tasks_absent(name="No other task of the store", prefix="mosis-", names={task["name"] for task in wanted})
    crontab_current(
        name="Lines in /etc/crontab", script=f"{stack.home}/bin/crontab", wanted=len(wanted) < len(plan.jobs)
    )
    boot_task_present(name=f"Task {BOOT_TASK}", wanted=boot_wanted(stack.boot))
