"""Scrape and rule files for Prometheus; Debian's package if `mosis_prometheus` is `install`."""

from deploys.host import files
from deploys.host.deploy import deploy
from deploys.host.processes import unit_running
from deploys.plan.model import Plan

UNIT = "prometheus.service"


@deploy("Prometheus")
def monitoring(plan: Plan) -> None:
    service = plan.services["prometheus"]
    files.written(service.files)
    if plan.data.prometheus == "install":
        unit_running(name="Prometheus runs as declared", unit=UNIT, service=service)
