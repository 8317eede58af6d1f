"""The NAS that the store is deployed to: its inventory, everything that its deploys have printed, and `verify`."""

import secrets
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from tests.hosts.dsm.nas import OWNER, PASSWORD, USB, VOLUME, Nas
from tests.hosts.engine import IMAGE
from tests.hosts.hammer import UPLOADS
from tests.hosts.pyinfra_run import REPOSITORY, Result, deploy, verify, write_inventory
from tests.hosts.secrecy import process_list
from tests.hosts.shell import Say
from tests.hosts.untouched import untouched
from tests.hosts.wheelhouse import wheelhouse

ROOT = f"{VOLUME}/mosis"
BACKUP = f"{USB}/mosis"
PORT = 8080
HOMES = "/var/services/homes"
HOME = f"{VOLUME}/@mosis"
BUSY = (*(f"{ROOT}/{area}" for area in ("data", "backups", "temp")), f"{HOME}/run", USB)  # what jobs and services write
MOSIS = "sudo /usr/local/bin/mosis"
SECRET = "MOSIS_TEST_SECRET"
EVERY_MINUTE, NO_TASK = "* * * * *", "* * 1-31 * *"  # Task Scheduler cannot say the second, /etc/crontab can

ACCOUNT = {"ssh_user": OWNER, "ssh_file_transfer_protocol": "scp", "_temp_dir": f"{HOMES}/{OWNER}/.mosis"}
DATA = ACCOUNT | {
    "mosis_runtime": "compose",
    "mosis_share": "mosis",
    "mosis_root": ROOT,
    "mosis_port": PORT,
    "mosis_base_image": IMAGE,
    "mosis_settings": {"backup": {"mount": USB, "directory": BACKUP}, **UPLOADS},
    "mosis_schedules": {"cleanup": EVERY_MINUTE, "backup-database": EVERY_MINUTE, "backup-packages": NO_TASK},
    "mosis_secrets": {"test": f"env:{SECRET}"},
}


class Deployed:
    """`secret` is one that the operator's machine holds in an environment variable."""

    def __init__(self, nas: Nas, directory: Path, say: Say) -> None:
        """`directory` gets the inventory."""
        self.nas, self._say = nas, say
        self.secret = secrets.token_hex(32)
        self.drive = nas.volume("usb", megabytes=1024)
        self.printed: list[str] = []
        self._directory = directory

    def bootstrap(self, *, check: bool = True, checkout: Path = REPOSITORY, undo: bool = False) -> Result:
        """Run bootstrap.py of `checkout` with the password of the NAS's owner, or `undo` its sudo rule.

        Raises AssertionError if `check` and it failed.
        """
        inventory = self._inventory("first", checkout, {"ssh_password": PASSWORD, "_sudo_password": PASSWORD})
        options = ("--data", "undo=yes") if undo else ()
        result = deploy(inventory, Path("bootstrap.py"), check=check, checkout=checkout, options=options)
        self.printed.append(result.output)
        self._say(f"bootstrap: {result}")
        return result

    def deploy(
        self, *, dry: bool = False, check: bool = True, checkout: Path = REPOSITORY, options: Sequence[str] = ()
    ) -> Result:
        """Run deploy.py of `checkout`, with `options` of pyinfra.

        Raises AssertionError if a dry run changes the NAS; with the end of its journal if `check` and the run failed.
        """
        began = time.monotonic()
        inventory = self._inventory("deploy", checkout, {"mosis_wheelhouse": str(wheelhouse(checkout, self._say))})
        try:
            with process_list(self.nas) as seen, untouched(self.nas, *BUSY) if dry else nullcontext():
                result = deploy(
                    inventory, checkout=checkout, dry=dry, check=check, options=options, secrets={SECRET: self.secret}
                )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.nas.journal()}\nrefused:\n{self.nas.refused()}") from None
        self.printed += [result.output, *seen]
        self._say(f"deploy{' --dry' if dry else ''}: {result}, {time.monotonic() - began:.0f} s")
        return result

    def verify(self) -> tuple[str, ...]:
        """What is not as declared, one line a fact; empty if all is. Raises AssertionError."""
        inventory = self._inventory("deploy", REPOSITORY, {"mosis_wheelhouse": str(wheelhouse(REPOSITORY, self._say))})
        found = verify(inventory, secrets={SECRET: self.secret})
        self.printed.append(found.output)
        (lines,) = found.hosts.values()
        self._say(f"verify: {len(lines)} facts, {len(found.faults)} faults")
        return found.faults

    def backup(self) -> subprocess.CompletedProcess[str]:
        """A backup of the packages that the operator asks for."""
        return self.nas.try_ssh(f"{MOSIS} backup packages")

    def schedules(self) -> str:
        """What the host fires."""
        return self.nas.ssh("cat /etc/crontab")

    def _inventory(self, name: str, checkout: Path, own: Mapping[str, object]) -> Path:
        group_data = checkout / "inventory/group_data"
        return write_inventory(self._directory / name / "nas.py", {"nas": self.nas}, DATA | own, group_data)
