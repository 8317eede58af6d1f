"""The plan of the runtime `systemd`: a Debian host with hardened units, nginx in front, cron."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploys.plan import schedules, standby, tls
from deploys.plan.data import HostData
from deploys.plan.model import Directory, File, Listener, Plan, Service, root_file
from deploys.plan.nginx import FILES, render_nginx
from deploys.plan.paths import CHECKS, COMMAND, CURRENT, EXCHANGE, GOOD, PREVIOUS, PROMETHEUS_DROPINS, RUN, UNITS
from deploys.plan.release import Release
from deploys.plan.render import render
from deploys.plan.schedules import Job
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
    tasks_of,
)
from portal.settings import Settings

OWNER = "mosis:mosis"
READY_SECONDS = 60
ROTATION = "/etc/mosis/logrotate.conf"


def plan(data: HostData, release: Release) -> Plan:
    """The plan. Raises PlanError."""
    root, binaries = data.root, f"{CURRENT}/venv/bin"
    tls_port = data.tls.port if data.tls and not data.follows else None
    settings = settings_of(
        data,
        socket=f"{RUN}/portal.sock",
        accel=True,
        proxied=True,
        follow=standby.follow_of(data),
        tls_port=tls_port,
    )
    config = root_file("/etc/mosis/mosis.toml", settings.to_toml())
    variables = {"root": root, "binaries": binaries, "config": config.path, "data": data}
    jobs = schedules.wanted(data, settings)
    services = {
        "portal": _portal(release, config, settings, variables),
        "litestream": _litestream(release, data, variables),
        "nginx": _nginx(data, settings),
        "cron": _cron(jobs),
        "prometheus": prometheus_of(data, "/etc/mosis/prometheus", data.metrics_port),
        **tls.services_of(data),
    }
    return Plan(
        data=data,
        settings=settings,
        release=release,
        owner=OWNER,
        config=config.path,
        mosis=COMMAND,
        offline_command=f"runuser -u mosis -- {offline_command_of(root, binaries)}",
        binaries=binaries,
        directories=tuple(_directories(data)),
        command=root_file(COMMAND, render("portal/mosis.j2", user="mosis", checks=CHECKS, **variables), "755"),
        services=services,
        secrets=secrets_of(data, settings),
        listeners=tuple(_listeners(data)),
        jobs=jobs,
        bucket=settings.mirror,
        checks=CHECKS,
        note=note_of(config, root),
    )


def _directories(data: HostData) -> Iterator[Directory]:
    yield from directories_of(data.root, DIRECTORIES, OWNER)
    yield Directory("/etc/mosis", "755", "root:root")
    yield Directory("/etc/mosis/prometheus", "755", "root:root")
    yield from tls.directories_of(data)
    if data.prometheus == "install":
        yield Directory(PROMETHEUS_DROPINS, "755", "root:root")


def _listeners(data: HostData) -> Iterator[Listener]:
    yield Listener(data.port, "nginx")
    yield Listener(data.metrics_port, "nginx")
    yield Listener(data.litestream_port, "litestream")
    if data.tls:
        yield Listener(data.tls.port, "nginx")
    if data.prometheus == "install":
        yield Listener(data.prometheus_port, "prometheus")


def _litestream(release: Release, data: HostData, variables: Mapping[str, object]) -> Service:
    text = render("litestream/litestream.yml.j2", root=data.root, port=data.litestream_port)
    unit, template = f"{UNITS}/mosis-litestream.service", "litestream/mosis-litestream.service.j2"
    config = root_file("/etc/mosis/litestream.yml", text)
    return stamped(release.id, config, unit, template, reads=(CURRENT,), **variables)


def _of_jobs_alone(settings: Settings) -> tuple[Path, ...]:
    """Secrets that the portal does not need: the key of a bucket, unless it signs uploads with it."""
    mirror = settings.mirror
    if mirror is None or (mirror.private and mirror.signing.credentials == mirror.credentials):
        return ()
    return (mirror.credentials,)


def _nginx(data: HostData, settings: Settings) -> Service:
    site = render_nginx(
        "nginx/mosis.conf.j2", data, settings, metrics_port=data.metrics_port, error_log="/var/log/nginx/error.log"
    )
    files = (
        root_file("/etc/nginx/sites-available/mosis.conf", site),
        # Debian reads this directory at the top level of nginx.conf.
        root_file("/etc/nginx/modules-enabled/90-mosis.conf", f"worker_rlimit_nofile {FILES};\n"),
    )
    return Service(files, reads=data.tls.files if data.tls else ())


def _cron(jobs: tuple[Job, ...]) -> Service:
    table = root_file("/etc/cron.d/mosis", render("cron/mosis.j2", jobs=jobs, rotation=ROTATION))
    return Service((table, root_file(ROTATION, render("nginx/logrotate.j2"))))


def _portal(release: Release, config: File, settings: Settings, variables: Mapping[str, object]) -> Service:
    """The unit, a second one that takes over while the first is exchanged, and the script that does it."""
    unit, template = f"{UNITS}/mosis-portal.service", "portal/mosis-portal.service.j2"
    known = {"tasks_max": tasks_of(settings), "hidden": _of_jobs_alone(settings), **variables}
    service = stamped(release.id, config, unit, template, reads=(CURRENT,), bridge="", **known)
    second = render(template, stamp=service.stamp, bridge=f"{RUN}/bridge.sock", **known)
    bridge = root_file(f"{UNITS}/mosis-portal-bridge.service", second)
    kept = (config.path, unit, bridge.path, CURRENT, PREVIOUS)
    exchange = exchange_of("systemd", EXCHANGE, settings, mosis=COMMAND, good=GOOD, kept=kept, seconds=READY_SECONDS)
    return dataclasses.replace(service, files=(*service.files, bridge, exchange))
