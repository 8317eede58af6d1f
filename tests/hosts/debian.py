"""The Debian host that the store is deployed to: its inventory, and all that its deploys have printed and its processes
were called meanwhile."""

import secrets
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from tests.hosts.hammer import UPLOADS
from tests.hosts.machine import Machine
from tests.hosts.pyinfra_run import REPOSITORY, Result, deploy, write_inventory
from tests.hosts.secrecy import process_list
from tests.hosts.shell import Say
from tests.hosts.untouched import untouched
from tests.hosts.wheelhouse import wheelhouse

ROOT = "/srv/mosis"
DRIVE = "/volumeUSB1"
BACKUP = f"{DRIVE}/mosis-backup"
UNITS = ("mosis-portal", "mosis-litestream", "nginx", "cron", "prometheus")
BUSY = (*(f"{ROOT}/{area}" for area in ("data", "backups", "temp")), DRIVE)  # what cron and Litestream write
SECRET = "MOSIS_TEST_SECRET"

DATA = {
    "mosis_runtime": "systemd",
    "mosis_root": ROOT,
    "mosis_prometheus": "install",
    "mosis_settings": {"backup": {"mount": DRIVE, "directory": BACKUP}, **UPLOADS},
    "mosis_schedules": dict.fromkeys(("cleanup", "backup-database", "backup-packages"), "* * * * *"),
    "mosis_secrets": {"test": f"env:{SECRET}"},
}


class Debian:
    """`secret` is one that the operator's machine holds in an environment variable."""

    def __init__(self, machine: Machine, directory: Path, say: Say) -> None:
        """`directory` gets the inventory."""
        self.machine, self._directory, self._say = machine, directory, say
        self.secret = secrets.token_hex(32)
        self.drive = machine.volume("usb", megabytes=1024)
        self.printed: list[str] = []

    def deploy(
        self,
        *,
        dry: bool = False,
        check: bool = True,
        checkout: Path = REPOSITORY,
        options: Sequence[str] = (),
        **changes: object,
    ) -> Result:
        """Run deploy.py of `checkout`, with `options` of pyinfra and `changes` to the host's data.

        Raises AssertionError if a dry run changes the host; with the end of its journal if `check` and the run failed.
        """
        began = time.monotonic()
        data = DATA | {"mosis_wheelhouse": str(wheelhouse(checkout, self._say))} | changes
        group_data = checkout / "inventory/group_data"
        inventory = write_inventory(self._directory / "test.py", {"nas": self.machine}, data, group_data)
        try:
            with process_list(self.machine) as seen, untouched(self.machine, *BUSY) if dry else nullcontext():
                result = deploy(
                    inventory, checkout=checkout, dry=dry, check=check, options=options, secrets={SECRET: self.secret}
                )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.machine.ssh('sudo journalctl --no-pager --lines=60')}") from None
        self.printed += [result.output, *seen]
        self._say(f"deploy{' --dry' if dry else ''}: {result}, {time.monotonic() - began:.0f} s")
        return result

    def all_units_run(self) -> None:
        """Raises AssertionError unless every unit of the store is active and none of the host has failed."""
        states = self.machine.try_ssh(f"systemctl is-active {' '.join(UNITS)}").stdout.split()
        assert dict(zip(UNITS, states, strict=True)) == dict.fromkeys(UNITS, "active")
        assert self.machine.ssh("systemctl --failed --no-legend") == ""

    def exposure(self, unit: str) -> float:
        """What `systemd-analyze security` gives the unit: 0 is best, 10 worst."""
        told = self.machine.ssh(f"systemd-analyze security --no-pager {unit}").splitlines()[-1]
        return float(told.partition(": ")[2].split()[0])

    def backup_is_refused(self, reason: str) -> bool:
        """Whether a backup to the drive fails for `reason`. Raises AssertionError if it does not fail."""
        done = self.machine.try_ssh("sudo mosis backup packages")
        assert done.returncode == 1, "the backup did not fail"
        return reason in done.stderr  # else cron's own backup was under way
