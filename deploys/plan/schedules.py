"""What the host does by itself: the jobs of the portal's table, and what only DSM can do, at the host's own times."""

from dataclasses import dataclass

from deploys.plan.cron_times import longest_gap
from deploys.plan.data import HostData, PlanError
from portal.jobs import table
from portal.settings import Settings


@dataclass(frozen=True)
class Job:
    """`mosis COMMAND` at a crontab(5) time, or with `of_host` a command of the host; no time: only on request.

    Its output goes to the host's log as mosis-NAME.
    """

    name: str
    time: str
    command: str
    of_host: bool = False


# Only DSM has these commands.
SNAPSHOT = (  # it ends with 0 whatever comes of it
    "synowebapi --exec api=SYNO.Core.Share.Snapshot method=create version=1 name='\"{share}\"' 2>/dev/null |"
    " tee /dev/stderr | grep -q '\"success\" *: *true'"
)
HYPER_BACKUP = "/var/packages/HyperBackup/target/bin/dsmbackup --backup {hyper_backup}"

DSM_JOBS = (
    Job("share-snapshot", "", SNAPSHOT, of_host=True),
    Job("hyper-backup", "0 5 * * *", HYPER_BACKUP, of_host=True),
)


def wanted(data: HostData, settings: Settings) -> tuple[Job, ...]:
    """The host's jobs, at its own times. Raises PlanError for a time of a job that does not exist."""
    of_dsm = DSM_JOBS if data.share else ()
    known = [*table.BY_NAME, *(job.name for job in of_dsm)]  # a group may say all that its hosts may become
    if unknown := data.schedules.keys() - set(known):
        raise PlanError(f"Host data: mosis_schedules knows {', '.join(known)}, not {', '.join(sorted(unknown))}.")
    jobs = [Job(job.name, job.time, job.command) for job in table.expected(settings)]
    jobs += [job for job in of_dsm if job.name != "hyper-backup" or data.hyper_backup]
    times = {job.name: data.schedules.get(job.name, job.time) for job in jobs}
    return tuple(
        Job(job.name, time, job.command.format(share=data.share, hyper_backup=data.hyper_backup), job.of_host)
        for job in jobs
        if (time := times[job.name])
    )


def max_ages(data: HostData) -> dict[str, int]:
    """The portal's setting `job_max_ages`: a job with a rarer schedule is overdue later, one that is off never (0)."""
    own = {name: time for name, time in data.schedules.items() if name in table.BY_NAME}
    ages = {name: _max_age(table.BY_NAME[name], time) for name, time in own.items()}
    return {name: age for name, age in ages.items() if age != table.BY_NAME[name].max_age}


def _max_age(job: table.Job, time: str | None) -> int:
    return 0 if time is None else job.max_age + max(0, longest_gap(time) - longest_gap(job.time))
