"""Runtime `local`: supervisord keeps the programs running for the deploying user; no root, no init system."""

import sys
from collections.abc import Generator
from pathlib import Path
from shlex import quote

from pyinfra import host
from pyinfra.api import operation

from deploys.host import files
from deploys.host.deploy import deploy
from deploys.host.processes import Health, Process, Running, Succeeds, portal_health
from deploys.plan.model import Plan
from deploys.remote import down


def _programs(plan: Plan) -> list[str]:
    return sorted(plan.services.keys() - {"supervisor"})


def _differing(plan: Plan, control: str) -> list[str]:
    pids = {"supervisor": f"{control} pid"} | {name: f"{control} pid {name}" for name in _programs(plan)}
    return [
        name
        for name, pid in pids.items()
        if host.get_fact(Process, pid=pid, files=plan.services[name].paths) != Running(plan.services[name].stamp)
        or files.drifted(plan.services[name].files)
    ]


@operation()
def supervised(plan: Plan, health: Health) -> Generator[str]:
    """supervisord and its programs run with exactly their files and stamps; only those that differ are restarted."""
    binaries, config = Path(sys.executable).parent, f"{plan.settings.root}/etc/supervisord.conf"
    control = f"{quote(str(binaries / 'supervisorctl'))} -c {quote(config)}"
    differing = _differing(plan, control)
    if "supervisor" in differing:
        marks = f"MOSIS_CONFIG={quote(plan.config)} MOSIS_STAMP={plan.services['supervisor'].stamp}"
        supervisord = f"{quote(str(binaries / 'supervisord'))} -c {quote(config)}"
        yield f"{quote(sys.executable)} {quote(down.__file__)} {quote(str(plan.settings.root))}"
        yield f'env -i PATH="$PATH" HOME="$HOME" LANG=C.UTF-8 {marks} {supervisord}'
    elif differing:
        yield f"{control} update"
        for name in _differing(plan, control):
            yield f"{control} restart {name}"
    if differing or not host.get_fact(Succeeds, command=health.asked):
        yield health.awaited


@deploy("Local")
def configured(plan: Plan) -> None:
    """Every file that the programs read, and the `mosis` command."""
    files.written([file for name in ("supervisor", *_programs(plan)) for file in plan.services[name].files])
    files.written([plan.command])


@deploy("Local")
def running(plan: Plan) -> None:
    health = portal_health(plan, f"tail -n 20 {quote(f'{plan.settings.root}/log/portal.log')}")
    answering = "nginx, portal" if "nginx" in plan.services else "portal alone"
    supervised(name=f"Programs run as declared: {answering}, Litestream", plan=plan, health=health)
