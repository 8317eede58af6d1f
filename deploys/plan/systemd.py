"""The plan of the runtime `systemd`: a Debian host with hardened units, nginx in front, cron."""

import dataclasses
from collections.abc import Mapping

from deploys.plan import schedules, standby, tls
from deploys.plan.data import HostData
from deploys.plan.model import Directory, File, Listener, Plan, Service
from deploys.plan.nginx import FILES, render_nginx
from deploys.plan.paths import CHECKS, COMMAND, CURRENT, EXCHANGE, GOOD, PREVIOUS, PROMETHEUS_DROPINS, RUN, UNITS
from deploys.plan.release import Release
from deploys.plan.render import render
from deploys.plan.shared import (
    DIRECTORIES,
    directories_of,
    exchange_of,
    note_of,
    offline_command_of,
    prometheus_of,
    secrets_of,
    settings_of,
    stamped,
)
from portal.settings import Settings

READY_SECONDS = 60
TASKS = 128  # of a process beside the threads that answer: a worker's runtime, its decoder of images
ROTATION = "/etc/mosis/logrotate.conf"


def plan(data: HostData, release: Release) -> Plan:
    """The plan. Raises PlanError."""
    root, owner, binaries = data.root, "mosis:mosis", f"{CURRENT}/venv/bin"
    tls_port = data.tls.port if data.tls and not data.follows else None
    settings = settings_of(
        data,
        socket=f"{RUN}/portal.sock",
        accel=True,
        proxied=True,
        follow=standby.follow_of(data),
        tls_port=tls_port,
    )
    config = File("/etc/mosis/mosis.toml", settings.to_toml(), "644", "root:root")
    litestream_config = render("litestream/litestream.yml.j2", root=root, port=data.litestream_port)
    litestream = File("/etc/mosis/litestream.yml", litestream_config, "644", "root:root")
    variables = {"root": root, "binaries": binaries, "config": config.path, "data": data}
    site = render_nginx(
        "nginx/mosis.conf.j2", data, settings, metrics_port=data.metrics_port, error_log="/var/log/nginx/error.log"
    )
    limit = f"worker_rlimit_nofile {FILES};\n"
    jobs = schedules.wanted(data, settings)
    services = {
        "portal": _portal(release, config, settings, variables),
        "litestream": stamped(
            release.id,
            litestream,
            f"{UNITS}/mosis-litestream.service",
            "litestream/mosis-litestream.service.j2",
            reads=(CURRENT,),
            **variables,
        ),
        "nginx": Service(
            (
                File("/etc/nginx/sites-available/mosis.conf", site, "644", "root:root"),
                # Debian reads this directory at the top level of nginx.conf.
                File("/etc/nginx/modules-enabled/90-mosis.conf", limit, "644", "root:root"),
            ),
            reads=data.tls.files if data.tls else (),
        ),
        "cron": Service(
            (
                File("/etc/cron.d/mosis", render("cron/mosis.j2", jobs=jobs, rotation=ROTATION), "644", "root:root"),
                File(ROTATION, render("nginx/logrotate.j2"), "644", "root:root"),
            )
        ),
        "prometheus": prometheus_of(data, "/etc/mosis/prometheus", data.metrics_port),
        **tls.services_of(data),
    }
    listeners = [(data.port, "nginx"), (data.metrics_port, "nginx"), (data.litestream_port, "litestream")]
    if data.tls:
        listeners.append((data.tls.port, "nginx"))
    if data.prometheus == "install":
        listeners.append((data.prometheus_port, "prometheus"))
    return Plan(
        data=data,
        settings=settings,
        release=release,
        owner=owner,
        config=config.path,
        mosis=COMMAND,
        offline_command=f"runuser -u mosis -- {offline_command_of(root, binaries)}",
        binaries=binaries,
        directories=(
            *directories_of(root, DIRECTORIES, owner),
            Directory("/etc/mosis", "755", "root:root"),
            Directory("/etc/mosis/prometheus", "755", "root:root"),
            *tls.directories_of(data),
            *((Directory(PROMETHEUS_DROPINS, "755", "root:root"),) if data.prometheus == "install" else ()),
        ),
        command=File(COMMAND, render("portal/mosis.j2", user="mosis", checks=CHECKS, **variables), "755", "root:root"),
        services=services,
        secrets=secrets_of(data, settings),
        listeners=tuple(Listener(*listener) for listener in listeners),
        jobs=jobs,
        bucket=settings.mirror,
        checks=CHECKS,
        note=note_of(config, root),
    )


def _portal(release: Release, config: File, settings: Settings, variables: Mapping[str, object]) -> Service:
    """The unit, a second one that takes over while the first is exchanged, and the script that does it."""
    unit, template = f"{UNITS}/mosis-portal.service", "portal/mosis-portal.service.j2"
    tasks = TASKS + settings.workers * (settings.threads + TASKS)
    service = stamped(release.id, config, unit, template, reads=(CURRENT,), bridge="", tasks_max=tasks, **variables)
    second = render(template, stamp=service.stamp, bridge=f"{RUN}/bridge.sock", tasks_max=tasks, **variables)
    bridge = File(f"{UNITS}/mosis-portal-bridge.service", second, "644", "root:root")
    kept = (config.path, unit, bridge.path, CURRENT, PREVIOUS)
    exchange = exchange_of("systemd", EXCHANGE, settings, mosis=COMMAND, good=GOOD, kept=kept, seconds=READY_SECONDS)
    return dataclasses.replace(service, files=(*service.files, bridge, exchange))
