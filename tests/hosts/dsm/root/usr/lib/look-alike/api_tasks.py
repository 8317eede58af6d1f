"""SYNO.Core.TaskScheduler: scheduled scripts of root. Known are daily and weekly ones, with repeats within the day."""

import subprocess

import tasks
from syno import state
from webapi import Call, Unknown, Wrong, check

SCHEDULE = dict.fromkeys(("date_type", "repeat_date", "hour", "minute", "repeat_hour", "repeat_min"), int)
SCHEDULE |= {"last_work_hour": int, "week_day": str}
SCHEDULE_OPTIONAL = {
    "repeat_hour_store_config": list,
    "repeat_min_store_config": list,
    "monthly_week": list,
    "date": str,
}
EXTRA = {"script": str, "notify_enable": bool, "notify_if_error": bool, "notify_mail": str}
TASK = {"name": str, "owner": str, "real_owner": str, "enable": bool, "type": str, "schedule": dict, "extra": dict}

DAILY, WEEKLY = 1001, 1002
ALLOWED = {
    "date_type": (0,),
    "repeat_date": (DAILY, WEEKLY),
    "hour": range(24),
    "minute": range(60),
    "last_work_hour": range(24),
    "repeat_hour": range(24),
    "repeat_min": (0, 1, 5, 10, 15, 20, 30),
}


def _check(task: dict) -> None:
    schedule = task["schedule"]
    check("schedule", schedule, SCHEDULE, SCHEDULE_OPTIONAL)
    check("extra", task["extra"], EXTRA, {})
    if (task["owner"], task["real_owner"], task["type"]) != ("root", "root", "script"):
        raise Wrong("only scripts of root are known here")
    for key, allowed in ALLOWED.items():
        if schedule[key] not in allowed:
            raise Wrong(f"schedule: {key} must be in {allowed}, got {schedule[key]}")
    days = schedule["week_day"].split(",")
    if not set(days) <= set("0123456") or sorted(set(days)) != days:
        raise Wrong(f"schedule: week_day must be like '0,1,2', got {schedule['week_day']!r}")
    if schedule["repeat_hour"] and schedule["repeat_min"]:
        raise Wrong("schedule: repeat_hour or repeat_min, not both")


def _save(number: str, given: dict, known: dict) -> dict:
    known[number] = {key: given[key] for key in ("name", "enable", "schedule", "extra")}
    tasks.mirror(known)
    return {"id": int(number)}


def _create(given: dict) -> dict:
    _check(given)
    with state("tasks") as known:
        return _save(str(max([0, *map(int, known)]) + 1), given, known)


def _set(given: dict) -> dict:
    _check(given)
    with state("tasks") as known:
        return _save(_number(given, known), given, known)


def _number(given: dict, known: dict) -> str:
    if str(given["id"]) not in known or given.get("real_owner", "root") != "root":
        raise Unknown
    return str(given["id"])


def _get(given: dict) -> dict:
    with state("tasks") as known:
        return _shown(_number(given, known), known) | {"schedule": known[str(given["id"])]["schedule"]}


def _shown(number: str, known: dict) -> dict:
    task = known[number]
    fixed = {"owner": "root", "real_owner": "root", "type": "script", "can_run": True, "can_edit": True}
    return {"id": int(number), "name": task["name"], "enable": task["enable"], "extra": task["extra"], **fixed}


def _list(given: dict) -> dict:
    with state("tasks") as known, state("events") as events:
        listed = [{k: v for k, v in _shown(number, known).items() if k != "extra"} for number in known]
        listed += [
            {"name": name, "enable": task["enable"], "owner": "root", "real_owner": "root", "type": "event_script"}
            for name, task in events.items()
        ]
    start = given.get("offset", 0)
    return {"tasks": listed[start : start + given.get("limit", 50)], "total": len(listed)}


def _named(given: dict) -> list[str]:
    with state("tasks") as known:
        for entry in given["tasks"]:
            check("tasks", entry, {"id": int}, {"real_owner": str})
        return [_number(entry, known) for entry in given["tasks"]]


def _delete(given: dict) -> dict:
    numbers = _named(given)
    with state("tasks") as known:
        for number in numbers:
            del known[number]
        tasks.mirror(known)
    return {}


def _run(given: dict) -> dict:
    for number in _named(given):
        subprocess.Popen(
            ["/usr/syno/bin/synoschedtask", "--run", f"id={number}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    return {}


LISTING = {"offset": int, "limit": int, "sort_by": str, "sort_direction": str}
READING = {
    "list": Call(3, _list, {}, LISTING),
    "get": Call(4, _get, {"id": int}, {"real_owner": str}),
    "delete": Call(2, _delete, {"tasks": list}),
    "run": Call(2, _run, {"tasks": list}),
}
CALLS = {
    "SYNO.Core.TaskScheduler": READING,
    "SYNO.Core.TaskScheduler.Root": {
        **READING,
        "create": Call(4, _create, TASK),
        "set": Call(4, _set, {**TASK, "id": int}),
    },
}
