"""What the host does by itself, as data: one row a job."""

from dataclasses import dataclass

from deploys.plan.data import HostData, PlanError
from portal.settings import Settings


@dataclass(frozen=True)
class Job:
    """`mosis COMMAND` at a crontab(5) time, or with `of_host` a command of the host; None: only when asked for.

    Its output goes to the host's log as mosis-NAME.
    """

    name: str
    time: str | None
    command: str
    of_host: bool = False


JOBS = (
    Job("cleanup", "17 * * * *", "cleanup"),
    Job("backup-database", "30 2 * * *", "backup database"),
    Job("backup-packages", "0 3 * * *", "backup packages"),
    Job("drill", "0 4 * * 0", "drill"),
)
STANDBY_JOBS = (Job("follow", "* * * * *", "follow"),)

# Only DSM has these commands.
SNAPSHOT = (  # it ends with 0 whatever comes of it
    "synowebapi --exec api=SYNO.Core.Share.Snapshot method=create version=1 name='\"{share}\"' 2>/dev/null |"
    " tee /dev/stderr | grep -q '\"success\" *: *true'"
)
HYPER_BACKUP = "/var/packages/HyperBackup/target/bin/dsmbackup --backup {hyper_backup}"
DSM_JOBS = (Job("share-snapshot", None, SNAPSHOT, of_host=True), Job("hyper-backup", "0 5 * * *", HYPER_BACKUP, True))


def wanted(data: HostData, settings: Settings) -> tuple[Job, ...]:
    """The host's jobs, at its own times. Raises PlanError for a time of a job that does not exist."""
    jobs = STANDBY_JOBS if data.follows else (*JOBS, *(DSM_JOBS if data.share else ()))
    known = (*JOBS, *STANDBY_JOBS, *(DSM_JOBS if data.share else ()))  # a group may say all that its hosts may become
    if unknown := data.schedules.keys() - {job.name for job in known}:
        names = ", ".join(job.name for job in known)
        raise PlanError(f"Host data: mosis_schedules knows {names}, not {', '.join(sorted(unknown))}.")
    absent = {"backup-packages": not settings.backup, "hyper-backup": not data.hyper_backup}
    possible = [job for job in jobs if not absent.get(job.name)]
    times = {job.name: data.schedules.get(job.name, job.time) for job in possible}
    return tuple(
        Job(job.name, time, job.command.format(share=data.share, hyper_backup=data.hyper_backup), job.of_host)
        for job in possible
        if (time := times[job.name])
    )
