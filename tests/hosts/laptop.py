"""The machine an operator deploys from, with a home, an SSH key and a checkout of their own."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.hosts.machine import Machine
from tests.hosts.pyinfra_run import REPOSITORY
from tests.hosts.shell import run
from tests.hosts.terminal import Session, typed


class Laptop:
    """Scripts are typed in `home/mosis`. Their `ssh` and pyinfra know `machine` as `name`."""

    def __init__(self, home: Path, machine: Machine, name: str, answers: Mapping[str, str]) -> None:
        """`answers`: see `typed`."""
        self.checkout, self._answers = home / "mosis", answers
        run("git", "clone", "--quiet", REPOSITORY, self.checkout)
        ssh = home / ".ssh"
        ssh.mkdir(mode=0o700)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ssh / "id_ed25519")
        keys = f"IdentityFile {ssh}/id_ed25519\n    UserKnownHostsFile {machine.known_hosts}"
        (ssh / "config").write_text(f"Host {name}\n    HostName {machine.address}\n    {keys}\n")
        command = home / "bin/ssh"  # which takes its home from the list of users
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {ssh}/config "$@"\n')
        command.chmod(0o755)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MOSIS_", "MAKE", "PYINFRA_"))}
        cache = os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache/pip"))
        path = f"{command.parent}:{os.environ['PATH']}"
        self._environment = kept | {"HOME": str(home), "PATH": path, "PIP_CACHE_DIR": cache, "PYINFRA_PROGRESS": "off"}

    def types(self, script: str) -> Session:
        """Run a script in the checkout."""
        return typed(script, self.checkout, self._environment, self._answers)
