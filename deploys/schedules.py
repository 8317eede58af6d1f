"""What the host does by itself, as data: one row a job."""

from dataclasses import dataclass

from deploys.data import HostData, PlanError
from portal.settings import Settings


@dataclass(frozen=True)
class Job:
    """`mosis COMMAND` at a crontab(5) time; its output goes to the journal as mosis-NAME."""

    name: str
    time: str
    command: str


JOBS = (
    Job("cleanup", "17 * * * *", "cleanup"),
    Job("backup-database", "30 2 * * *", "backup database"),
    Job("backup-packages", "0 3 * * *", "backup packages"),
)


def wanted(data: HostData, settings: Settings) -> tuple[Job, ...]:
    """The host's jobs, at its own times. Raises PlanError for a time of a job that does not exist."""
    if unknown := data.schedules.keys() - {job.name for job in JOBS}:
        names = ", ".join(job.name for job in JOBS)
        raise PlanError(f"Host data: mosis_schedules knows {names}, not {', '.join(sorted(unknown))}.")
    possible = [job for job in JOBS if settings.backup or job.name != "backup-packages"]
    times = {job.name: data.schedules.get(job.name, job.time) for job in possible}
    return tuple(Job(job.name, time, job.command) for job in possible if (time := times[job.name]))
