"""The look-alike NAS itself: it lacks what DSM lacks, its stubs take no guesses, its Docker is real.

The tests are steps in the life of one host, in this order.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from shlex import quote

import pytest

from tests.hosts.dsm.nas import OWNER, Nas
from tests.hosts.engine import IMAGE
from tests.hosts.shell import CommandError, run, until

pytestmark = pytest.mark.seconds(250)

SELFTEST = Path(__file__).parent / "dsm/selftest"
STACK = "/volume1/stack"
PROJECT = f"compose --file {STACK}/compose.yml"
SBIN, BIN = "sudo /usr/syno/sbin", "sudo /usr/syno/bin"
LIST = f"{BIN}/synowebapi --exec api=SYNO.Core.TaskScheduler method=list"
CRON_SECONDS = 75
UP = f"until /usr/local/bin/docker info; do sleep 1; done; /usr/local/bin/docker {PROJECT} up --detach"

SCHEDULE = {"date_type": 0, "week_day": "0,1,2,3,4,5,6", "repeat_date": 1001, "hour": 0, "minute": 0}
SCHEDULE |= {"repeat_hour": 0, "repeat_min": 1, "last_work_hour": 23}
QUIET = {"notify_enable": False, "notify_if_error": False, "notify_mail": ""}
ROOT_TASK = {"owner": "root", "real_owner": "root", "enable": True, "type": "script"}


@pytest.fixture(scope="module")
def nas(boot_nas: Callable[[], Nas]) -> Nas:
    return boot_nas()


def call(nas: Nas, api: str, method: str, version: int, **values: object) -> dict:
    """What the web API answers."""
    words = " ".join(quote(f"{key}={json.dumps(value)}") for key, value in values.items())
    done = nas.ssh(f"{BIN}/synowebapi --exec api={api} method={method} version={version} {words} 2>/dev/null")
    return json.loads(done)


def test_it_lacks_what_dsm_lacks(nas: Nas) -> None:
    for command in ("apt-get", "dpkg", "crontab", "useradd", "groupadd", "journalctl", "setfacl", "docker"):
        assert nas.try_ssh(f"command -v {command} || sudo sh -c 'command -v {command}'").returncode, command
    assert nas.try_ssh("echo exit > /tmp/x && chmod +x /tmp/x && /tmp/x").returncode == 126
    assert "7.2.1" in nas.ssh("cat /etc.defaults/VERSION")
    options = ("-F", "/dev/null", "-i", nas.key, "-o", f"UserKnownHostsFile={nas.known_hosts}", "-b", "/dev/null")
    with pytest.raises(CommandError, match=r"subsystem request failed|Connection closed"):
        run("sftp", *options, f"admin@{nas.address}")


@pytest.mark.parametrize(
    "wrong",
    [
        "sudo systemctl enable --now crond",
        "systemctl show --property=Id --value crond",
        f"{SBIN}/synouser --add mosis",
        f"{SBIN}/synouser --exists mosis",
        f"{SBIN}/synogroup --list",
        f"{SBIN}/synoshare --add x '' /volume2/x '' '' '' 1 0",
        f"{SBIN}/synoshare --setuser x WR + {OWNER}",
        f"{BIN}/synoacltool -perm /volume1 {OWNER}",
        f"{BIN}/synosystemctl is-active crond",
        f"{BIN}/synowebapi --exec api=SYNO.Core.TaskScheduler.Root method=create version=4 enable=True",
        f"{LIST} version=4 | grep '\"success\": true'",
        f"{LIST} version=3 all=1 | grep '\"success\": true'",
        f"sudo chmod 700 {STACK}",
        f"sudo install -d {STACK}",
        f"sudo mkdir -m 700 {STACK}",
    ],
)
def test_a_guess_does_not_pass(nas: Nas, wrong: str) -> None:
    nas.forget_refused()
    assert nas.try_ssh(wrong).returncode
    assert nas.refused().count("\n") == 1
    nas.forget_refused()


def test_only_who_is_granted_a_share_gets_in(nas: Nas) -> None:
    nas.ssh(f"{SBIN}/synouser --add store secret 'The store' 0 '' 0")
    nas.ssh(f"{SBIN}/synouser --add other secret 'Another' 0 '' 0")
    nas.ssh(f"{SBIN}/synoshare --add stack '' {STACK} '' '' '' 1 0")
    nas.ssh(f"{SBIN}/synoshare --setuser stack RW + store")
    nas.ssh(f"sudo mkdir {STACK}/below")
    for user, letters in (("store", "rwxpdDaARWc--"), ("other", "-------------")):
        told = nas.ssh(f"{BIN}/synoacltool -get-perm {STACK}/below {user}")
        assert f"Final permission: [{letters}]" in told
    nas.ssh(f"sudo -u store touch {STACK}/below/file")
    assert nas.try_ssh(f"sudo -u other ls {STACK}/below").returncode
    assert nas.ssh(f"stat -c %a {STACK}") == "70\n"


def test_cron_gets_tasks_lines_with_tabs_and_lines_with_spaces(nas: Nas) -> None:
    assert task(nas, "harness", "touch /root/task") == {"data": {"id": 1}, "success": True}
    until("the task's line", lambda: "--run id=1" in nas.ssh("cat /etc/crontab"))
    lines = r"*\t*\t*\t*\t*\troot\ttouch /root/tabs\n* * * * * root touch /root/spaces\n"
    nas.ssh(f"printf '{lines}' | sudo tee -a /etc/crontab")
    nas.ssh(f"{BIN}/synosystemctl restart crond")


def task(nas: Nas, name: str, script: str) -> dict:
    """What the Task Scheduler answers to a new task of every minute."""
    values = {"name": name, "schedule": SCHEDULE, "extra": {"script": script, **QUIET}, **ROOT_TASK}
    return call(nas, "SYNO.Core.TaskScheduler.Root", "create", 4, **values)


def test_a_stack_is_built_and_becomes_healthy(nas: Nas) -> None:
    for file in SELFTEST.iterdir():
        shutil.copy(file, nas.root / STACK.lstrip("/") / file.name)
    nas.docker(f"{PROJECT} up --detach --build --quiet-pull")
    assert running(nas) == {"web", "reader", "front"}
    assert "Directory listing" in until("the published port", lambda: nas.fetch("http://127.0.0.1:8088/"))
    assert IMAGE in nas.docker("images --format '{{.Repository}}:{{.Tag}}'")


@pytest.mark.parametrize("unfit", ["cpus: 0.5", "volumes: ['/volume1/missing:/srv']"])
def test_a_stack_that_a_nas_cannot_run_is_refused(nas: Nas, unfit: str) -> None:
    compose = f"services: {{one: {{image: 'harness:1', {unfit}}}}}"
    nas.ssh("sudo tee /root/compose.yml", stdin=compose)
    done = nas.try_ssh("sudo /usr/local/bin/docker compose --file /root/compose.yml up --detach")
    assert done.returncode and "service one" in done.stderr
    assert nas.refused()
    nas.forget_refused()


def running(nas: Nas) -> set[str]:
    return set(nas.docker(f"{PROJECT} ps --services --status running").split())


def test_tasks_and_lines_with_tabs_fire(nas: Nas) -> None:
    def fired(name: str) -> bool:
        return nas.try_ssh(f"sudo test -e /root/{name}").returncode == 0

    until("the task", lambda: fired("task"), seconds=CRON_SECONDS)
    until("the line with TABs", lambda: fired("tabs"))
    assert not fired("spaces")


def test_another_task_pushes_foreign_lines_out(nas: Nas) -> None:
    assert task(nas, "another", "true")["success"]
    until("the loss of foreign lines", lambda: "/root/tabs" not in nas.ssh("cat /etc/crontab"))
    listed = call(nas, "SYNO.Core.TaskScheduler", "list", 3)["data"]["tasks"]
    assert [(entry["id"], entry["name"]) for entry in listed] == [(1, "harness"), (2, "another")]


def test_after_a_boot_stacks_stay_stopped_but_for_a_boot_task(nas: Nas) -> None:
    nas.ssh("echo 'intruder:x:1:1::/:/bin/sh' | sudo tee -a /etc/passwd")
    nas.reboot()
    nas.wait_engine()
    assert running(nas) == set()
    assert "intruder" not in nas.ssh("cat /etc/passwd")
    event = {"task_name": "up", "owner": {"0": "root"}, "event": "bootup", "enable": True, "depend_on_task": ""}
    assert call(nas, "SYNO.Core.EventScheduler", "create", 1, operation_type="script", operation=UP, **event, **QUIET)
    nas.reboot()
    until("the stack", lambda: running(nas) == {"web", "reader", "front"})


def test_an_update_takes_what_is_not_its_own(nas: Nas) -> None:
    lost = "/opt/x /etc/systemd/system/own.service /etc/ssh/sshd_config.d/own.conf"
    nas.ssh(f"sudo mkdir -p /opt/x /etc/ssh/sshd_config.d && sudo touch {lost}")
    nas.update()
    assert nas.try_ssh(f"ls -d {lost} 2>/dev/null").stdout == ""
    assert 'smallfixnumber="1"' in nas.ssh("cat /etc/VERSION")
    nas.wait_engine()
    assert running(nas) == set()
    assert nas.refused() == ""
