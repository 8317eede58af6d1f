"""README's walk-through of a Synology NAS, word for word, and what an operator meets later on that NAS.

The tests are steps in the life of one host, in this order.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hosts.dsm.nas import IMAGE, OWNER, PASSWORD, USB, Nas
from tests.hosts.forward import forwarded
from tests.hosts.laptop import Laptop
from tests.hosts.pyinfra_run import REPOSITORY
from tests.hosts.shell import Say, run

PORT, FRONT = 8080, 8000  # of the store on the NAS; of the reverse proxy in front of it
README = (REPOSITORY / "README.md").read_text()
TOTAL = re.compile(r"Grand total +(\d+) +(\S+) +(\S+) +(\S+)")


def block(marker: str) -> str:
    """The shell block of README.md after the comment `marker`."""
    return re.search(rf"<!-- {marker} -->\n```sh\n(.*?)```", README, re.DOTALL)[1]


@pytest.fixture(scope="module")
def nas(boot_nas: Callable[[], Nas]) -> Iterator[Nas]:
    nas = boot_nas()
    nas.attach(nas.volume("usb", megabytes=1024), USB)
    with forwarded((nas.address, FRONT), ("127.0.0.1", PORT), nas.name):
        yield nas


@pytest.fixture(scope="module")
def laptop(nas: Nas, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    """Somebody with a clone of this repository; what a host without a way out needs stands beside the inventory."""
    home = tmp_path_factory.mktemp("operator")
    run("git", "clone", "--quiet", REPOSITORY, home / "mosis")
    offline = f"mosis_wheelhouse = {str(wheels)!r}\nmosis_base_image = {IMAGE!r}\n"
    (home / "mosis/inventory/group_data/my-nas.py").write_text(offline)
    own = {
        "NAS=nas.example.org": "NAS=nas.lan",
        "ACCOUNT=admin": f"ACCOUNT={OWNER}",
        "STORE=https://store.example.org": f"STORE=http://{nas.address}:{FRONT}",
    }
    return Laptop(home, nas, "nas.lan", own, {"password: ": PASSWORD, "Password: ": PASSWORD})


def test_the_walkthrough_runs_as_written(laptop: Laptop, nas: Nas, say: Say) -> None:
    used = "curl " + block("walkthrough").partition("curl ")[2].partition("\n# A second deploy")[0]
    done = laptop.types(block("nas") + used)
    assert done.returncode == 0, done.output[-6000:]
    operations, changed, unchanged = (TOTAL.findall(done.output)[-1][number] for number in (0, 1, 3))
    say(f"the walk-through: the second deploy had {operations} operations, {unchanged} without a change")
    assert changed == "-" and unchanged == operations
    assert nas.refused() == ""
