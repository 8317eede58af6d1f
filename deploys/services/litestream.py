"""Litestream replicates every committed transaction; `mosis replicate` keeps it running, and systemd that."""

from deploys.host import files
from deploys.host.deploy import deploy
from deploys.host.processes import unit_running
from deploys.plan.model import Plan

UNIT = "mosis-litestream.service"


@deploy("Litestream")
def configured(plan: Plan) -> None:
    files.written(plan.services["litestream"].files)


@deploy("Litestream")
def running(plan: Plan) -> None:
    unit_running(name="Litestream runs as declared", unit=UNIT, service=plan.services["litestream"])
