"""Runtime `local`: supervisord keeps the programs running for the deploying user; no root, no init system."""

import sys
from collections.abc import Generator
from pathlib import Path
from shlex import join, quote

from pyinfra import host
from pyinfra.api import operation

from deploys.host import files
from deploys.host.deploy import deploy
from deploys.host.processes import Health, Process, Running, Succeeds, awaited, portal_health
from deploys.plan.model import Plan
from deploys.remote import answers, down

ASKED_SECONDS = 10  # a suspended supervisor takes connections and never answers


def _programs(plan: Plan) -> list[str]:
    return sorted(plan.services.keys() - {"supervisor"})


def _differing(plan: Plan, control: str) -> list[str]:
    """The programs to restart. Where the supervisor is one, they all are: nobody waits for it to answer about them."""
    asked = f"timeout {ASKED_SECONDS} {control} pid"

    def differs(name: str, pid: str) -> bool:
        service = plan.services[name]
        running = host.get_fact(Process, pid=pid, files=service.paths)
        return running != Running(service.stamp) or bool(files.drifted(service.files))

    if differs("supervisor", asked):
        return ["supervisor"]
    return [name for name in _programs(plan) if differs(name, f"{asked} {name}")]


@operation()
def supervised(plan: Plan, health: Health) -> Generator[str]:
    """supervisord and its programs run with exactly their files and stamps, and answer; only what differs is restarted.

    If all is as declared and the store still does not answer, every program is restarted: any may be the cause.
    """
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
            log = quote(f"{plan.settings.root}/log/{name}.log")
            yield f"{control} restart {name} || {{ tail -n 5 {log} >&2; exit 1; }}"
    elif not host.get_fact(Succeeds, command=health.asked):
        yield f"{control} restart all"
    else:
        return
    yield health.awaited


@deploy("Local")
def configured(plan: Plan) -> None:
    """Every file that the programs read, and the `mosis` command."""
    services = [plan.services[name] for name in ("supervisor", *_programs(plan))]
    reads = dict.fromkeys(path for service in services for path in service.reads)
    files.written([*(file for service in services for file in service.files), plan.command], reads)


@deploy("Local")
def running(plan: Plan) -> None:
    answering = "nginx, portal" if "nginx" in plan.services else "portal alone"
    supervised(name=f"Programs run as declared: {answering}, Litestream", plan=plan, health=_health(plan))


def _health(plan: Plan) -> Health:
    """The portal's and, through nginx where there is one, the store's."""
    log = f"{plan.settings.root}/log"
    portal = portal_health(plan, f"tail -n 20 {quote(f'{log}/portal.log')}")
    if "nginx" not in plan.services:
        return portal
    nginx = join([sys.executable, answers.__file__, plan.settings.host, str(plan.data.port)])
    fronted = awaited(f"{nginx} 30", f"tail -n 20 {quote(f'{log}/nginx.log')}")
    return Health(asked=f"{portal.asked} && {nginx} 2", awaited=f"{portal.awaited}; {fronted}")
