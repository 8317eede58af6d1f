"""The plan of a standby: that of the store it may become, without what takes requests or writes."""

import dataclasses

from deploys.plan.data import HostData, PlanError
from deploys.plan.model import Directory, Plan, Service, root_file
from deploys.plan.nginx import render_nginx
from deploys.plan.paths import STANDBY_SSH_CONFIG
from portal.settings import Follow


def require_possible(data: HostData) -> None:
    """Raises PlanError where the runtime has no standby."""
    if data.follows and data.runtime != "systemd":
        raise PlanError(
            f"Host data: mosis_follows needs the runtime systemd; a standby by {data.runtime} does not exist."
        )


def follow_of(data: HostData) -> Follow | None:
    """What the settings of the host say about the store that it follows."""
    return Follow(store=data.follows, ssh_config=STANDBY_SSH_CONFIG) if data.follows else None


def plan(store: Plan) -> Plan:
    """What the host gets instead of `store`, which is what it gets once it is promoted."""
    site, *limits = store.services["nginx"].files
    answers = render_nginx("standby/nginx.conf.j2", store.data, store.settings, metrics_port=store.data.metrics_port)
    settings = store.settings.model_copy(update={"backup": None})  # the drive is for a store's own backups
    config = root_file(store.config, settings.to_toml())
    services = {
        "standby": Service((config,)),
        "nginx": Service((dataclasses.replace(site, content=answers), *limits)),
        "cron": store.services["cron"],
        "prometheus": store.services["prometheus"],
    }
    https = store.data.tls.port if store.data.tls else None
    listeners = [one for one in store.listeners if one.owner != "litestream" and one.port != https]
    directories = (
        Directory(f"{store.settings.root}/standby", "750", store.owner),
        Directory("/etc/mosis/standby", "755", "root:root"),
    )
    return dataclasses.replace(
        store,
        settings=settings,
        services=services,
        listeners=tuple(listeners),
        directories=(*store.directories, *directories),
        bucket=None,
    )
