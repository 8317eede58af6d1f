"""The script that `mosis status` runs on a host: what it says of a host that is as declared, and of one that is not."""

import ast
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploys.checks.declared import checks, declared
from deploys.plan import plan
from deploys.plan.release import Release
from deploys.remote import check

DRIVE = {"backup": {"mount": "/proc", "directory": "/proc/self"}}
HOSTS = {
    "nas": {"mosis_runtime": "compose", "mosis_share": "mosis", "mosis_root": "/volume1/mosis"},
    "docker": {"mosis_runtime": "compose"},
    "debian": {
        "mosis_runtime": "systemd",
        "mosis_prometheus": "install",
        "mosis_tls": {"certificate": "/etc/ssl/a.pem", "key": "/etc/ssl/a.key"},
    },
}
PORTAL = json.dumps({"lines": [{"name": "portal", "ok": True, "text": "ready"}]})


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of programs that come first."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def says(path: Path, text: str) -> None:
    program(path, f"cat <<'END'\n{text}\nEND")


def faults(found: list[dict]) -> list[str]:
    return [line["text"] for line in found if not line["ok"]]


def test_it_is_the_python_of_a_nas() -> None:
    tree = ast.parse(Path(check.__file__).read_text(), feature_version=(3, 8))
    names = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert set(names) <= sys.stdlib_module_names


@pytest.mark.parametrize("host", HOSTS)
def test_everything_that_is_declared_is_checked(host: str, release: Release) -> None:
    wanted = plan(HOSTS[host] | {"mosis_settings": DRIVE}, release)
    known = {one.__name__ for one in check.CHECKS}
    assert declared(wanted).keys() <= known
    script, *beside, told = checks(wanted)
    assert json.loads(told.content) == declared(wanted)
    assert f"{script.path} {told.path}" in wanted.command.content
    assert [file.path for file in beside] == [one["script"] for one in (declared(wanted).get("certificate"),) if one]
    left_out = {"nas": {"units", "crontab", "certificate"}}
    left_out["docker"] = left_out["nas"] | {"share", "tasks"}
    missing = left_out.get(host, {"images", "containers", "crontab", "share", "tasks"})
    assert known - declared(wanted).keys() == missing


def test_a_schedule_that_only_a_crontab_can_say_is_looked_for_there(release: Release) -> None:
    wanted = plan(HOSTS["nas"] | {"mosis_schedules": {"cleanup": "0 3,15 * * *"}}, release)
    found = declared(wanted)
    assert found["crontab"]["jobs"] == ["cleanup"]
    names = [task["name"] for task in found["tasks"]]
    assert names == ["mosis-backup-database", "mosis-drill", "mosis-scrub", "mosis-catalogue", "mosis-boot"]


def test_files_that_are_gone_or_changed_are_named(tmp_path: Path) -> None:
    good, other = tmp_path / "good", tmp_path / "other"
    good.write_text("as declared")
    digest = hashlib.sha256(b"as declared").hexdigest()
    assert faults(check.files({str(good): digest})) == []
    other.write_text("edited")
    wanted = {str(good): digest, str(other): digest, f"{tmp_path}/gone": digest}
    assert faults(check.files(wanted)) == [f"{other} is not as declared", f"{tmp_path}/gone is missing"]
    os.utime(good, (time.time() + 86400, time.time() + 86400))
    (fault,) = faults(check.files({str(good): digest}))
    assert f"{good} is from the future" in fault


@pytest.mark.parametrize(
    ("state", "stamp", "word"),
    [
        ({"Status": "running"}, "one", "runs"),
        ({"Status": "running", "Health": {"Status": "unhealthy"}}, "one", "does not answer"),
        ({"Status": "exited"}, "one", "stopped"),
        ({"Status": "running"}, "another", "not as declared"),
    ],
)
def test_a_container_is_what_it_was_started_as(
    state: dict[str, object], stamp: str, word: str, programs: Path, tmp_path: Path
) -> None:
    labels = {"com.docker.compose.service": "portal", check.STAMP: stamp}
    started = {"StartedAt": "2099-01-01T00:00:00.123456789Z"}
    says(programs / "docker", json.dumps([{"State": state | started, "Config": {"Labels": labels}}]))
    wanted = {"portal": {"stamp": "one", "reads": [str(tmp_path)], "loaded": None}}
    (found,) = check.containers(wanted)
    assert (found["text"], found["ok"]) == (f"portal {word}", word == "runs")
    wanted["portal"]["reads"].append(f"{tmp_path}/gone")
    assert faults(check.containers(wanted))


def test_without_an_engine_there_is_one_line(programs: Path) -> None:
    program(programs / "docker", "exit 1")
    (line,) = check.containers({"portal": {}, "nginx": {}})
    assert "Docker does not answer" in line["text"]


@pytest.mark.parametrize(
    ("permission", "may"),
    [
        ("Final permission: [rwxpdDaARWc--]", True),
        ("Final permission: [r-x---a-R-c--]", False),
        ("Final permission: [-------------]", False),
    ],
)
def test_an_acl_is_read_from_what_dsm_prints(permission: str, may: bool) -> None:
    assert check.writes(["User/Group: [mosis]", permission]) is may
    assert not check.writes([])


WEB_API = """case $* in
*list*) echo '{"data": {"tasks": [{"id": 3, "name": "mosis-a"}, {"id": 4, "name": "mosis-b"}]}, "success": true}' ;;
*TaskScheduler*id=3*) echo '{"data": {"enable": true, "id": 3}, "success": true}' ;;
*TaskScheduler*id=4*) echo '{"data": {"enable": false, "id": 4}, "success": true}' ;;
*EventScheduler*) echo '{"data": {"event": "bootup"}, "success": true}' ;;
esac"""


def test_tasks_are_there_and_as_declared(programs: Path) -> None:
    program(programs / "synowebapi", WEB_API)
    wanted = [{"name": f"mosis-{name}", "when": "5 * * * *", "fields": {"enable": True}} for name in "abc"]
    boot = {"name": "mosis-boot", "when": "every boot", "fields": {"event": "bootup"}}
    assert faults(check.tasks([*wanted, boot])) == [
        "task mosis-b at 5 * * * *: not as declared",
        "task mosis-c at 5 * * * *: missing",
    ]


@pytest.mark.parametrize(
    ("dump", "permission", "named"),
    [
        ("Path .[/volume1/mosis]\nRW list .[mosis]", "[rwxpdDaARWc--]", []),
        ("Path .[/volume1/mosis]\nRW list .[other]", "[rwxpdDaARWc--]", ["mosis at /volume1/mosis, written by other"]),
        ("Path .[/volume2/mosis]\nRW list .[mosis]", "[rwxpdDaARWc--]", ["mosis at /volume2/mosis, written by mosis"]),
        (
            "Path .[/volume1/mosis]\nRW list .[mosis]",
            "[-------------]",
            ["mosis may not read and write /volume1/mosis"],
        ),
        ("", "", ["mosis is missing", "mosis may not read and write /volume1/mosis"]),
    ],
)
def test_a_share_belongs_to_the_store(dump: str, permission: str, named: list[str], programs: Path) -> None:
    says(programs / "synouser", "")
    says(programs / "synoshare", dump)
    says(programs / "synoacltool", f"Final permission: {permission}")
    assert faults(check.share({"name": "mosis", "path": "/volume1/mosis", "user": "mosis"})) == named


def test_a_drive_is_mounted_marked_and_the_one(tmp_path: Path, programs: Path) -> None:
    wanted = {"mount": "/proc", "directory": str(tmp_path), "uuid": "AB-12"}
    assert faults(check.drive(wanted | {"mount": str(tmp_path)})) == [f"{tmp_path} is not mounted: attach the drive"]
    assert "has no .mosis-backup" in faults(check.drive(wanted))[0]
    (tmp_path / check.MARKER).touch()
    says(programs / "blkid", "CD-34")
    assert faults(check.drive(wanted)) == [f"{tmp_path} on drive CD-34, declared is AB-12"]
    assert faults(check.drive(wanted | {"uuid": None})) == []
    says(programs / "blkid", "AB-12")
    assert faults(check.drive(wanted)) == []


def run(declaration: dict, portal: str, *options: str, place: Path) -> subprocess.CompletedProcess[str]:
    told = place / "declared.json"
    told.write_text(json.dumps(declaration))
    words = [sys.executable, check.__file__, str(told), *options]
    return subprocess.run(words, input=portal, capture_output=True, text=True, check=False)


def test_the_lines_of_host_and_portal_are_one_answer(tmp_path: Path) -> None:
    fine = {"root": {"free_kib": 0}}
    assert run(fine, PORTAL, place=tmp_path).returncode == 0
    told = json.loads(run(fine, PORTAL, "--json", place=tmp_path).stdout)
    assert told["ok"] and [line["name"] for line in told["lines"]] == ["root", "portal"]
    done = run({"root": {"free_kib": 1 << 60}}, PORTAL, place=tmp_path)
    assert done.returncode == 1 and done.stdout.startswith("FAULT root ") and "\nok    portal " in done.stdout


@pytest.mark.parametrize("silence", ["", "docker: command not found", "{}"])
def test_a_portal_that_tells_nothing_is_a_fault(silence: str, tmp_path: Path) -> None:
    done = run({}, silence, place=tmp_path)
    assert done.returncode == 1 and "`mosis status` printed no JSON" in done.stdout


def test_a_check_that_breaks_takes_no_other_with_it(tmp_path: Path) -> None:
    done = run({"release": {}, "root": {"free_kib": 0}}, PORTAL, place=tmp_path)
    assert "FAULT release          cannot be checked: KeyError('home')" in done.stdout and "ok    root" in done.stdout
