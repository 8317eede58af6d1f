"""The plan as data: what hosts get, and which inventories are refused with which sentence."""

import dataclasses
import json
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from deploys.plan import plan
from deploys.plan.data import PlanError
from deploys.plan.model import Plan
from deploys.plan.release import Release

LOCAL = {"mosis_runtime": "local", "mosis_root": "/home/dev/mosis", "mosis_port": 8080}
FILES = {"certificate": "/etc/ssl/store.pem", "key": "/etc/ssl/private/store.key"}
ACME = {"mosis_server_names": ("store.example.org",), "mosis_tls": {"acme": "a@example.org"}}
SYSTEMD = {"mosis_runtime": "systemd"}
COMPOSE = {"mosis_runtime": "compose", "mosis_root": "/volume1/mosis"}
DRIVE = {"mount": "/mnt/usb", "directory": "/mnt/usb/mosis"}
MIRROR = {"endpoint": "https://s3.example.org", "bucket": "mosis"}


def contents(wanted: Plan) -> dict[str, str]:
    files = [file for service in wanted.services.values() for file in service.files]
    return {file.path: file.content for file in (*files, wanted.command)}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "mosis_runtime: field required"),
        ({"mosis_runtime": "kubernetes"}, "mosis_runtime: input should be 'local', 'systemd' or 'compose'"),
        (SYSTEMD | {"mosis_roort": "/srv"}, "mosis_roort: there is no such setting: check its spelling"),
        (SYSTEMD | {"mosis_root": "srv/mosis"}, "mosis_root: must be an absolute path"),
        (
            SYSTEMD | {"mosis_root": "/srv/My Store"},
            "mosis_root: '/srv/My Store' contains ' '; a path may hold letters a-z",
        ),
        (SYSTEMD | {"mosis_port": 70000}, "mosis_port: input should be less than or equal to 65535"),
        (SYSTEMD | {"mosis_port": 9099}, "port 9099 would be taken twice"),
        (SYSTEMD | {"mosis_metrics_port": 9099}, "port 9099 would be taken twice"),
        (SYSTEMD | {"mosis_tls": FILES | {"port": 80}}, "port 80 would be taken twice"),
        (SYSTEMD | {"mosis_tls": {}}, "mosis_tls: needs either certificate and key, or acme"),
        (SYSTEMD | {"mosis_tls": FILES | {"acme": "a@example.org"}}, "needs either certificate and key, or acme"),
        (SYSTEMD | {"mosis_tls": {"certificate": "/etc/ssl/a.pem"}}, "needs either certificate and key, or acme"),
        (SYSTEMD | {"mosis_tls": {"acme": "a@b.org; true"}}, "mosis_tls.acme: string should match pattern"),
        (SYSTEMD | {"mosis_tls": {"acme": "a@example.org"}}, "needs the host's names in mosis_server_names, not _"),
        (SYSTEMD | ACME | {"mosis_port": 8080}, "mosis_tls.acme needs mosis_port = 80"),
        (COMPOSE | {"mosis_tls": FILES}, "mosis_tls needs the runtime systemd; with compose, put a proxy in front"),
        (SYSTEMD | {"mosis_tls": FILES, "mosis_settings": {"public_url": "http://a.org"}}, "must begin with https://"),
        (SYSTEMD | {"mosis_prometheus": "install", "mosis_port": 9090}, "port 9090 would be taken twice"),
        (SYSTEMD | {"mosis_server_names": ("a.example.org; }",)}, "mosis_server_names.0: string should match pattern"),
        (SYSTEMD | {"mosis_subnet": "10.0.0.0/32"}, "mosis_subnet: must have room for 6 containers"),
        (SYSTEMD | {"mosis_settings": {"workers": 0}}, "workers: input should be greater than or equal to 1"),
        (SYSTEMD | {"mosis_settings": {"worker": 2}}, "worker: there is no such setting: check its spelling"),
        (SYSTEMD | {"mosis_settings": {"port": 9000}}, "mosis_settings may not set port"),
        (SYSTEMD | {"mosis_schedules": {"cleanup": "hourly"}}, "must be five fields"),
        (SYSTEMD | {"mosis_schedules": {"cleanup": "* * * * *\nroot"}}, "must be five fields"),
        (SYSTEMD | {"mosis_schedules": {"clean": "* * * * *"}}, "not clean"),
        (SYSTEMD | {"mosis_secrets": {"mirror-credentials": "hunter2"}}, "never the secret itself"),
        (
            SYSTEMD | {"mosis_secrets": {"x": "env:MOSIS_TEST_ABSENT"}},
            "MOSIS_TEST_ABSENT, which holds a secret, is not",
        ),
        (SYSTEMD | {"mosis_secrets": {"x": "file:/nonexistent/x"}}, "The secret in /nonexistent/x cannot be read"),
        (SYSTEMD | {"mosis_settings": {"mirror": MIRROR}}, "must say where mirror-credentials comes from"),
        (SYSTEMD | {"mosis_root": "/"}, "/ is not the store's alone"),
        (SYSTEMD | {"mosis_root": "//"}, "must be an absolute path, without .. or //"),
        (SYSTEMD | {"mosis_root": "/srv/../home/mosis"}, "mosis_root: must be an absolute path, without .. or //"),
        (SYSTEMD | {"mosis_root": "/var"}, "/var is not the store's alone"),
        (SYSTEMD | {"mosis_root": "/opt/mosis"}, "/opt/mosis is not the store's alone"),
        (SYSTEMD | {"mosis_root": "/etc/mosis"}, "/etc belongs to the system"),
        (SYSTEMD | {"mosis_root": "/run/mosis"}, "/run belongs to the system"),
        (SYSTEMD | {"mosis_server_names": ()}, "mosis_server_names: tuple should have at least 1 item"),
        (SYSTEMD | {"mosis_server_names": ("*",)}, "mosis_server_names.0: must be a host name, or _ for any"),
        (SYSTEMD | {"mosis_secrets": {"../../etc/passwd": "env:HOME"}}, "mosis_secrets.../../etc/passwd.[key]: string"),
        (SYSTEMD | {"mosis_secrets": {"presign-keys": "env:HOME"}}, "is made by the store itself"),
        (SYSTEMD | {"mosis_secrets": {"x": "file:/dev/null"}}, "The secret in /dev/null is empty"),
        (SYSTEMD | {"mosis_secrets": {"x": f"file:{sys.executable}"}}, "codec can't decode"),
        (SYSTEMD | {"mosis_secrets": {"x": "file:~nobody-here/x"}}, "Could not determine home directory"),
        (SYSTEMD | {"mosis_secrets": {"x": "file:a\0b"}}, "cannot be read: embedded null byte"),
        (SYSTEMD | {"mosis_settings": {"public_url": "store.example.org"}}, "public_url: must be http:// or https://"),
        (SYSTEMD | {"mosis_settings": {"public_url": "https://a b"}}, "public_url: must be http:// or https://"),
        (SYSTEMD | {"mosis_settings": {"public_url": "https://a/\nb"}}, "public_url: must be http:// or https://"),
        (
            SYSTEMD | {"mosis_settings": {"backup": DRIVE | {"mount": "/mnt/usb/../.."}}},
            "backup.mount: must be an absolute path, without .. or //",
        ),
        (
            COMPOSE | {"mosis_settings": {"backup": {"mount": "/mnt/My Drive", "directory": "/mnt/My Drive/m"}}},
            "backup.mount contains ' '; with containers it may hold letters",
        ),
        (SYSTEMD | {"mosis_settings": {"mirror": MIRROR | {"bucket": "../x"}}}, "bucket: string should match pattern"),
        (SYSTEMD | {"mosis_root": "/home/mosis"}, "the hardened units see nothing of /home"),
        (SYSTEMD | {"mosis_root": "/var/tmp/mosis"}, "the hardened units see nothing of /var/tmp"),
        (SYSTEMD | {"mosis_settings": {"backup": DRIVE | {"mount": "/"}}}, "backup.mount: / is the system's own disk"),
        (
            SYSTEMD | {"mosis_settings": {"backup": DRIVE | {"mount": "/mnt/other"}}},
            "backup.directory: /mnt/usb/mosis is not below the mount point /mnt/other",
        ),
        (
            SYSTEMD | {"mosis_root": "/mnt/usb/mosis/store", "mosis_settings": {"backup": DRIVE}},
            "a copy belongs on another disk",
        ),
        (LOCAL | {"mosis_root": "/" + 80 * "a"}, "too long for a Unix socket"),
    ],
)
def test_a_bad_inventory_is_one_sentence(data: dict[str, object], sentence: str, release: Release) -> None:
    with pytest.raises(PlanError) as raised:
        plan(data, release)
    message = str(raised.value)
    assert sentence in message
    assert "\n" not in message and message.endswith(".") and not message.endswith("..")


def test_data_of_others_is_left_alone(release: Release) -> None:
    assert plan(SYSTEMD | {"ssh_user": "operator", "_sudo": True}, release) == plan(SYSTEMD, release)


@pytest.mark.parametrize("data", [LOCAL, SYSTEMD], ids=["local", "systemd"])
def test_modes_are_octal_strings_and_secrets_are_closed(data: dict[str, object], release: Release) -> None:
    wanted = plan(data, release)
    files = [file for service in wanted.services.values() for file in service.files]
    modes = {entry.path: entry.mode for entry in (*wanted.directories, *files, wanted.command)}
    assert all(isinstance(mode, str) and len(mode) == 3 and int(mode, 8) & 0o022 == 0 for mode in modes.values())
    root = str(wanted.settings.root)
    assert {modes[f"{root}/{area}"] for area in ("data", "secrets", "temp", "backups")} == {"700"}
    assert {modes[f"{root}/{area}"] for area in ("packages", "assets")} == {"750"}


@pytest.mark.parametrize("data", [LOCAL, SYSTEMD], ids=["local", "systemd"])
def test_the_settings_file_reads_back(data: dict[str, object], release: Release) -> None:
    wanted = plan(data | {"mosis_settings": {"threads": 8}}, release)
    values = tomllib.loads(contents(wanted)[wanted.config])
    assert values["threads"] == 8
    assert values["root"] == str(wanted.settings.root)


def test_local_listens_where_it_was_told(release: Release) -> None:
    wanted = plan(LOCAL, release)
    assert (wanted.settings.port, wanted.settings.accel, wanted.settings.proxied) == (8080, False, False)
    assert [listener.port for listener in wanted.listeners] == [8080]
    assert wanted.owner == ""


def test_local_takes_nginx_where_there_is_one(release: Release) -> None:
    wanted = plan(LOCAL | {"mosis_nginx": "/usr/sbin/nginx"}, release)
    assert str(wanted.settings.socket) == "/home/dev/mosis/run/portal.sock"
    assert wanted.settings.accel and wanted.settings.proxied
    assert [listener.port for listener in wanted.listeners] == [8080]
    files = contents(wanted)
    site = files["/home/dev/mosis/etc/nginx-main.conf"]
    assert "listen 127.0.0.1:8080 " in site and "server unix:/home/dev/mosis/run/portal.sock" in site
    assert "files = jobs.conf litestream.conf nginx.conf portal.conf" in files["/home/dev/mosis/etc/supervisord.conf"]


def test_local_keeps_the_same_schedules_as_every_host(release: Release) -> None:
    wanted = plan(LOCAL, release)
    assert wanted.jobs == plan(SYSTEMD, release).jobs
    program = contents(wanted)["/home/dev/mosis/etc/jobs.conf"]
    assert all(f"'{job.time} {job.command}'" in program for job in wanted.jobs)
    assert "rotate" not in program  # nginx alone writes a log that grows


@pytest.mark.parametrize("data", [LOCAL, SYSTEMD | {"mosis_prometheus": "install"}, SYSTEMD | {"mosis_follows": "x"}])
def test_no_file_of_another_package_is_replaced(data: dict[str, object], release: Release) -> None:
    """Its owner's changes would be lost, and an upgrade of the package would ask about the difference."""
    assert not [path for path in contents(plan(data, release)) if "mosis" not in path]


def test_systemd_puts_nginx_in_front(release: Release) -> None:
    wanted = plan(SYSTEMD, release)
    assert (wanted.settings.accel, wanted.settings.proxied) == (True, True)
    site = contents(wanted)["/etc/nginx/sites-available/mosis.conf"]
    assert "listen 0.0.0.0:80 " in site and "server unix:/run/mosis/portal.sock " in site
    assert "proxy_request_buffering off;" in site


@pytest.mark.parametrize("data", [LOCAL, SYSTEMD], ids=["local", "systemd"])
@pytest.mark.parametrize(
    ("change", "restarted"),
    [
        ({}, set()),
        ({"mosis_settings": {"threads": 7}}, {"portal"}),
        ({"mosis_root": "/srv/other"}, {"portal", "litestream", "supervisor", "jobs"}),
        ({"mosis_schedules": {"cleanup": "* * * * *"}}, {"jobs"}),
    ],
)
def test_the_stamp_follows_what_the_process_reads(
    data: dict[str, object], change: dict[str, object], restarted: set[str], release: Release
) -> None:
    before, after = plan(data, release).services, plan(data | change, release).services
    assert {name for name in before if before[name].stamp != after[name].stamp} == restarted & before.keys()


@pytest.mark.parametrize("data", [LOCAL, SYSTEMD], ids=["local", "systemd"])
def test_a_new_release_restarts_what_runs_its_code(data: dict[str, object], release: Release) -> None:
    """`mosis replicate` too: it would import what it needs later from a release that is removed."""
    before, after = plan(data, release).services, plan(data, dataclasses.replace(release, id="ffffffffffff")).services
    assert {name for name in before if before[name].stamp != after[name].stamp} >= {"portal", "litestream"}


@pytest.mark.parametrize(
    ("data", "jobs"),
    [
        (
            {},
            {
                "cleanup": "17 * * * *",
                "backup-database": "30 2 * * *",
                "drill": "0 4 * * 0",
                "scrub": "0 5 * * 6",
                "catalogue": "* * * * *",
            },
        ),
        (
            {"mosis_settings": {"backup": DRIVE}},
            {
                "cleanup": "17 * * * *",
                "backup-database": "30 2 * * *",
                "backup-packages": "0 3 * * *",
                "drill": "0 4 * * 0",
                "scrub": "0 5 * * 6",
                "catalogue": "* * * * *",
            },
        ),
        (
            {"mosis_schedules": dict.fromkeys(("backup-database", "drill", "scrub")) | {"cleanup": "* * * * *"}},
            {"cleanup": "* * * * *", "catalogue": "* * * * *"},
        ),
    ],
)
def test_schedules(data: dict[str, object], jobs: dict[str, str], release: Release) -> None:
    wanted = plan(SYSTEMD | data, release)
    assert {job.name: job.time for job in wanted.jobs} == jobs
    lines = [line for line in contents(wanted)["/etc/cron.d/mosis"].splitlines() if " mosis systemd-cat " in line]
    assert [line.split(" mosis ")[0] for line in lines] == list(jobs.values())


def test_a_local_store_without_jobs_has_no_scheduler(release: Release) -> None:
    """It would have nothing to do, and end as often as the supervisor starts it."""
    off = {"mosis_schedules": dict.fromkeys(("cleanup", "backup-database", "drill", "scrub", "catalogue"))}
    assert "jobs" not in plan(LOCAL | off, release).services
    assert "jobs" in plan(LOCAL | off | {"mosis_nginx": "/usr/sbin/nginx"}, release).services  # it rotates the log


def test_the_portal_cannot_read_the_keys_of_the_catalogue(release: Release) -> None:
    wanted = plan(SYSTEMD, release)
    keys = str(wanted.settings.catalogue_key_directory)
    assert {directory.path: directory.mode for directory in wanted.directories}[keys] == "700"
    for unit in ("mosis-portal", "mosis-portal-bridge", "mosis-litestream"):
        lines = contents(wanted)[f"/etc/systemd/system/{unit}.service"].splitlines()
        assert {f"InaccessiblePaths=-{keys}", "PrivateUsers=yes"} <= set(lines)
    replicating = contents(plan(SYSTEMD, release))["/etc/systemd/system/mosis-litestream.service"].splitlines()
    assert f"InaccessiblePaths=-{Path(keys).parent}" in replicating, "it needs no secret"
    wanted = plan(COMPOSE, release)
    keys = str(wanted.settings.catalogue_key_directory)
    assert {directory.path: directory.mode for directory in wanted.directories}[keys] == "700"
    [declared] = [file.content for file in wanted.stack.files if file.path.endswith("/compose.yml")]
    for service in yaml.safe_load(declared)["services"].values():
        assert not [bind for bind in service["volumes"] if Path(keys).is_relative_to(bind.get("target", "/none"))]


@pytest.mark.parametrize(
    ("chosen", "keys", "hidden"),
    [({}, ["mirror-credentials"], True), ({"private_bucket": "drafts"}, ["mirror-credentials"], False),
     ({"private_bucket": "drafts"}, ["mirror-credentials", "mirror-upload-credentials"], True)],
    ids=["no uploads there", "one key for all", "a key for uploads"],
)  # fmt: skip
def test_the_portal_sees_the_key_of_a_bucket_only_to_sign_with_it(
    chosen: dict[str, str], keys: list[str], hidden: bool, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOSIS_TEST_SECRET", "AKIA\nhunter2")
    secrets = dict.fromkeys(keys, "env:MOSIS_TEST_SECRET")
    wanted = plan(SYSTEMD | {"mosis_settings": {"mirror": MIRROR | chosen}, "mosis_secrets": secrets}, release)
    for unit in ("mosis-portal", "mosis-portal-bridge"):
        lines = contents(wanted)[f"/etc/systemd/system/{unit}.service"].splitlines()
        assert ("InaccessiblePaths=-/srv/mosis/secrets/mirror-credentials" in lines) == hidden


def test_a_secret_never_shows(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSIS_TEST_SECRET", "AKIA\nhunter2")
    secrets = {"mirror-credentials": "env:MOSIS_TEST_SECRET"}
    wanted = plan(SYSTEMD | {"mosis_settings": {"mirror": MIRROR}, "mosis_secrets": secrets}, release)
    assert wanted.secrets[0].content == "AKIA\nhunter2\n"
    assert wanted.secrets[0].path == "/srv/mosis/secrets/mirror-credentials" == str(wanted.settings.mirror.credentials)
    assert "hunter2" not in repr(wanted)
    assert not [path for path, content in contents(wanted).items() if "hunter2" in content]


def test_the_bucket_is_only_touched_where_there_is_one(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSIS_TEST_SECRET", "AKIA\nhunter2")
    secrets = {"mirror-credentials": "env:MOSIS_TEST_SECRET"}
    assert plan(SYSTEMD, release).bucket is None
    mirrored = plan(SYSTEMD | {"mosis_settings": {"mirror": MIRROR}, "mosis_secrets": secrets}, release)
    assert mirrored.bucket == mirrored.settings.mirror


@pytest.mark.parametrize("data", [SYSTEMD, {"mosis_runtime": "compose", "mosis_root": "/volume1/mosis"}])
def test_a_host_notes_its_store_outside_the_root(data: dict[str, object], release: Release) -> None:
    """Beside the settings, where `mosis setup` looks for it."""
    wanted = plan(data, release)
    assert wanted.note and Path(wanted.note.path) == Path(wanted.config).with_name("store.json")
    assert not Path(wanted.note.path).is_relative_to(wanted.settings.root)
    assert json.loads(wanted.note.content) == {"root": str(wanted.settings.root)}


def test_local_has_its_settings_inside_the_root_and_notes_nothing(release: Release) -> None:
    assert plan(LOCAL, release).note is None


def test_units_wait_for_the_volume_of_the_root(release: Release) -> None:
    wanted = plan(SYSTEMD, release)
    units = {path: text for path, text in contents(wanted).items() if path.endswith(".service")}
    assert len(units) == 3
    assert all(f"RequiresMountsFor={wanted.settings.root}\n" in text for text in units.values())
