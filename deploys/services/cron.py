"""The host's schedules."""

from pyinfra.api import deploy

from deploys.host import files
from deploys.plan.model import Plan


@deploy("Schedules")
def schedules(plan: Plan) -> None:
    """One file for cron, which notices by itself when it changes."""
    files.written(plan.services["cron"].files)
