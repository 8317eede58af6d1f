"""The jobs of a host, one row each: schedules, status, metrics, alerts and docs/operations.md read them.

Importing this costs nothing: it is data and imports no job.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from portal.settings import Settings

HOUR = 3600
DAY = 24 * HOUR

Needs = Literal[
    "a store",
    "a store with a backup drive",
    "a store with a mirror",
    "a store with a private bucket",
    "a store with webhooks",
    "a store with issuers",
    "a standby",
]

MET: Mapping[Needs, "Callable[[Settings], bool]"] = {
    "a store": lambda settings: settings.follow is None,
    "a store with a backup drive": lambda settings: settings.follow is None and settings.backup is not None,
    "a store with a mirror": lambda settings: settings.follow is None and settings.mirror is not None,
    "a store with a private bucket": lambda settings: (
        settings.follow is None and settings.mirror is not None and settings.mirror.private_bucket is not None
    ),
    "a store with webhooks": lambda settings: settings.follow is None and settings.webhooks != "off",
    "a store with issuers": lambda settings: settings.follow is None and any(i.jwks_url for i in settings.issuers),
    "a standby": lambda settings: settings.follow is not None,
}


@dataclass(frozen=True)
class Job:
    """`mosis COMMAND`, by default at the crontab(5) time `time`, in the host's time zone.

    It is overdue when its last success is more than `max_age` seconds old. A run that takes more than `max_run` seconds
    hangs, and ends. Hosts that are what it `needs` run it.
    """

    name: str
    command: str
    time: str
    max_age: int
    max_run: float
    needs: Needs
    help: str


JOBS = (
    Job(
        name="cleanup",
        command="cleanup",
        time="17 * * * *",
        max_age=26 * HOUR,
        max_run=6 * HOUR,
        needs="a store",
        help="Delete versions and uploads whose retention has ended",
    ),
    Job(
        name="backup-database",
        command="backup database",
        time="30 2 * * *",
        max_age=26 * HOUR,
        max_run=6 * HOUR,
        needs="a store",
        help="Write a checked, compact copy of the database",
    ),
    Job(
        name="backup-packages",
        command="backup packages",
        time="0 3 * * *",
        max_age=26 * HOUR,
        max_run=5 * DAY,
        needs="a store with a backup drive",
        help="Copy packages, images and snapshots of the database to the external drive",
    ),
    Job(
        name="drill",
        command="drill",
        time="0 4 * * 0",
        max_age=8 * DAY,
        max_run=5 * DAY,
        needs="a store",
        help="Rehearse a restore from every copy",
    ),
    Job(
        name="scrub",
        command="scrub --repair",
        time="0 5 * * 6",
        max_age=8 * DAY,
        max_run=6 * DAY,
        needs="a store",
        help="Read every file of the store and of the drive, and mend what is damaged",
    ),
    Job(
        name="catalogue",
        command="catalogue",
        time="* * * * *",
        max_age=HOUR,
        max_run=HOUR,
        needs="a store",
        help="Sign the catalogue of what is published",
    ),
    Job(
        name="mirror",
        command="mirror",
        time="*/5 * * * *",
        max_age=HOUR,
        max_run=6 * DAY,
        needs="a store with a mirror",
        help="Copy what is published to the mirror's bucket",
    ),
    Job(
        name="collect",
        command="collect",
        time="* * * * *",
        max_age=HOUR,
        max_run=DAY,
        needs="a store with a private bucket",
        help="Fetch the packages that were uploaded to the mirror's private bucket",
    ),
    Job(
        name="notify",
        command="notify",
        time="* * * * *",
        max_age=HOUR,
        max_run=HOUR,
        needs="a store with webhooks",
        help="Send the webhooks of reviews that have ended",
    ),
    Job(
        name="issuers",
        command="issuers",
        time="*/10 * * * *",
        max_age=6 * HOUR,
        max_run=HOUR,
        needs="a store with issuers",
        help="Fetch the public keys of the CI services that may publish",
    ),
    Job(
        name="follow",
        command="follow",
        time="* * * * *",
        max_age=HOUR // 4,
        max_run=6 * DAY,
        needs="a standby",
        help="Copy the store that this host follows",
    ),
)

BY_NAME: Mapping[str, Job] = {job.name: job for job in JOBS}


def expected(settings: "Settings") -> tuple[Job, ...]:
    """The jobs that a host with these settings should run, with its own maximum ages."""
    ages = settings.job_max_ages
    possible = [replace(job, max_age=ages.get(job.name, job.max_age)) for job in JOBS if MET[job.needs](settings)]
    return tuple(job for job in possible if job.max_age)


def max_age(settings: "Settings", name: str) -> float:
    """The maximum age of a job on this host, in seconds; infinite where it is switched off."""
    return settings.job_max_ages.get(name, BY_NAME[name].max_age) or float("inf")
