"""What a host gets, computed from its data alone before anything is touched, so that tests read it as data."""

import dataclasses
from collections.abc import Mapping

from deploys import schedules
from deploys.data import HostData, parse
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
from deploys.plan_local import local
from deploys.plan_standby import follow_of, require_possible, standby
from deploys.release import CURRENT, HOME, PREVIOUS, Release
from deploys.render import CHECKOUT, digest, render
from portal.settings import Settings

UNITS = "/etc/systemd/system"
RUN = "/run/mosis"
READY_SECONDS = 60
COMMAND = "/usr/local/bin/mosis"
CHECKS = (f"{HOME}/check.py", "/etc/mosis/declared.json")
EXCHANGE = f"{HOME}/exchange"
GOOD = f"{HOME}/good"  # the files of the portal that runs, for a return


def plan(host_data: Mapping[str, object], release: Release) -> Plan:
    """The plan of a host. Raises PlanError, one sentence about the data that is missing or wrong."""
    data = parse(host_data)
    require_possible(data)
    wanted = {"local": local, "systemd": _systemd, "compose": compose}[data.runtime](data, release)
    return standby(wanted) if data.follows else wanted


def _systemd(data: HostData, release: Release) -> Plan:
    root, owner, binaries = data.root, "mosis:mosis", f"{CURRENT}/venv/bin"
    settings = settings_of(data, socket=f"{RUN}/portal.sock", accel=True, proxied=True, follow=follow_of(data))
    config = File("/etc/mosis/mosis.toml", settings.to_toml(), "644", "root:root")
    litestream_config = render("litestream/litestream.yml.j2", root=root, port=data.litestream_port)
    litestream = File("/etc/mosis/litestream.yml", litestream_config, "644", "root:root")
    variables = {"root": root, "binaries": binaries, "config": config.path, "data": data}
    site = render("nginx/mosis.conf.j2", settings=settings, **variables)
    jobs, locked = schedules.wanted(data, settings), digest(release.lock.read_text())
    services = {
        "portal": _portal(release, config, settings, variables),
        "litestream": stamped(
            locked,
            litestream,
            f"{UNITS}/mosis-litestream.service",
            "litestream/mosis-litestream.service.j2",
            **variables,
        ),
        "nginx": Service(
            (
                File("/etc/nginx/sites-available/mosis.conf", site, "644", "root:root"),
                # Debian reads this directory at the top level of nginx.conf; two files a connection.
                File("/etc/nginx/modules-enabled/90-mosis.conf", "worker_rlimit_nofile 8192;\n", "644", "root:root"),
            )
        ),
        "cron": Service((File("/etc/cron.d/mosis", render("cron/mosis.j2", jobs=jobs), "644", "root:root"),)),
        "prometheus": prometheus_of(data, "/etc/mosis/prometheus", data.port),
    }
    lifecycle = File("/etc/mosis/lifecycle.json", (CHECKOUT / "files/r2/lifecycle.json").read_text(), "644")
    listeners = [(data.port, "nginx"), (data.litestream_port, "litestream")]
    if data.prometheus == "install":
        listeners.append((data.prometheus_port, "prometheus"))
    return Plan(
        data=data,
        settings=settings,
        release=release,
        owner=owner,
        config=config.path,
        mosis=COMMAND,
        asking=f"runuser -u mosis -- {asking_of(root, binaries)}",
        binaries=binaries,
        directories=(
            *directories_of(root, DIRECTORIES, owner),
            Directory("/etc/mosis", "755", "root:root"),
            Directory("/etc/mosis/prometheus", "755", "root:root"),
        ),
        command=File(COMMAND, render("portal/mosis.j2", user="mosis", checks=CHECKS, **variables), "755", "root:root"),
        services=services,
        secrets=secrets_of(data, settings),
        listeners=tuple(Listener(*listener) for listener in listeners),
        jobs=jobs,
        lifecycle=lifecycle if settings.mirror else None,
        checks=CHECKS,
    )


def _portal(release: Release, config: File, settings: Settings, variables: Mapping[str, object]) -> Service:
    """The unit, a second one that takes over while the first is exchanged, and the script that does it."""
    unit, template = f"{UNITS}/mosis-portal.service", "portal/mosis-portal.service.j2"
    service = stamped(release.id, config, unit, template, reads=(CURRENT,), bridge="", **variables)
    second = render(template, stamp=service.stamp, bridge=f"{RUN}/bridge.sock", **variables)
    bridge = File(f"{UNITS}/mosis-portal-bridge.service", second, "644", "root:root")
    kept = (config.path, unit, bridge.path, CURRENT, PREVIOUS)
    script = render(
        "portal/exchange.j2",
        mosis=COMMAND,
        settings=settings,
        run=RUN,
        seconds=READY_SECONDS,
        good=GOOD,
        kept=kept,
    )
    exchange = File(EXCHANGE, script, "755", "root:root")
    return dataclasses.replace(service, files=(*service.files, bridge, exchange))
