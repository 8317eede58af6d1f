"""A host as the operator sees it: its files as this checkout and inventory declare them, and its own status."""

import json
from collections.abc import Generator, Iterator
from dataclasses import asdict
from shlex import quote
from typing import Any

from pyinfra import host
from pyinfra.api import FactBase, operation

from deploys.checks.declared import checks, laid_down
from deploys.host.files import Digests, sha256
from deploys.plan.model import Plan
from portal.jobs.status_line import Line


class Status(FactBase[list[dict[str, Any]] | None]):
    """The lines of `mosis status`, None when it does not run."""

    def command(self, mosis: str) -> str:
        return f"{quote(mosis)} status --json 2>/dev/null; true"

    def process(self, output: list[str]) -> list[dict[str, Any]] | None:
        try:
            lines: list[dict[str, Any]] = json.loads("\n".join(output))["lines"]
        except ValueError:
            return None
        return lines


def lines(plan: Plan) -> list[Line]:
    """Every fact about the host of this moment, once."""
    return list(dict.fromkeys([*_files(plan), *_status(plan)]))


def _files(plan: Plan) -> Iterator[Line]:
    """What differs from this checkout and inventory; the host's own status knows what it was deployed from."""
    files = [*laid_down(plan), *checks(plan)]
    found = host.get_fact(Digests, paths=[file.path for file in files])
    for file in files:
        if found.get(file.path) != sha256(file.content):
            yield Line("file", False, f"{file.path} is {'not as declared' if file.path in found else 'missing'}")


def _status(plan: Plan) -> list[Line]:
    found = host.get_fact(Status, mosis=plan.mosis)
    return [Line("status", False, "mosis status does not run")] if found is None else [Line(**line) for line in found]


@operation(is_idempotent=False)
def without_fault(faults: int) -> Generator[str]:
    """Fails the run where there is one, after every host has printed its own."""
    if faults:
        yield f"echo {faults} faults >&2; exit 1"


def report(plan: Plan, as_json: bool) -> None:
    """Print the host's lines, and let the run end with exit code 1 where one is a fault."""
    found = lines(plan)
    if as_json:
        ok = all(line.ok for line in found)
        print(json.dumps({"host": host.name, "ok": ok, "lines": [asdict(line) for line in found]}))
    for line in () if as_json else found:
        print(f"{host.name}  {'ok   ' if line.ok else 'FAULT'} {line.name:16} {line.text}")
    without_fault(name="Nothing needs attention", faults=sum(not line.ok for line in found))
