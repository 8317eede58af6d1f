"""The table of jobs is what really happens: its commands exist, and record the names that status and metrics read."""

import subprocess
import sys

import pytest

from portal.jobs import table
from portal.jobs.table import Job
from portal.settings import Settings
from portal.store import job_runs
from portal.store.store import Store
from tests.support.portal import mosis

DRIVE = {"mount": "/mnt/usb", "directory": "/mnt/usb/mosis"}
MIRROR = {"endpoint": "https://s3.example.org", "bucket": "mosis", "credentials": "/run/r2"}
FOLLOW = {"store": "store.example.org", "ssh_config": "/none"}


def test_names_are_unique() -> None:
    assert len(table.BY_NAME) == len(table.JOBS)


def test_importing_it_imports_no_job_and_no_library() -> None:
    loaded = "import sys; from portal.jobs import table; print(*[m for m in sys.modules if m.startswith('portal')])"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["portal", "portal.jobs", "portal.jobs.table"]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["cleanup", "backup-database", "drill", "scrub", "catalogue"]),
        ({"backup": DRIVE}, ["cleanup", "backup-database", "backup-packages", "drill", "scrub", "catalogue"]),
        ({"mirror": MIRROR}, ["cleanup", "backup-database", "drill", "scrub", "catalogue", "mirror"]),
        (
            {"mirror": MIRROR | {"private_bucket": "mosis-private"}},
            ["cleanup", "backup-database", "drill", "scrub", "catalogue", "mirror", "collect"],
        ),
        ({"backup": DRIVE, "mirror": MIRROR, "follow": FOLLOW}, ["follow"]),
        ({"job_max_ages": {"drill": 0, "cleanup": 1}}, ["cleanup", "backup-database", "scrub", "catalogue"]),
    ],
)
def test_a_host_runs_what_it_can(settings: dict[str, object], names: list[str]) -> None:
    chosen = Settings.model_validate({"root": "/srv/mosis", **settings})
    assert [job.name for job in table.expected(chosen)] == names


@pytest.mark.parametrize("job", [job for job in table.JOBS if job.needs != "a standby"], ids=lambda job: job.name)
def test_a_command_records_its_run_by_the_name_of_its_job(job: Job, store: Store) -> None:
    """Without a drive or a replica some fail, which is recorded too."""
    mosis(store, *job.command.split())
    assert [job.name] == list(job_runs.every(store.db.read()))
