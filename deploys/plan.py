"""What a host gets, computed from its data alone before anything is touched, so that tests read it as data."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploys import schedules
from deploys.data import HostData, PlanError, parse
from deploys.model import Directory, File, Listener, Plan, Service
from deploys.parts import (
    DIRECTORIES,
    asking_of,
    directories_of,
    prometheus_of,
    secrets_of,
    settings_of,
    stamped,
)
from deploys.plan_compose import compose
from deploys.release import CURRENT, Release
from deploys.render import CHECKOUT, digest, render

SOCKET_PATH_MAX = 107  # bytes, sun_path of unix(7) without its final zero
UNITS = "/etc/systemd/system"

LOCAL_DIRECTORIES = {"bin": "750", "etc": "750", "run": "700", "log": "750"}


def plan(host_data: Mapping[str, object], release: Release) -> Plan:
    """The plan of a host. Raises PlanError, one sentence about the data that is missing or wrong."""
    data = parse(host_data)
    return {"local": _local, "systemd": _systemd, "compose": compose}[data.runtime](data, release)


def _local(data: HostData, release: Release) -> Plan:
    root = data.root
    if len(os.fsencode(root / "run/supervisor.sock.1234567")) > SOCKET_PATH_MAX:
        raise PlanError(f"The root {root} is too long for a Unix socket below it; take a shorter path.")
    settings = settings_of(data, port=data.port)
    binaries, locked = Path(sys.executable).parent, digest(release.lock.read_text())
    config = File(f"{root}/etc/mosis.toml", settings.to_toml(), "640")
    litestream = File(f"{root}/etc/litestream.yml", render("litestream/litestream.yml.j2", root=root, port=None), "640")
    variables = {"root": root, "binaries": binaries, "config": config.path}
    program = "supervisor/program.conf.j2"
    serve, replicate = [binaries / "mosis", "serve"], [binaries / "litestream", "replicate", "-config", litestream.path]
    supervisor = File(f"{root}/etc/supervisord.conf", render("supervisor/supervisord.conf.j2", root=root), "644")
    services = {
        "portal": stamped(
            release.id, config, f"{root}/etc/portal.conf", program, program="portal", command=serve, **variables
        ),
        "litestream": stamped(
            locked,
            litestream,
            f"{root}/etc/litestream.conf",
            program,
            program="litestream",
            command=replicate,
            **variables,
        ),
        "supervisor": Service((supervisor,), digest(supervisor.content)),
    }
    command = f"{root}/bin/mosis"
    return Plan(
        data=data,
        settings=settings,
        release=release,
        owner="",
        config=config.path,
        mosis=command,
        asking=asking_of(root, str(binaries)),
        binaries=str(binaries),
        directories=directories_of(root, DIRECTORIES | LOCAL_DIRECTORIES, ""),
        command=File(command, render("portal/mosis.j2", user=None, **variables), "755"),
        services=services,
        secrets=secrets_of(data, settings),
        listeners=(Listener(data.port, config.path),),
    )


def _systemd(data: HostData, release: Release) -> Plan:
    root, owner, binaries = data.root, "mosis:mosis", f"{CURRENT}/venv/bin"
    settings = settings_of(data, port=data.portal_port, accel=True, proxied=True)
    config = File("/etc/mosis/mosis.toml", settings.to_toml(), "644", "root:root")
    litestream_config = render("litestream/litestream.yml.j2", root=root, port=data.litestream_port)
    litestream = File("/etc/mosis/litestream.yml", litestream_config, "644", "root:root")
    variables = {"root": root, "binaries": binaries, "config": config.path, "data": data}
    site = render("nginx/mosis.conf.j2", settings=settings, **variables)
    jobs, locked = schedules.wanted(data, settings), digest(release.lock.read_text())
    services = {
        "portal": stamped(
            release.id,
            config,
            f"{UNITS}/mosis-portal.service",
            "portal/mosis-portal.service.j2",
            reads=(CURRENT,),
            **variables,
        ),
        "litestream": stamped(
            locked,
            litestream,
            f"{UNITS}/mosis-litestream.service",
            "litestream/mosis-litestream.service.j2",
            **variables,
        ),
        "nginx": Service((File("/etc/nginx/sites-available/mosis.conf", site, "644", "root:root"),)),
        "cron": Service((File("/etc/cron.d/mosis", render("cron/mosis.j2", jobs=jobs), "644", "root:root"),)),
        "prometheus": prometheus_of(data, "/etc/mosis/prometheus", data.portal_port),
    }
    lifecycle = File("/etc/mosis/lifecycle.json", (CHECKOUT / "files/r2/lifecycle.json").read_text(), "644")
    listeners = [(data.port, "nginx"), (data.portal_port, config.path), (data.litestream_port, "litestream")]
    if data.prometheus == "install":
        listeners.append((data.prometheus_port, "prometheus"))
    return Plan(
        data=data,
        settings=settings,
        release=release,
        owner=owner,
        config=config.path,
        mosis="/usr/local/bin/mosis",
        asking=f"runuser -u mosis -- {asking_of(root, binaries)}",
        binaries=binaries,
        directories=(
            *directories_of(root, DIRECTORIES, owner),
            Directory("/etc/mosis", "755", "root:root"),
            Directory("/etc/mosis/prometheus", "755", "root:root"),
        ),
        command=File("/usr/local/bin/mosis", render("portal/mosis.j2", user="mosis", **variables), "755", "root:root"),
        services=services,
        secrets=secrets_of(data, settings),
        listeners=tuple(Listener(*listener) for listener in listeners),
        jobs=jobs,
        lifecycle=lifecycle if settings.mirror else None,
    )
