"""What a deploy declared, in a file on the host, with which `mosis status` compares it (`deploys/remote/check.py`)."""

import inspect
import json
from collections.abc import Iterator

from deploys.containers import compose
from deploys.host import files
from deploys.host.deploy import deploy
from deploys.host.files import sha256
from deploys.plan.dsm_times import task_schedule
from deploys.plan.model import File, Plan, Stack, root_file
from deploys.plan.paths import CERTIFICATE_CHECK, HOME
from deploys.plan.tls import wanted_of
from deploys.remote import certificate, check
from deploys.services import litestream, portal, prometheus
from deploys.synology import task_scheduler
from portal.thresholds import CERTIFICATE_SECONDS_LEFT_MIN, DAY

SYSTEM_UNITS = ("nginx.service", "cron.service")


@deploy("Checks")
def written(plan: Plan) -> None:
    """What `mosis status` needs; the last step, because a deploy that failed before has declared nothing."""
    files.written(checks(plan))


def checks(plan: Plan) -> tuple[File, ...]:
    """The script and the values; none where `mosis status` reports on the store alone."""
    if plan.checks is None:
        return ()
    script, expected = plan.checks
    values = declared(plan)
    modules = {script: check} | ({CERTIFICATE_CHECK: certificate} if "certificate" in values else {})
    return (
        *(root_file(path, inspect.getsource(module)) for path, module in modules.items()),
        root_file(expected, json.dumps(values, indent=1) + "\n"),
    )


def laid_down(plan: Plan) -> Iterator[File]:
    """Every file of the plan that is no secret."""
    for service in plan.services.values():
        yield from service.files
    yield plan.command
    yield from plan.stack.files if plan.stack else ()


def declared(plan: Plan) -> dict[str, object]:
    """The plan as the values of the checks of `deploys/remote/check.py`, by their names."""
    found: dict[str, object] = {
        "files": {file.path: sha256(file.content) for file in laid_down(plan)},
        "root": {"free_kib": check.ROOT_FREE_KIB},
        "release": {"home": plan.stack.home if plan.stack else HOME, "id": plan.release.id},
    }
    if backup := plan.settings.backup:
        place = {"mount": str(backup.mount), "directory": str(backup.directory)}
        found["drive"] = {**place, "uuid": plan.data.drive_uuid}
    if (tls := plan.data.tls) and not plan.data.follows:
        days = CERTIFICATE_SECONDS_LEFT_MIN // DAY
        wanted = wanted_of(plan.data, tls, days=days, port=tls.port)
        found["certificate"] = {"script": CERTIFICATE_CHECK, "wanted": wanted}
    if plan.stack:
        found |= _stack(plan, plan.stack)
        return found | (_synology(plan, plan.stack) if plan.data.share else {})
    of_stores = ((portal.UNIT, "portal"), (litestream.UNIT, "litestream"))
    own = {unit: plan.services[name] for unit, name in of_stores if name in plan.services}
    units = {unit: {"stamp": service.stamp, "reads": service.paths} for unit, service in own.items()}
    system = (*SYSTEM_UNITS, *((prometheus.UNIT,) if plan.data.prometheus == "install" else ()))
    return found | {"units": units | {unit: {"stamp": "", "reads": []} for unit in system}}


def _stack(plan: Plan, stack: Stack) -> dict[str, object]:
    loaded = {"nginx": compose.loaded(stack)}
    containers = {
        name: {"stamp": service.stamp, "reads": service.paths, "loaded": loaded.get(name)}
        for name, service in compose.running_services(plan).items()
    }
    return {"images": dict.fromkeys(stack.images.values(), stack.recipe), "containers": containers}


def _synology(plan: Plan, stack: Stack) -> dict[str, object]:
    by_task = [job for job in plan.jobs if task_schedule(job.time)]
    tasks = [
        {"name": task["name"], "when": job.time, "fields": task_scheduler.matters(task)}
        for job in by_task
        for task in [task_scheduler.task_wanted(job, stack.scripts[job.name])]
    ]
    boot = task_scheduler.boot_matters(task_scheduler.boot_wanted(stack.boot))
    tasks.append({"name": task_scheduler.BOOT_TASK, "when": "every boot", "fields": boot})
    found: dict[str, object] = {
        "share": {"name": plan.data.share, "path": str(plan.settings.root), "user": stack.user},
        "tasks": tasks,
    }
    if lines := [job.name for job in plan.jobs if job not in by_task]:
        found["crontab"] = {"script": f"{stack.home}/bin/crontab", "jobs": lines}
    return found
