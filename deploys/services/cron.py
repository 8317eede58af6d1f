"""The host's schedules."""

from deploys.host import files
from deploys.host.deploy import deploy
from deploys.plan.model import Plan


@deploy("Schedules")
def schedules(plan: Plan) -> None:
    """One file in /etc/cron.d; cron notices changes by itself."""
    files.written(plan.services["cron"].files)
