"""crontab(5) times as DSM has them: as a schedule of Task Scheduler, else as lines of its /etc/crontab."""

import re
from collections.abc import Iterable, Mapping

from deploys.plan.paths import DSM_HOME
from deploys.plan.schedules import Job

ALL_DAYS = "0,1,2,3,4,5,6"
MINUTE_STEPS = (1, 5, 10, 15, 20, 30)  # what Task Scheduler offers

OURS = f"^(# (BEGIN|END) mosis|[0-9*/,\t-]+\troot\t/volume[0-9]+/{DSM_HOME}/bin/job-[a-z-]+)$"
"""The store's own lines of /etc/crontab, as an extended regular expression without %; others are not touched."""


def task_schedule(time: str) -> dict[str, object] | None:
    """The schedule of a DSM task, None for a time that Task Scheduler cannot express."""
    minute, hour, day, month, weekday = time.split()
    if (day, month) != ("*", "*") or not re.fullmatch(r"\*|[0-6](,[0-6])*", weekday):
        return None
    days = ALL_DAYS if weekday == "*" else weekday
    if minute.isdigit() and hour.isdigit():
        return _schedule(days, int(hour), int(minute))
    if minute.isdigit() and hour == "*":
        return _schedule(days, 0, int(minute), repeat_hour=1, last_work_hour=23)
    step = re.fullmatch(r"\*(?:/(\d+))?", minute)
    if hour == "*" and step and (every := int(step[1] or 1)) in MINUTE_STEPS:
        return _schedule(days, 0, 0, repeat_min=every, last_work_hour=23)
    return None


def _schedule(days: str, hour: int, minute: int, **repeat: int) -> dict[str, object]:
    once = {"repeat_hour": 0, "repeat_min": 0, "last_work_hour": hour}
    kind: dict[str, object] = {"date_type": 0, "repeat_date": 1001 if days == ALL_DAYS else 1002, "monthly_week": []}
    return kind | {"week_day": days, "hour": hour, "minute": minute} | once | repeat


def block(jobs: Iterable[Job], scripts: Mapping[str, str]) -> str:
    """The marked lines of /etc/crontab for jobs that Task Scheduler cannot express; empty when there is none.

    DSM reads lines whose seven columns are separated by tabs, and ignores others.
    """
    lines = ["\t".join([*job.time.split(), "root", scripts[job.name]]) for job in jobs if not task_schedule(job.time)]
    return "".join(f"{line}\n" for line in ("# BEGIN mosis", *lines, "# END mosis")) if lines else ""
