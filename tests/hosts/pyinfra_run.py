"""The pyinfra command against a test host, as an operator runs it: over SSH with a key and a known host key."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.machine import Machine
from tests.hosts.rootfs import OPERATOR

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Result:
    """What a run did. `changed` are operation names; of a dry run, those that would change or may."""

    returncode: int
    hosts: frozenset[str]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    errors: tuple[str, ...]
    output: str

    def __str__(self) -> str:
        if self.returncode and not self.hosts:
            return f"stopped with exit code {self.returncode}"
        return f"{len(self.changed)} changed, {len(self.unchanged)} unchanged, {len(self.errors)} failed"


def write_inventory(
    path: Path,
    machines: Mapping[str, Machine],
    data: Mapping[str, object],
    group_data: Path,
    own: Mapping[str, Mapping[str, object]] | None = None,
) -> Path:
    """An inventory file at `path` with `machines` under their names, all with `data`, beside a link to `group_data`.

    `own` is, by name, what a host has besides.
    """
    hosts = [
        (
            name,
            {
                "ssh_hostname": machine.address,
                "ssh_user": OPERATOR,
                "ssh_key": str(machine.key),
                "ssh_known_hosts_file": str(machine.known_hosts),
                "ssh_strict_host_key_checking": "yes",
                "_sudo": True,
                **data,
                **(own or {}).get(name, {}),
            },
        )
        for name, machine in machines.items()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"hosts = {hosts!r}\n")
    link = path.parent / "group_data"
    link.unlink(missing_ok=True)
    link.symlink_to(group_data)
    return path


def deploy(
    inventory: Path,
    deploy_file: Path = Path("deploy.py"),
    *,
    checkout: Path = REPOSITORY,
    dry: bool = False,
    check: bool = True,
    options: Sequence[str] = (),
    secrets: Mapping[str, str] | None = None,
    timeout: float = 600,
) -> Result:
    """Run a deploy of `checkout` on the hosts of `inventory`, at the highest verbosity and with further `options`.

    `secrets` are environment variables. Raises AssertionError if `check` and the run failed anywhere.
    """
    words = ["-vvv", "--json", *options, "--dry" if dry else "--yes", str(inventory), str(deploy_file)]
    result = _result(_pyinfra(words, checkout, secrets, timeout))
    if check and (result.returncode or result.errors or not result.hosts):
        raise AssertionError(f"pyinfra ended with exit code {result.returncode}, {result}:\n{result.output[-6000:]}")
    return result


@dataclass(frozen=True)
class Verified:
    """What verify.py told: of every host its lines, and all lines that are faults."""

    hosts: Mapping[str, list[dict]]
    faults: tuple[str, ...]
    output: str


def verify(inventory: Path, *, secrets: Mapping[str, str] | None = None, timeout: float = 300) -> Verified:
    """Run verify.py on the hosts of `inventory`. Raises AssertionError if it told nothing or exits contrary to it."""
    words = ["-vvv", "--yes", "--data", "json=yes", str(inventory), "verify.py"]
    done = _pyinfra(words, REPOSITORY, secrets, timeout)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"host"')]
    faults = [f"{line['name']}: {line['text']}" for host in told for line in host["lines"] if not line["ok"]]
    output = done.stdout + done.stderr
    if not told or bool(faults) != bool(done.returncode):
        raise AssertionError(f"verify ended with exit code {done.returncode}, faults {faults}:\n{output[-6000:]}")
    return Verified({host["host"]: host["lines"] for host in told}, tuple(faults), output)


def _pyinfra(
    words: list[str], checkout: Path, secrets: Mapping[str, str] | None, timeout: float
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pyinfra", *words],
        cwd=checkout,
        env=os.environ | (secrets or {}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def _result(done: subprocess.CompletedProcess[str]) -> Result:
    output = done.stdout + done.stderr
    if not done.stdout.strip():  # it stopped before the plan or lost every host: the reason is on standard error
        return Result(done.returncode, frozenset(), (), (), (), output)
    report = json.loads(done.stdout)
    if report["results"] is None:
        return _planned(done.returncode, report["plan"], output)
    operations = report["results"]["operations"]
    return Result(
        returncode=done.returncode,
        hosts=frozenset(host for op in operations for state in ("success", "no_change", "error") for host in op[state]),
        changed=tuple(op["name"] for op in operations if op["success"]),
        unchanged=tuple(op["name"] for op in operations if op["no_change"]),
        errors=tuple(op["name"] for op in operations if op["error"]),
        output=output,
    )


def _planned(returncode: int, plan: list[dict], output: str) -> Result:
    touched = {op["name"]: {*op["hosts_with_change"], *op["hosts_with_conditional_change"]} for op in plan}
    return Result(
        returncode=returncode,
        hosts=frozenset(host for hosts in touched.values() for host in hosts),
        changed=tuple(name for name, hosts in touched.items() if hosts),
        unchanged=tuple(name for name, hosts in touched.items() if not hosts),
        errors=(),
        output=output,
    )
