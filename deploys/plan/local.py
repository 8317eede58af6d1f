"""The plan of the runtime `local`: this machine, no root, a supervisor; nginx in front where the machine has it."""

import os
import sys
from pathlib import Path
from shlex import join

from deploys.make import place
from deploys.plan import schedules
from deploys.plan.data import HostData, PlanError
from deploys.plan.model import File, Listener, Plan, Service
from deploys.plan.nginx import render_nginx
from deploys.plan.release import Release
from deploys.plan.render import CHECKOUT, digest, render
from deploys.plan.schedules import Job
from deploys.plan.shared import DIRECTORIES, directories_of, offline_command_of, secrets_of, settings_of, stamped
from portal.settings import Settings

LOCAL_DIRECTORIES = {"bin": "750", "etc": "750", "run": "700", "log": "750"}
PROGRAM = "supervisor/program.conf.j2"
ROTATION_TIME = "*/10 * * * *"
ENVIRONMENT = f"{sys.prefix}/pyvenv.cfg"  # as old as the virtual environment: what ran in the one before is restarted

# nginx writes its title over the environment that a deploy and `make down` know processes by; its shell keeps one.
# It starts by killing the workers that a killed master left: they would hold the port.
NGINX = """{sweep}; trap 'kill "$nginx"' TERM; {program} -c {config} & nginx=$!; wait; wait"""


def plan(data: HostData, release: Release) -> Plan:
    """The plan. Raises PlanError."""
    root = data.root
    if place.too_long(root):
        raise PlanError(f"The root {root} is too long for a Unix socket below it; take a shorter path.")
    behind = {"socket": root / "run/portal.sock", "accel": True, "proxied": True} if data.nginx else {}
    settings = settings_of(data, port=data.port, **behind)
    binaries = Path(sys.executable).parent
    config = File(f"{root}/etc/mosis.toml", settings.to_toml(), "640")
    jobs = schedules.wanted(data, settings)
    services = _services(data, release, settings, config, binaries) | _scheduler(data, release, jobs, config)
    supervised = render("supervisor/supervisord.conf.j2", root=root, programs=sorted(services))
    supervisor = File(f"{root}/etc/supervisord.conf", supervised, "644")
    command = f"{root}/bin/mosis"
    called = render("portal/mosis.j2", user=None, root=root, binaries=binaries, config=config.path)
    return Plan(
        data=data,
        settings=settings,
        release=release,
        owner="",
        config=config.path,
        mosis=command,
        offline_command=offline_command_of(root, str(binaries)),
        binaries=str(binaries),
        directories=directories_of(root, DIRECTORIES | LOCAL_DIRECTORIES, ""),
        command=File(command, called, "755"),
        services=services | {"supervisor": Service((supervisor,), digest(supervised), (ENVIRONMENT,))},
        secrets=secrets_of(data, settings),
        listeners=(Listener(data.port, config.path),),
        jobs=jobs,
    )


def _services(data: HostData, release: Release, settings: Settings, config: File, binaries: Path) -> dict[str, Service]:
    root = data.root
    replication = render("litestream/litestream.yml.j2", root=root, port=None)
    litestream = File(f"{root}/etc/litestream.yml", replication, "640")
    programs = {
        "portal": (release.id, config, [binaries / "mosis", "serve"]),
        "litestream": (release.id, litestream, [binaries / "mosis", "replicate", root, litestream.path]),
    }
    if data.nginx:
        nginx = File(f"{root}/etc/nginx-main.conf", _nginx(data, settings), "640")
        sweep = join(
            [str(binaries / "python"), str(CHECKOUT / "deploys/remote/down.py"), str(root), "--orphans", "nginx"]
        )
        script = NGINX.format(sweep=sweep, program=data.nginx, config=nginx.path)
        programs["nginx"] = (str(data.nginx), nginx, ["sh", "-c", script])
    return {
        name: stamped(
            code,
            read,
            f"{root}/etc/{name}.conf",
            PROGRAM,
            reads=(ENVIRONMENT,),
            program=name,
            command=command,
            root=root,
            config=config.path,
        )
        for name, (code, read, command) in programs.items()
    }


def _scheduler(data: HostData, release: Release, jobs: tuple[Job, ...], config: File) -> dict[str, Service]:
    """What cron is elsewhere, if it has anything to do; nothing rotates nginx's log here either."""
    root = data.root
    lines = [f"{job.time} {job.command}" for job in jobs]
    if data.nginx:
        lines.append(f"{ROTATION_TIME} rotate {root}/log/access.log {root}/run/nginx.pid")
    if not lines:
        return {}
    command = [Path(sys.executable).parent / "mosis", "schedule", *lines]
    variables = {"program": "jobs", "command": command, "root": root, "config": config.path}
    stamp = digest(release.id, render(PROGRAM, stamp="", **variables))
    file = File(f"{root}/etc/jobs.conf", render(PROGRAM, stamp=stamp, **variables), "644")
    return {"jobs": Service((file,), stamp, (ENVIRONMENT,))}


def _nginx(data: HostData, settings: Settings) -> str:
    root = data.root
    return render_nginx(
        "nginx/nginx.conf.j2",
        data,
        settings,
        run=root / "run",
        cache=root / "run/cache",
        log=root / "log/access.log",
        addresses=(settings.host,),
        superuser=os.geteuid() == 0,
    )
