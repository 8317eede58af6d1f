"""SYNO.Core.EventScheduler: scripts of root that run at boot, known by their names."""

import subprocess

from syno import state
from webapi import Call, Unknown, Wrong

TASK = dict.fromkeys(("task_name", "event", "depend_on_task", "notify_mail", "operation_type", "operation"), str)
TASK |= {"owner": dict, "enable": bool, "notify_enable": bool, "notify_if_error": bool}
FIXED = {"owner": {"0": "root"}, "event": "bootup", "depend_on_task": "", "operation_type": "script"}


def _check(given: dict) -> None:
    for key, value in FIXED.items():
        if given[key] != value:
            raise Wrong(f"{key} must be {value!r} here, got {given[key]!r}")


def _create(given: dict) -> dict:
    _check(given)
    with state("events") as events:
        if given["task_name"] in events:
            raise Unknown  # the name is taken
        events[given["task_name"]] = given
    return {}


def _set(given: dict) -> dict:
    _check(given)
    with state("events") as events:
        _known(given, events)
        events[given["task_name"]] = given
    return {}


def _known(given: dict, events: dict) -> dict:
    if given["task_name"] not in events:
        raise Unknown
    return events[given["task_name"]]


def _get(given: dict) -> dict:
    with state("events") as events:
        return _known(given, events)


def _delete(given: dict) -> dict:
    with state("events") as events:
        _known(given, events)
        del events[given["task_name"]]
    return {}


def _run(given: dict) -> dict:
    script = _get(given)["operation"]
    subprocess.Popen(
        ["/bin/bash", "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    return {}


NAMED = {"task_name": str}
WRITING = {"create": Call(1, _create, TASK), "set": Call(1, _set, TASK)}
CALLS = {
    "SYNO.Core.EventScheduler": {
        **WRITING,
        "get": Call(1, _get, NAMED),
        "delete": Call(1, _delete, NAMED),
        "run": Call(1, _run, NAMED),
    },
    "SYNO.Core.EventScheduler.Root": WRITING,
}
