"""The machine an operator deploys from, with a home, an SSH key and a checkout of their own."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.hosts.machine import Machine
from tests.hosts.shell import run
from tests.hosts.terminal import Session, typed


class Laptop:
    """Scripts are typed in `home/mosis`. Their `ssh` and pyinfra know `machine` as `name`."""

    def __init__(
        self, home: Path, machine: Machine, name: str, own: Mapping[str, str], answers: Mapping[str, str]
    ) -> None:
        """`own` replaces lines of what is typed: names that differ from the examples'; `answers`: see `typed`."""
        self._checkout, self._own, self._answers = home / "mosis", own, answers
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
        """Run a script, the lines that everybody has their own of replaced. Raises AssertionError if one is missing."""
        for shown, mine in self._own.items():
            assert f"{shown}\n" in script, f"{shown} does not stand in the script"
            script = script.replace(f"{shown}\n", f"{mine}\n")
        return typed(script, self._checkout, self._environment, self._answers)
