"""The table of jobs is what really happens: its commands exist, and record the names that status and metrics read."""

import dataclasses
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from portal.jobs import backup, table
from portal.jobs.alone import OverrunError, alone
from portal.jobs.table import Job
from portal.recovery import drive
from portal.settings import Settings
from portal.store import job_runs
from portal.store.store import Store
from tests.support.portal import mosis

DRIVE = {"mount": "/mnt/usb", "directory": "/mnt/usb/mosis"}
MIRROR = {"endpoint": "https://s3.example.org", "bucket": "mosis", "credentials": "/run/r2"}
FOLLOW = {"store": "store.example.org", "ssh_config": "/none"}


def test_names_are_unique() -> None:
    assert len(table.BY_NAME) == len(table.JOBS)


ISSUERS = {"issuers": [{"issuer": "https://ci.test", "jwks_url": "https://ci.test/jwks"}], "audience": "https://a.test"}


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
        ({"webhooks": "public"}, ["cleanup", "backup-database", "drill", "scrub", "catalogue", "notify"]),
        (ISSUERS, ["cleanup", "backup-database", "drill", "scrub", "catalogue", "issuers"]),
        ({"backup": DRIVE, "mirror": MIRROR, "webhooks": "any", "follow": FOLLOW}, ["follow"]),
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


@pytest.mark.parametrize("hangs", ["in a program", "in a call"])
def test_a_job_that_hangs_is_ended_and_says_so(
    saved: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs: str
) -> None:
    job = dataclasses.replace(table.BY_NAME["backup-packages"], max_run=0.5)
    monkeypatch.setattr(table, "BY_NAME", {**table.BY_NAME, job.name: job})
    if hangs == "in a program":
        script = tmp_path / "bin/rsync"
        script.parent.mkdir()
        script.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 600\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    else:
        monkeypatch.setattr(drive, "require", lambda _backup: threading.Event().wait())
    with pytest.raises(OverrunError, match="backup-packages had not ended"):
        backup.packages(saved)
    assert "had not ended" in str(job_runs.every(saved.db.read())[job.name].failure)
    if hangs == "in a program":
        assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()
    with alone(saved, job.name):
        pass
