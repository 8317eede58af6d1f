"""What must hold before a deploy changes anything; asked of the host in one question while the run is prepared."""

import inspect
import json
import sys
from shlex import quote

from pyinfra import host
from pyinfra.api import FactBase
from pyinfra.api.exceptions import DeployError

from deploys.containers import engine
from deploys.plan.model import Plan
from deploys.remote import probe
from deploys.synology import shared_folder

PYTHON_MIN = (3, 11)


class Probe(FactBase[dict]):
    """What `deploys/remote/probe.py` finds on the host, empty when the host has no python3."""

    default = dict

    def command(self, python: str, root: str, ports: str) -> str:
        script = quote(inspect.getsource(probe))
        return f"if command -v {python} >/dev/null; then {python} -c {script} {quote(root)} {quote(ports)}; fi"

    def process(self, output: list[str]) -> dict:
        return json.loads(output[-1])


def check(plan: Plan) -> None:
    """Raises DeployError, one sentence, where this host cannot take the plan."""
    python = quote(sys.executable) if plan.runtime == "local" else "python3"
    ports = json.dumps([listener.port for listener in plan.listeners])
    found = host.get_fact(Probe, python=python, root=str(plan.settings.root), ports=ports)
    if fault := (_engine_fault(plan) if plan.stack else None) or _fault(plan, found):
        raise DeployError(f"{host.name}: {fault}")


def _engine_fault(plan: Plan) -> str | None:
    return engine.fault(
        plan, host.get_fact(engine.Engine), host.get_fact(shared_folder.Share, share=plan.data.share or "-")
    )


def _fault(plan: Plan, found: dict) -> str | None:
    if not found:
        return "python3 is missing on this host; install it first (apt-get install python3)."
    if plan.stack is None and tuple(found["python"]) < PYTHON_MIN:
        return f"Python {'.'.join(map(str, found['python']))} is too old; Mosis needs 3.11 or newer."
    if plan.runtime == "systemd" and not (found["systemd"] and found["apt"] and found["uid"] == 0):
        return "The runtime systemd needs a Debian host that booted with systemd, and root (or _sudo = True)."
    if not found["writable"]:
        return f"The root {plan.settings.root} cannot be written; take another or change its owner."
    if fault := plan.data.follows and _data_fault(plan, found):
        return fault
    for listener in plan.listeners:
        for holder in found["ports"][str(listener.port)]:
            if listener.owner not in holder.values():
                return f"Port {listener.port} is taken by {_named(holder)}; free it or take another port."
    return None


def _named(holder: dict[str, str]) -> str:
    store = holder["config"].removesuffix("/etc/mosis.toml")
    return f"the store in {store}" if store else holder["name"] or "another user's program"


def _data_fault(plan: Plan, found: dict) -> str | None:
    """What a standby's copy would take the place of."""
    store, root = plan.data.follows, plan.settings.root
    if own := found["own_data"]:
        return f"{' and '.join(own)} are this host's own; move them away first if it is to follow {store}."
    if found["copied_store"] not in (None, store):
        return f"{root}/data is a copy of {found['copied_store']}; move it away first to follow {store}."
    return None
