"""A standby as data, what its key may ask of the store, and data that it must not take the place of."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from deploys.checks import preflight
from deploys.checks.declared import declared
from deploys.plan import plan
from deploys.plan.data import PlanError
from deploys.plan.release import Release
from deploys.plan.render import render
from deploys.remote import probe

STORE = {"mosis_runtime": "systemd"}
STANDBY = STORE | {"mosis_follows": "store.example.org"}
FOUND = {
    "python": [3, 11, 2],
    "uid": 0,
    "systemd": True,
    "apt": True,
    "writable": True,
    "entries": [],
    "forbidden": [],
    "ports": {"80": [], "9098": []},
}


@pytest.mark.parametrize("runtime", ["local", "compose"])
def test_only_systemd_has_standbys(runtime: str, release: Release) -> None:
    with pytest.raises(PlanError, match="mosis_follows needs the runtime systemd"):
        plan(STANDBY | {"mosis_runtime": runtime, "mosis_root": "/home/dev/mosis"}, release)


def test_a_standby_runs_nothing_of_a_store(release: Release) -> None:
    wanted = plan(STANDBY | {"mosis_settings": {"backup": {"mount": "/mnt", "directory": "/mnt/mosis"}}}, release)
    files = {file.path: file.content for service in wanted.services.values() for file in service.files}
    assert not [path for path in files if path.endswith(".service")]
    assert [(job.time, job.command) for job in wanted.jobs] == [("* * * * *", "follow")]
    assert tomllib.loads(files[wanted.config])["follow"]["store"] == "store.example.org"
    assert "proxy_pass" not in files["/etc/nginx/sites-available/mosis.conf"]
    assert "litestream" not in files["/etc/mosis/prometheus/prometheus.yml"]
    assert {listener.port for listener in wanted.listeners} == {80, 9098}
    told = declared(wanted)
    assert "drive" not in told and set(told["units"]) == {"nginx.service", "cron.service"}


def test_without_the_name_it_is_a_store_like_any_other(release: Release) -> None:
    assert plan(STANDBY | {"mosis_follows": None}, release) == plan(STORE, release)


def test_schedules_may_be_said_for_stores_and_standbys_at_once(release: Release) -> None:
    times = {"mosis_schedules": {"cleanup": "5 * * * *", "follow": "*/5 * * * *"}}
    assert [job.time for job in plan(STANDBY | times, release).jobs] == ["*/5 * * * *"]
    assert [job.time for job in plan(STORE | times, release).jobs] == [
        "5 * * * *",
        "30 2 * * *",
        "0 4 * * 0",
        "0 5 * * 6",
        "* * * * *",
    ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("data", "backups/portal", "packages", "secrets"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, None),
        ({"data/portal.db": "x"}, "/data/portal.db are this host's own"),
        ({"data/portal.db": "x", "backups/portal/x.ltx": "x"}, "/backups/portal are this host's own"),
        ({"data/portal.db": "x", "data/standby.json": '{"store": "store.example.org"}'}, None),
        ({"data/portal.db": "x", "data/standby.json": '{"store": "b.example.org"}'}, "is a copy of b.example.org"),
    ],
)
def test_data_of_others_is_in_the_way(
    files: dict[str, str], sentence: str | None, root: Path, release: Release
) -> None:
    for name, content in files.items():
        (root / name).write_text(content)
    found = FOUND | {
        "mount": probe.mount_of(root),
        "drive": {},
        "own_data": probe.own_data(root),
        "copied_store": probe.copied_store(root),
    }
    told = preflight._fault(plan(STANDBY | {"mosis_root": "/srv/mosis"}, release), found)
    assert told is None if sentence is None else sentence in told and "move" in told


@pytest.mark.parametrize(
    "command",
    [
        "",
        "id",
        "rsync --server --sender -r . secrets/",
        "rsync --server --sender -r . packages/../secrets/",
        "rsync --server --sender -rL . packages/../../secrets/ packages/",
        "rsync --server --sender -r . /etc/ssh/ packages/",
        "rsync --server -r . packages/",
        "rsync --server --sender -r --remove-source-files . packages/",
        "touch hacked; rsync --server --sender -r . packages/",
    ],
)
def test_the_key_of_a_standby_reads_three_directories_and_no_more(command: str, root: Path) -> None:
    if not shutil.which("rrsync"):
        pytest.skip("rrsync is not installed")
    (root / "secrets/admin-token").write_text("secret")
    (root / "packages/app").write_text("app")
    feed = render("standby/feed.j2", root=root)
    environment = {"PATH": "/usr/bin:/bin", "SSH_ORIGINAL_COMMAND": command}
    done = subprocess.run(["sh", "-c", feed], input=b"", capture_output=True, env=environment, cwd=root, check=False)
    assert done.returncode != 0 and b"secret" not in done.stdout
    assert sorted(path.name for path in root.rglob("*") if path.is_file()) == ["admin-token", "app"]
