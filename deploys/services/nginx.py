"""nginx in front of the portal."""

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import operation
from pyinfra.facts.files import File, Link
from pyinfra.facts.systemd import SystemdEnabled
from pyinfra.operations import files as pyinfra_files

from deploys.host import files
from deploys.host.deploy import deploy
from deploys.host.processes import Process, Running
from deploys.plan.model import Plan, Service
from deploys.plan.nginx import CONNECTIONS

MAIN = "/etc/nginx/nginx.conf"
SITES = "/etc/nginx/sites-enabled"
REPLACED = "worker_connections (768|4096);"  # of Debian, of earlier releases
REQUESTS = "/var/log/nginx/mosis.log"
NEWEST_WORKER = "pgrep --newest --parent $(cat /run/nginx.pid)"


@operation()
def default_site_disabled() -> Generator[str]:
    """Debian's default site is disabled. Before nginx is installed the site is counted as enabled, as it will be."""
    if host.get_fact(Link, path=f"{SITES}/default") or not host.get_fact(File, path="/usr/sbin/nginx"):
        yield f"rm -f {SITES}/default"


@operation()
def serving(service: Service) -> Generator[str]:
    """nginx is enabled, its workers are younger than the files they read. An invalid configuration fails the deploy."""
    if not host.get_fact(SystemdEnabled, services=["nginx.service"]).get("nginx.service"):
        yield "systemctl enable --quiet nginx.service"
    worker = host.get_fact(Process, pid=NEWEST_WORKER, files=[*service.paths, SITES, MAIN])
    if worker != Running() or files.drifted(service.files):
        yield "nginx -t -q"
        yield "systemctl reload-or-restart nginx.service"


@deploy("nginx")
def front(plan: Plan) -> None:
    service = plan.services["nginx"]
    site, _ = service.files
    files.written(service.files)
    pyinfra_files.link(name="Site mosis enabled", path=f"{SITES}/mosis.conf", target=site.path)
    default_site_disabled(name="Default site disabled")
    pyinfra_files.replace(
        name="Connections per worker",
        path=MAIN,
        text=REPLACED,
        extended_regex=True,
        replace=f"worker_connections {CONNECTIONS};",
    )
    # nginx would create it for everybody to read, as Debian's own logs are not.
    pyinfra_files.file(name="Log of requests", path=REQUESTS, mode="640", user="www-data", group="adm")
    serving(name="nginx serves the site as declared", service=service)
