"""The inventories that are shipped, as they are: each passes a dry run of fresh hosts, and that changes nothing there.

The names in them are found as those of an operator's machine are, by its ~/.ssh/config.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hosts.dsm.nas import VOLUME, Nas
from tests.hosts.machine import Machine
from tests.hosts.pyinfra_run import REPOSITORY
from tests.hosts.rootfs import OPERATOR
from tests.hosts.shell import Say
from tests.hosts.untouched import untouched

pytestmark = pytest.mark.seconds(250)

NAS, STORE, STANDBY = "nas.example.org", "store.example.org", "standby.example.org"
EXAMPLES = {  # without local.py, which `make deploy` runs
    "nas": {NAS: "Containers run as declared"},
    "nas_r2": {NAS: "Bucket has the declared lifecycle rules"},
    "debian": {STORE: "Prometheus runs as declared"},
    "pair": {
        NAS: "Shared folder",
        STORE: "Standbys that may copy the store",
        STANDBY: "Key of the standby",
    },
}
SECRETS = {"r2": "AKIA-OF-R2\nsecret-of-r2", "cloudflare-token": "token-of-cloudflare"}
CHANGE = re.compile(r"^ +[\w ]+ \| (?P<operation>.+?)  +\d+ \((?P<hosts>[^)]+)\)", re.MULTILINE)


@pytest.fixture(scope="module")
def hosts(boot: Callable[[], Machine], boot_nas: Callable[[], Nas]) -> Mapping[str, Machine]:
    """Fresh hosts with the accounts that the examples log in as."""
    nas, store, standby = boot_nas(), boot(), boot()
    nas.ssh(f"sudo mkdir {VOLUME}/homes/{OPERATOR} && sudo chown {OPERATOR} {VOLUME}/homes/{OPERATOR}")
    for machine in (store, standby):
        machine.ssh(
            "sudo useradd --create-home --gid operator --shell /bin/sh operator && "
            "sudo cp -R ~/.ssh /home/operator/ && sudo chown -R operator /home/operator/.ssh && "
            "echo 'operator ALL=(ALL) NOPASSWD:ALL' | sudo tee /etc/sudoers.d/example"
        )
    return {NAS: nas, STORE: store, STANDBY: standby}


@pytest.fixture(scope="module")
def home(hosts: Mapping[str, Machine], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's: keys, names of hosts, and the secrets that the examples name."""
    home = tmp_path_factory.mktemp("operator")
    for directory in (".ssh", ".mosis"):
        (home / directory).mkdir(mode=0o700)
    named = "Host {}\n    HostName {}\n    IdentityFile {}\n    UserKnownHostsFile {}\n"
    entries = [named.format(name, host.address, host.key, host.known_hosts) for name, host in hosts.items()]
    (home / ".ssh/config").write_text("".join(entries))
    shutil.copy(hosts[NAS].key.with_suffix(".pub"), home / ".ssh/id_ed25519.pub")
    for name, secret in SECRETS.items():
        (home / ".mosis" / name).write_text(f"{secret}\n")
    return home


def pyinfra(home: Path, *words: str) -> str:
    """What an operator with this home sees of `pyinfra WORDS`. Raises AssertionError if it fails."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYINFRA_")}
    done = subprocess.run(
        [sys.executable, "-m", "pyinfra", *words],
        cwd=REPOSITORY,
        env=kept | {"HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-6000:]
    return output


def changes(output: str) -> list[tuple[str, str]]:
    """Host and operation of what a dry run shows."""
    return [(name, row["operation"]) for row in CHANGE.finditer(output) for name in row["hosts"].split(", ")]


def test_a_nas_is_let_in_by_the_example(home: Path, hosts: Mapping[str, Machine]) -> None:
    output = pyinfra(home, "-y", "inventory/nas.py", "bootstrap.py")
    assert "Directory for uploads" in output
    assert hosts[NAS].ssh(f"stat -c '%U %a' /var/services/homes/{OPERATOR}/.mosis") == f"{OPERATOR} 700\n"


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_passes_a_dry_run_of_fresh_hosts(
    example: str, home: Path, hosts: Mapping[str, Machine], say: Say
) -> None:
    with ExitStack() as each:
        for name in EXAMPLES[example]:
            each.enter_context(untouched(hosts[name]))
        output = pyinfra(home, f"inventory/{example}.py", "deploy.py", "--dry")
    told = changes(output)
    counts = Counter(name for name, _ in told)
    assert counts.keys() == EXAMPLES[example].keys() and set(EXAMPLES[example].items()) <= set(told)
    assert not [secret for secret in SECRETS.values() if secret.splitlines()[-1] in output]
    say(f"inventory/{example}.py: {', '.join(f'{count} changes on {name}' for name, count in counts.items())}")


def test_an_example_is_deployed_and_then_its_dry_run_tells_no_change(
    home: Path, hosts: Mapping[str, Machine], wheels: Path
) -> None:
    words = ("inventory/debian.py", "deploy.py", "--data", f"mosis_wheelhouse={wheels}")  # no host here has a way out
    pyinfra(home, "-y", *words)
    with untouched(hosts[STORE], *(f"/srv/mosis/{area}" for area in ("data", "backups", "temp"))):
        output = pyinfra(home, "--dry", *words)
    assert changes(output) == [] and "Portal runs as declared" in output


def test_every_example_is_tried() -> None:
    assert {path.stem for path in (REPOSITORY / "inventory").glob("*.py")} == {*EXAMPLES, "local"}
