"""What DSM's commands print, and what they are asked: formats as on the look-alike host and in the field."""

import json

import pytest

from deploys.plan.dsm_times import ALL_DAYS, block, task_schedule
from deploys.plan.schedules import Job
from deploys.remote.check import answer, same
from deploys.synology import shared_folder, task_scheduler

TASK = task_scheduler.task_wanted(Job("cleanup", "17 * * * *", "cleanup"), "/volume1/@mosis/bin/job-cleanup")


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("30 2 * * *", {"hour": 2, "minute": 30, "week_day": ALL_DAYS, "repeat_date": 1001, "repeat_hour": 0}),
        ("0 5 * * 0", {"hour": 5, "minute": 0, "week_day": "0", "repeat_date": 1002}),
        ("17 * * * *", {"hour": 0, "minute": 17, "repeat_hour": 1, "last_work_hour": 23}),
        ("*/5 * * * *", {"hour": 0, "minute": 0, "repeat_min": 5, "last_work_hour": 23}),
        ("* * * * *", {"repeat_min": 1}),
        ("*/7 * * * *", None),
        ("0 3 1 * *", None),
        ("0 3,15 * * *", None),
        ("0 3 * 6 *", None),
    ],
)
def test_times_that_task_scheduler_can_express(time: str, expected: dict[str, object] | None) -> None:
    found = task_schedule(time)
    assert found is None if expected is None else expected.items() <= found.items()


def test_the_rest_are_lines_with_tabs() -> None:
    jobs = [Job("a", "0 3 1 * *", "a"), Job("b", "0 3 * * *", "b")]
    assert block(jobs, {"a": "/bin/a", "b": "/bin/b"}) == "# BEGIN mosis\n0\t3\t1\t*\t*\troot\t/bin/a\n# END mosis\n"
    assert block(jobs[1:], {"b": "/bin/b"}) == ""


def test_answers_are_judged_by_what_they_say() -> None:
    assert answer('noise\n{"data": {"id": 1}, "success": true}') == {"id": 1}
    assert answer('{"error": {"code": 4800}, "success": false}') is None
    assert answer("") is None
    listed = {"data": {"tasks": [{"id": 3, "name": "mosis-cleanup"}, {"name": "mosis-boot"}]}, "success": True}
    assert task_scheduler.Tasks().process([json.dumps(listed)]) == {"mosis-cleanup": 3}


def test_a_task_is_compared_in_what_matters() -> None:
    wanted = task_scheduler.matters(TASK)
    found = json.loads(json.dumps(TASK)) | {"id": 3, "action": "Run"}
    found["schedule"] |= {"next_trigger_time": "x", "monthly_week": "[]"}
    assert same(found, wanted)
    for change in ({"enable": False}, {"extra": {"script": "true"}}, {"schedule": found["schedule"] | {"minute": 18}}):
        assert not same(found | change, wanted)
    assert not same(None, wanted)


def test_a_share_is_read_from_its_dump() -> None:
    lines = [
        "SYNOSHARE data dump:",
        "\t Name .......[mosis]",
        "\t Path .......[/volume1/mosis]",
        "\t RW list ....[a,mosis]",
    ]
    assert shared_folder.Share().process(lines) == shared_folder.SharedFolder("/volume1/mosis", ("a", "mosis"))
    assert shared_folder.Share().process(["\t Path .......[/volume1/x]", "\t RW list ....[]"]).writers == ()
    assert shared_folder.Share().process([]) is None
