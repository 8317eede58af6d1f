"""A store and its standby in one inventory: deployed in one run, followed, lost, and promoted by a deploy.

The tests are steps in the life of two hosts, in this order.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

import pytest

from tests.hosts.machine import Machine
from tests.hosts.network import link
from tests.hosts.pyinfra_run import REPOSITORY, Result, deploy, write_inventory
from tests.hosts.shell import Say, until
from tests.hosts.store import DEVELOPER, Store, Upload

pytestmark = pytest.mark.seconds(250)

ROOT = "/srv/mosis"
STORE, STANDBY = "store.example.org", "standby.example.org"
FOLLOWS = {"mosis_follows": STORE}
PULL_SECONDS = 130  # two turns of a schedule of every minute, and the work itself
BEHIND = "mosis_standby_last_success_timestamp_seconds"
KEY = f"{ROOT}/secrets/standby-key"


@dataclass
class Pair:
    """Two hosts of one inventory, and everything that runs printed."""

    store: Machine
    standby: Machine
    directory: Path
    wheels: Path
    say: Say
    printed: list[str] = field(default_factory=list)

    def deploy(self, own: dict[str, dict[str, str]], *, lost: bool = False, check: bool = True) -> Result:
        """A run over both hosts, or without the lost store; `own` is what the data of a host has besides."""
        began = time.monotonic()
        data = {"mosis_runtime": "systemd", "mosis_wheelhouse": str(self.wheels)}
        hosts = {STANDBY: self.standby} if lost else {STORE: self.store, STANDBY: self.standby}
        group_data = REPOSITORY / "inventory/group_data"
        inventory = write_inventory(self.directory / "pair.py", hosts, data, group_data, own)
        result = deploy(inventory, check=check)
        self.printed.append(result.output)
        self.say(f"deploy of {len(hosts)}: {result}, {time.monotonic() - began:.0f} s")
        return result


@pytest.fixture(scope="module")
def pair(boot: Callable[[], Machine], wheels: Path, tmp_path_factory: pytest.TempPathFactory, say: Say) -> Pair:
    store, standby = boot(), boot()
    link((store.name, store.address), (standby.name, standby.address))
    return Pair(store, standby, tmp_path_factory.mktemp("inventory"), wheels, say)


@pytest.fixture(scope="module")
def deployed(pair: Pair) -> Result:
    return pair.deploy({STANDBY: FOLLOWS})


@pytest.fixture(scope="module")
def store(pair: Pair, deployed: Result, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(pair.store, ROOT, admin=pair.store.ssh(f"sudo cat {ROOT}/secrets/admin-token").strip())
    store.wait_ready()
    store.join(tmp_path_factory.mktemp("developer") / "key.pem")
    return store


@pytest.fixture(scope="module")
def copy(pair: Pair, deployed: Result) -> Store:
    """What is on the standby, asked in the same words as the store."""
    return Store(pair.standby, ROOT, admin="")


@pytest.fixture(scope="module")
def published(store: Store, copy: Store, tmp_path_factory: pytest.TempPathFactory, say: Say) -> dict[int, Upload]:
    """A version that is published, and has come to the standby since."""
    upload = store.upload(tmp_path_factory.mktemp("packages"), 1, 17)
    store.publish(1)
    began = time.monotonic()
    rows, arrived = "SELECT status, sha256 FROM versions", [["published", upload.sha256]]
    database = f"{ROOT}/data/portal.db"
    until("the row", lambda: copy.exists(database) and copy.sql(database, rows) == arrived, seconds=PULL_SECONDS)
    say(f"published {len(upload.content) / 1e6:.1f} MB: on the standby after {time.monotonic() - began:.0f} s")
    return {1: upload}


def told(machine: Machine) -> dict[str, dict[str, object]]:
    """The lines of `mosis status`, by name."""
    lines = json.loads(machine.try_ssh("sudo mosis status --json").stdout)["lines"]
    return {line["name"]: line for line in lines}


def test_one_run_sets_up_both(pair: Pair, deployed: Result) -> None:
    assert deployed.hosts == {STORE, STANDBY}
    again = pair.deploy({STANDBY: FOLLOWS})
    assert again.changed == () and again.hosts == {STORE, STANDBY}
    units = "mosis-portal mosis-litestream nginx cron"
    assert pair.store.ssh(f"systemctl is-active {units}").split() == ["active"] * 4
    assert pair.standby.try_ssh(f"systemctl is-active {units}").stdout.split() == [
        "inactive",
        "inactive",
        "active",
        "active",
    ]


def test_the_standby_has_what_is_published(published: dict[int, Upload], copy: Store) -> None:
    for code, upload in published.items():
        assert copy.machine.ssh(f"sudo sha256sum {copy.files(code)}/package.mosis").split()[0] == upload.sha256


def test_the_standby_serves_nobody_and_is_watched(pair: Pair, published: dict[int, Upload], copy: Store) -> None:
    copy.get(f"/downloads/{DEVELOPER}/{copy.app_id}/1/package.mosis", status=503)
    copy.get("/readyz", status=503)
    copy.get("/metrics", status=403)
    age = time.time() - copy.metric(BEHIND)
    assert age < PULL_SECONDS
    lines = told(pair.standby)
    assert [line for line in lines.values() if not line["ok"]] == []
    assert lines["standby"]["text"].startswith(f"follows {STORE}, last success ")
    assert not {"portal", "replica", "backup-database", "cleanup"} & lines.keys()
    pair.say(f"standby: {lines['standby']['text']}")


@pytest.mark.parametrize(
    "command", ["id", "cat /srv/mosis/secrets/admin-token", "rsync --server -r . packages/", "sftp-server", ""]
)
def test_the_key_only_reads(pair: Pair, deployed: Result, command: str) -> None:
    ssh = f"ssh -F /etc/mosis/standby/ssh_config {STORE} {quote(command)}"
    done = pair.standby.try_ssh(f"sudo -u mosis {ssh} </dev/null")
    assert done.returncode not in (0, 255), done.stdout + done.stderr
    assert done.stdout == ""


def test_the_key_does_not_forward(pair: Pair, deployed: Result) -> None:
    ssh = f"ssh -F /etc/mosis/standby/ssh_config -W 127.0.0.1:80 {STORE}"
    done = pair.standby.try_ssh(f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | sudo -u mosis {ssh}")
    assert done.returncode and "HTTP" not in done.stdout


def test_a_store_that_is_lost_is_replaced(pair: Pair, store: Store, published: dict[int, Upload], copy: Store) -> None:
    pair.store.kill()
    assert pair.deploy({}, lost=True).changed
    copy.wait_ready()
    copy.serves(published)
    assert pair.deploy({}, lost=True).changed == ()
    units = "mosis-portal mosis-litestream nginx cron"
    assert pair.standby.ssh(f"systemctl is-active {units}").split() == ["active"] * 4
    assert "rows verify" in pair.standby.ssh("sudo mosis audit verify")
    assert '"store.promote"' in pair.standby.ssh("sudo mosis audit list --json")
    replica = until("a replica of its own", lambda: pair.standby.ssh(f"sudo find {ROOT}/backups/portal -name '*.ltx'"))
    assert replica
    copy.post("/api/developers", token=store.admin, json={"developer_id": "later", "name": "Later"})
    # The store key of the catalogue was the lost host's alone.
    assert "mosis catalogue renew --new-store-key" in pair.standby.try_ssh("sudo mosis catalogue").stderr
    assert [name for name, line in told(pair.standby).items() if not line["ok"]] == ["catalogue"]


def test_it_does_not_follow_again_by_accident(pair: Pair, published: dict[int, Upload], copy: Store) -> None:
    pair.store.start()
    refused = pair.deploy({STANDBY: FOLLOWS}, check=False)
    assert f"{ROOT}/data/portal.db and {ROOT}/backups/portal are this host's own; move them away" in refused.output
    copy.serves(published)


def test_no_key_or_token_was_printed(pair: Pair, store: Store) -> None:
    private = [line for line in pair.standby.ssh(f"sudo cat {KEY}").splitlines() if "-----" not in line]
    secrets = [store.admin, store.developer, pair.standby.ssh(f"sudo cat {ROOT}/secrets/admin-token").strip(), *private]
    texts = [*pair.printed]
    for machine in (pair.store, pair.standby):
        texts.append(machine.ssh("sudo journalctl --no-pager --output=cat"))
        texts.append(machine.ssh("sudo cat /proc/[0-9]*/cmdline | tr '\\0' ' '"))
    assert all(secret not in text for secret in secrets for text in texts)
    assert pair.standby.ssh(f"sudo stat -c '%a %U' {KEY}") == "600 mosis\n"
