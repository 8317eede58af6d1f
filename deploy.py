"""What a host gets, in order: `pyinfra INVENTORY deploy.py`."""

import pyinfra
from pyinfra import host

from deploys import (
    base,
    compose,
    cron,
    declared,
    dsm,
    dsm_schedules,
    lifecycle,
    litestream,
    local,
    nginx,
    portal,
    preflight,
    prometheus,
    release,
    secrets,
    standby,
)
from deploys.plan import plan

if pyinfra.is_cli:
    wanted = plan(host.data.dict(), release.build())
    preflight.check(wanted)
    standby.check(wanted)

    if wanted.runtime == "local":
        base.directories(wanted)
        secrets.install(wanted.secrets, wanted.owner)
        local.configured(wanted)
        portal.database(wanted)
        local.running(wanted)
        portal.access(wanted)

    if wanted.runtime == "systemd":
        base.system(wanted, standby.login_shell())
        base.directories(wanted)
        secrets.install(wanted.secrets, wanted.owner)
        release.install(wanted.release, wanted.data.wheelhouse)
        if wanted.data.follows:
            standby.following(wanted)
        else:
            standby.admitting(wanted)
            portal.configured(wanted)
            litestream.configured(wanted)
            standby.promoted(wanted)
            portal.database(wanted)
            portal.running(wanted)
            portal.access(wanted)
            litestream.running(wanted)
        nginx.front(wanted)
        cron.schedules(wanted)
        lifecycle.bucket(wanted)
        prometheus.monitoring(wanted)
        release.prune(wanted.release)
        declared.written(wanted)

    if wanted.stack:
        if wanted.data.share:
            dsm.prepared(wanted, wanted.stack)
        else:
            base.account(wanted.stack.user)
        base.directories(wanted)
        secrets.install(wanted.secrets, wanted.owner)
        compose.configured(wanted, wanted.stack)
        portal.database(wanted)
        compose.running(wanted, wanted.stack)
        portal.access(wanted)
        if wanted.data.share:
            dsm_schedules.schedules(wanted, wanted.stack)
        lifecycle.bucket(wanted)
        declared.written(wanted)
