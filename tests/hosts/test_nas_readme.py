"""The walk-through of docs/install-synology.md, word for word, and what an operator meets later on that NAS.

The tests are steps in the life of one host, in this order.
"""

import hashlib
import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote

import pytest

from tests.hosts.dsm.nas import LOOK_ALIKE, OWNER, PASSWORD, USB, Nas
from tests.hosts.engine import IMAGE
from tests.hosts.forward import forwarded
from tests.hosts.laptop import Laptop
from tests.hosts.machine import Volume
from tests.hosts.shell import Say, run, until
from tests.support.pages import block, section

pytestmark = pytest.mark.seconds(450)

PORT, FRONT = 8080, 8000  # of the store on the NAS; of the reverse proxy in front of it
PAGE = "docs/install-synology.md"
TOTAL = re.compile(r"Grand total +(\d+) +(\S+) +(\S+) +(\S+)")
HYPER_BACKUP = "7"
DEPLOY = ".venv/bin/pyinfra -y inventory/my-nas.py deploy.py"
JOBS, API = "/volume1/@mosis/bin/job-", "sudo /usr/syno/bin/synowebapi --exec api=SYNO.Core"
MARKED = "sudo mkdir {0} && sudo touch {0}/.mosis-backup && sudo chown -R mosis {0}"


@pytest.fixture(scope="module")
def nas(boot_nas: Callable[[], Nas]) -> Iterator[Nas]:
    nas = boot_nas()
    with forwarded((nas.address, FRONT), ("127.0.0.1", PORT), nas.name):
        yield nas


@pytest.fixture(scope="module")
def drive(nas: Nas) -> Volume:
    drive = nas.volume("usb", megabytes=1024)
    nas.attach(drive, USB)
    return drive


@pytest.fixture(scope="module")
def laptop(nas: Nas, drive: Volume, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    laptop = Laptop(tmp_path_factory.mktemp("operator"), nas, "nas.lan", {"assword: ": PASSWORD})
    offline = {"mosis_wheelhouse": str(wheels), "mosis_base_image": IMAGE}
    declare(laptop, **offline, mosis_hyper_backup=int(HYPER_BACKUP))
    return laptop


def declare(laptop: Laptop, **data: object) -> None:
    """What differs from the example inventory stands beside it."""
    with (laptop.checkout / "inventory/group_data/my-nas.py").open("a") as file:
        file.writelines(f"{name} = {value!r}\n" for name, value in data.items())


def typed(marker: str, nas: Nas) -> str:
    """The shell block of the page after the comment `marker`, with the names of `nas` and its owner."""
    script = block(PAGE, marker)
    own = {
        "NAS=nas.example.org": "NAS=nas.lan",
        "ACCOUNT=admin": f"ACCOUNT={OWNER}",
        "STORE=https://store.example.org": f"STORE=http://{nas.address}:{FRONT}",
    }
    for example, mine in own.items():
        assert marker != "nas" or f"{example}\n" in script
        script = script.replace(f"{example}\n", f"{mine}\n")
    return script


def test_the_walkthrough_runs_as_written(laptop: Laptop, nas: Nas, say: Say) -> None:
    used = "curl " + block("docs/publishing-http.md", "http").partition("curl ")[2]
    done = laptop.types(typed("nas", nas) + used)
    assert done.returncode == 0, done.output[-6000:]
    operations, changed, _, unchanged = TOTAL.findall(done.output)[-1]
    say(f"the walk-through: its second deploy had {operations} operations, {unchanged} without a change")
    assert changed == "-" and unchanged == operations
    assert nas.ssh("sudo cat /volume1/mosis/secrets/admin-token").strip() not in done.output
    assert nas.refused() == ""


def status(nas: Nas, *, check: bool = True) -> tuple[str, ...]:
    """What `mosis status`, typed on the NAS, finds fault with. Raises AssertionError if its exit code differs."""
    done = nas.try_ssh("sudo /usr/local/bin/mosis status --json")
    faults = [f"{line['name']}: {line['text']}" for line in json.loads(done.stdout)["lines"] if not line["ok"]]
    assert bool(faults) == bool(done.returncode)
    assert not check or not faults, faults
    return tuple(faults)


def downloaded(nas: Nas) -> str:
    """SHA-256 of what a device gets of the app that the walk-through published. Raises OSError unless it gets it."""
    store = f"http://{nas.address}:{FRONT}/api/store/apps"
    (app,) = json.loads(run("curl", "-sSf", store))["apps"]
    with urllib.request.urlopen(f"{store}/{app['app_id']}/download", timeout=60) as answer:
        return hashlib.file_digest(answer, "sha256").hexdigest()


def click(nas: Nas, button: str, name: str) -> None:
    """As in Task Scheduler's window: `run` or `delete` a task."""
    listed = nas.ssh(f"{API}.TaskScheduler method=list version=3 2>/dev/null")
    (number,) = [task["id"] for task in json.loads(listed)["data"]["tasks"] if task["name"] == name]
    task = json.dumps([{"id": number, "real_owner": "root"}])
    nas.ssh(f"{API}.TaskScheduler method={button} version=2 tasks={quote(task)}")


def test_the_share_gets_a_snapshot(nas: Nas, say: Say) -> None:
    def snapshots() -> list[dict]:
        listed = nas.ssh(f"{API}.Share.Snapshot method=list version=2 name=mosis 2>/dev/null")
        return json.loads(listed)["data"]["snapshots"]

    assert snapshots() == []
    click(nas, "run", "mosis-share-snapshot")
    (taken,) = until("the snapshot", snapshots)
    packages = f"/volume1/@sharesnap/mosis/{taken['time']}/packages"
    sums = nas.ssh(f"sudo find {packages} -type f -name package.mosis -exec sha256sum {{}} +")
    assert downloaded(nas) in sums
    say("a snapshot of the share has the package")


def test_hyper_backup_is_started_and_missed_loudly(nas: Nas, say: Say) -> None:
    state = nas.root / "var/lib/syno-stub/hyperbackup.json"
    assert nas.try_ssh(f"sudo {JOBS}hyper-backup").returncode
    state.write_text(json.dumps({HYPER_BACKUP: 0}))
    click(nas, "run", "mosis-hyper-backup")
    until("the backup", lambda: json.loads(state.read_text()) == {HYPER_BACKUP: 1})
    say("Hyper Backup's task was started; without it the job fails")


def test_only_the_declared_drive_is_written_to(laptop: Laptop, nas: Nas, drive: Volume, say: Say) -> None:
    declare(laptop, mosis_drive_uuid=run("blkid", "-s", "UUID", "-o", "value", drive.image).strip())
    assert laptop.types(DEPLOY).returncode == 0
    nas.ssh(f"sudo {JOBS}backup-packages")
    status(nas)
    nas.detach(USB)
    nas.attach(nas.volume("other", megabytes=64), USB)
    nas.ssh(MARKED.format(f"{USB}/mosis"))
    done = nas.try_ssh(f"sudo {JOBS}backup-packages")
    assert done.returncode and "is not the drive" in done.stdout
    assert nas.ssh(f"sudo find {USB}/mosis -type f") == f"{USB}/mosis/.mosis-backup\n"
    named = status(nas, check=False)
    say(f"another drive: {'; '.join(named)}")
    assert [fault for fault in named if fault.startswith("drive:") and "declared is" in fault]
    nas.detach(USB)
    nas.attach(drive, USB)
    nas.ssh(f"sudo {JOBS}backup-packages")
    status(nas)


def test_a_lost_database_and_lost_packages_come_back(nas: Nas, say: Say) -> None:
    before = downloaded(nas)
    stop, restore, start = recovery("database or packages")
    nas.ssh(stop)
    nas.ssh("sudo sh -c 'rm -rf /volume1/mosis/data/portal.db* /volume1/mosis/packages/* /volume1/mosis/assets/*'")
    assert status(nas, check=False)
    nas.ssh(restore)
    nas.ssh(start)
    until("the store", lambda: downloaded(nas) == before)
    until("a status without a fault", lambda: status(nas) == ())
    say("database, packages and assets are back")
    nas.ssh(f"sudo {JOBS}drill")
    say("a drill restores from the replica, the snapshots and the drive")


def recovery(lost: str) -> list[str]:
    """The commands of the page's table for a NAS."""
    table = section("docs/recovery.md", "Recovery by what was lost")
    heading, _, *rows = [row.split("|")[1:-1] for row in table.splitlines() if row.startswith("|")]
    (row,) = [row for row in rows if row[0].strip() == lost]
    (column,) = [number for number, title in enumerate(heading) if "NAS" in title]
    return [command.strip(" `") for command in row[column].split("<br>")]


def test_what_is_lost_is_named_and_mended(laptop: Laptop, nas: Nas, say: Say) -> None:
    acl, job = "acl: mosis may not read and write /volume1/mosis", "/volume1/@mosis/bin/job-cleanup"
    losses = {
        "sudo /usr/syno/sbin/synoshare --setuser mosis RW - mosis": {
            "share: mosis at /volume1/mosis, written by nobody",
            acl,
            "schedule: task mosis-backup-database at 30 2 * * *: missing",
        },
        f"sudo {LOOK_ALIKE}/real/chmod 700 /volume1/mosis; sudo rm {job}": {acl, f"file: {job} is missing"},
    }
    click(nas, "delete", "mosis-backup-database")
    for loss, named in losses.items():
        nas.ssh(loss)
        found = status(nas, check=False)
        say(f"after `{loss}`: {'; '.join(found)}")
        assert named <= set(found) and not [fault for fault in found if fault.startswith("status:")]
        assert laptop.types(DEPLOY).returncode == 0
        assert status(nas) == ()


def test_after_an_update_status_tells_on_the_nas_what_is_gone(laptop: Laptop, nas: Nas, say: Say) -> None:
    nas.update()
    nas.wait_engine()
    gone = status(nas, check=False)
    say(f"mosis status names: {'; '.join(gone)}")
    stopped = {f"container: {service} stopped" for service in ("portal", "nginx", "litestream")}
    assert stopped <= set(gone)
    done = laptop.types(typed("nas after an update", nas))
    assert done.returncode == 0, done.output[-6000:]
    told = [line.partition("FAULT ")[2].split(maxsplit=1) for line in done.output.splitlines() if "  FAULT " in line]
    assert stopped <= {f"{name}: {text}" for name, text in told}
    assert status(nas) == ()
    assert nas.refused() == ""
