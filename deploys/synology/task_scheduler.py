"""Schedules on a Synology NAS: Task Scheduler, /etc/crontab for times that it cannot express, and a task at boot."""

import json
from collections.abc import Generator
from shlex import quote
from typing import Any

from pyinfra import host
from pyinfra.api import FactBase, operation

from deploys.host.deploy import deploy
from deploys.plan.dsm_times import OURS, task_schedule
from deploys.plan.model import Plan, Stack
from deploys.plan.paths import ENVIRONMENT
from deploys.plan.schedules import Job
from deploys.remote.check import answer, same

BOOT_TASK = "mosis-boot"

Fields = dict[str, Any]
"""A task as DSM's API writes and reads it in JSON."""


def _webapi(api: str, method: str, version: int, **values: object) -> str:
    words = [f"{key}={quote(json.dumps(value))}" for key, value in values.items()]
    return f"{ENVIRONMENT}synowebapi --exec api=SYNO.Core.{api} method={method} version={version} {' '.join(words)}"


def _done(command: str) -> str:
    """The command; it fails if DSM reports a failure."""
    answer = f"answer=$({command} 2>/dev/null); "
    return answer + "case $answer in *'\"success\"'*true*) ;; *) printf '%s\\n' \"$answer\" >&2; exit 1;; esac"


class Tasks(FactBase[dict[str, int]]):
    """Name to id of the tasks of Task Scheduler."""

    default = dict

    def command(self) -> str:
        command = _webapi("TaskScheduler", "list", 3, offset=0, limit=1000, sort_by="name", sort_direction="ASC")
        return f"{command} 2>/dev/null || true"

    def process(self, output: list[str]) -> dict[str, int]:
        return {task["name"]: task["id"] for task in (answer("\n".join(output)) or {}).get("tasks", []) if "id" in task}


class Task(FactBase[Fields | None]):
    """A task with its schedule and script."""

    def command(self, number: int) -> str:
        return _webapi("TaskScheduler", "get", 4, id=number, real_owner="root") + " 2>/dev/null || true"

    def process(self, output: list[str]) -> Fields | None:
        return answer("\n".join(output))


class BootTask(FactBase[Fields | None]):
    """A task that runs at boot, None if it does not exist."""

    def command(self, task: str) -> str:
        return _webapi("EventScheduler", "get", 1, task_name=task) + " 2>/dev/null || true"

    def process(self, output: list[str]) -> Fields | None:
        return answer("\n".join(output))


def task_wanted(job: Job, script: str) -> Fields:
    """A job as a task that root runs."""
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
def task_present(wanted: Fields) -> Generator[str]:
    """Task Scheduler has the task as declared; read back after a change."""
    number = host.get_fact(Tasks).get(wanted["name"])
    if number is None:
        yield _done(_webapi("TaskScheduler.Root", "create", 4, **wanted))
    elif not same(host.get_fact(Task, number=number), matters(wanted)):
        yield _done(_webapi("TaskScheduler.Root", "set", 4, id=number, **wanted))
    else:
        return
    kept = f"{Tasks().command()} | grep -q {quote(wanted['name'])}"
    yield f"{kept} || {{ echo 'DSM has not kept the task.' >&2; exit 1; }}"


def matters(wanted: Fields) -> Fields:
    """The fields that are compared; DSM rewrites the others."""
    schedule = {key: value for key, value in wanted["schedule"].items() if key != "monthly_week"}
    return {"enable": True, "extra": {"script": wanted["extra"]["script"]}, "schedule": schedule}


@operation()
def tasks_absent(prefix: str, names: set[str]) -> Generator[str]:
    """The store has no task that is not declared."""
    extra = {name: number for name, number in host.get_fact(Tasks).items() if name.startswith(prefix)}
    gone = [{"id": number, "real_owner": "root"} for name, number in sorted(extra.items()) if name not in names]
    if gone:
        yield _done(_webapi("TaskScheduler", "delete", 2, tasks=gone))


def boot_wanted(script: str) -> Fields:
    """The task that starts the store after a boot."""
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


def boot_matters(wanted: Fields) -> Fields:
    """The fields that are compared."""
    return {key: wanted[key] for key in ("event", "enable", "operation")}


@operation()
def boot_task_present(wanted: Fields) -> Generator[str]:
    """DSM runs the script at every boot."""
    found = host.get_fact(BootTask, task=wanted["task_name"])
    if not same(found, boot_matters(wanted)):
        yield _done(_webapi("EventScheduler.Root", "set" if found else "create", 1, **wanted))


class Crontab(FactBase[bool]):
    """Whether /etc/crontab contains the store's block as declared."""

    default = bool

    def command(self, script: str) -> str:
        return f"if sh {quote(script)} --check 2>/dev/null; then echo yes; fi"

    def process(self, output: list[str]) -> bool:
        return "yes" in output


class CrontabMarked(FactBase[bool]):
    """Whether /etc/crontab has lines of the store at all."""

    default = bool

    def command(self) -> str:
        return f"if grep -Eq {quote(OURS)} /etc/crontab; then echo yes; fi"

    def process(self, output: list[str]) -> bool:
        return "yes" in output


def lines_removed(crontab: str) -> str:
    """The command that takes the store's lines, and no others, out of the file."""
    return f"LC_ALL=C sed -E -i {quote(f'{chr(92)}%{OURS}%d')} {quote(crontab)}"


@operation()
def crontab_current(script: str, wanted: bool) -> Generator[str]:
    """/etc/crontab has lines for exactly the jobs that Task Scheduler cannot express."""
    if wanted and not host.get_fact(Crontab, script=script):
        yield f"sh {quote(script)}"
    if not wanted and host.get_fact(CrontabMarked):
        yield f"{ENVIRONMENT}{lines_removed('/etc/crontab')} && synosystemctl restart crond"


@deploy("Schedules")
def schedules(plan: Plan, stack: Stack) -> None:
    """Task Scheduler first, because it rewrites /etc/crontab; then the lines for what it cannot express."""
    wanted = [task_wanted(job, stack.scripts[job.name]) for job in plan.jobs if task_schedule(job.time)]
    for task in host.loop(wanted):
        task_present(name=f"Task {task['name']}", wanted=task)
    tasks_absent(name="No other task of the store", prefix="mosis-", names={task["name"] for task in wanted})
    crontab_current(
        name="Lines in /etc/crontab", script=f"{stack.home}/bin/crontab", wanted=len(wanted) < len(plan.jobs)
    )
    boot_task_present(name=f"Task {BOOT_TASK}", wanted=boot_wanted(stack.boot))
