"""Litestream: copies every committed transaction out of the database, kept up by systemd."""

from pyinfra.api import deploy

from deploys import files
from deploys.model import Plan
from deploys.processes import unit_running

UNIT = "mosis-litestream.service"


@deploy("Litestream")
def configured(plan: Plan) -> None:
    files.written(plan.services["litestream"].files)


@deploy("Litestream")
def running(plan: Plan) -> None:
    unit_running(name="Litestream runs as declared", unit=UNIT, service=plan.services["litestream"])
