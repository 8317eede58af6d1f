"""The Task Scheduler's tasks: where they are kept, and the lines of /etc/crontab that they stand for."""

from pathlib import Path

from syno import STATE, state

DIRECTORY = Path("/usr/syno/etc/synoschedule.d/root")  # crond looks here for changes
CRONTAB = Path("/etc/crontab")
WRITTEN = STATE / "crontab.written"  # for which task files the crontab was written last
HEADER = (
    'MAILTO=""\nPATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/syno/sbin:/usr/syno/bin:/usr/local/sbin:/usr/local/bin\n'
    "#minute\thour\tmday\tmonth\twday\twho\tcommand\n"
)


def mirror(tasks: dict) -> None:
    """One file a task, as DSM keeps them, and the crontab of them."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for number, task in tasks.items():
        (DIRECTORY / f"{number}.task").write_text(f"id={number}\nname={task['name']}\nschedule={task['schedule']!r}\n")
    for file in DIRECTORY.glob("*.task"):
        if file.stem not in tasks:
            file.unlink()
    _write_crontab(tasks)


def signature() -> str:
    """What changes when a task does."""
    return repr(sorted((file.name, file.stat().st_mtime_ns) for file in DIRECTORY.glob("*.task")))


def rewrite_crontab() -> None:
    """Only the scheduler's own lines; whatever else stood in the file is gone."""
    with state("tasks") as tasks:
        _write_crontab(tasks)


def _write_crontab(tasks: dict) -> None:
    lines = [
        "\t".join((*_times(task["schedule"]), "root", f"/usr/syno/bin/synoschedtask --run id={number}")) + "\n"
        for number, task in tasks.items()
        if task["enable"]
    ]
    CRONTAB.write_text(HEADER + "".join(lines))
    WRITTEN.write_text(signature())


def _times(schedule: dict) -> tuple[str, str, str, str, str]:
    minute, hour = str(schedule["minute"]), str(schedule["hour"])
    last = schedule.get("last_work_hour", schedule["hour"])
    days = "*" if schedule["week_day"] == "0,1,2,3,4,5,6" else schedule["week_day"]
    if step := schedule.get("repeat_min"):
        minute, hour = f"{minute}-59/{step}", f"{hour}-{last}"
    elif step := schedule.get("repeat_hour"):
        hour = f"{hour}-{last}/{step}"
    return minute, hour, "*", "*", days
