"""What a host gets, in order: `pyinfra INVENTORY deploy.py`."""

import pyinfra

from deploys.checks import declared, preflight
from deploys.containers import compose
from deploys.host import releases, secrets
from deploys.host.planned import planned
from deploys.services import (
    base,
    catalogue,
    certificate,
    cron,
    lifecycle,
    litestream,
    nginx,
    portal,
    probe,
    prometheus,
    standby,
    supervisor,
)
from deploys.synology import shared_folder, task_scheduler

if pyinfra.is_cli:
    wanted = planned()
    preflight.check(wanted)
    standby.check(wanted)
    certificate.check(wanted)

    if wanted.runtime == "local":
        base.directories(wanted)
        secrets.install(wanted.secrets, wanted.owner)
        supervisor.configured(wanted)
        portal.database(wanted)
        supervisor.running(wanted)
        portal.access(wanted)
        catalogue.keys(wanted)

    if wanted.runtime == "systemd":
        base.system(wanted, standby.login_shell())
        base.directories(wanted)
        secrets.install(wanted.secrets, wanted.owner)
        releases.install(wanted.release, wanted.data.wheelhouse)
        if wanted.data.follows:
            standby.following(wanted)
        else:
            standby.admitting(wanted)
            portal.configured(wanted)
            standby.promoted(wanted)
            portal.database(wanted)
            portal.running(wanted)
            portal.access(wanted)
            catalogue.keys(wanted)
            litestream.configured(wanted)  # once the release whose command it runs has taken over
            litestream.running(wanted)
        certificate.prepared(wanted)
        nginx.front(wanted)
        cron.schedules(wanted)
        probe.bucket(wanted)
        lifecycle.bucket(wanted)
        prometheus.monitoring(wanted)
        certificate.by_acme(wanted)
        releases.prune(wanted.release)
        declared.written(wanted)

    if wanted.stack:
        if wanted.data.share:
            shared_folder.prepared(wanted.data.share, wanted, wanted.stack)
        else:
            base.account(wanted.stack.user)
        base.directories(wanted)
        secrets.install(wanted.secrets, wanted.owner)
        compose.configured(wanted, wanted.stack)
        portal.database(wanted)
        compose.running(wanted, wanted.stack)
        portal.access(wanted)
        catalogue.keys(wanted)
        if wanted.data.share:
            task_scheduler.schedules(wanted, wanted.stack)
        probe.bucket(wanted)
        lifecycle.bucket(wanted)
        declared.written(wanted)
