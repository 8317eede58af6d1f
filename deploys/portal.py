"""The portal: settings, command, database, first token; kept up by systemd."""

import json
from collections.abc import Iterator
from shlex import quote

from pyinfra import host
from pyinfra.api import FactBase, deploy, operation
from pyinfra.facts.files import File

from deploys import files
from deploys.model import Plan
from deploys.plan import EXCHANGE, GOOD
from deploys.processes import portal_health, unit_running, unit_stopped
from deploys.release import CURRENT, PREVIOUS
from portal.store.database import migrations

UNIT = "mosis-portal.service"
BRIDGE = "mosis-portal-bridge.service"


class Schema(FactBase[int | None]):
    """Number of migrations the host's database has seen, None while there is none or nothing to ask it with."""

    def command(self, asking: str) -> str:
        return f"{asking} init --check 2>/dev/null || true"

    def process(self, output: list[str]) -> int | None:
        return json.loads(output[-1])["schema"]


@operation()
def database_current(plan: Plan, schema: int) -> Iterator[str]:
    """The database exists with the release's schema; `mosis init` refuses to make one where a backup should come back.

    Compared with what this checkout knows, not with what the release that still runs there believes.
    """
    if host.get_fact(Schema, asking=plan.asking) != schema:
        yield f"{quote(plan.mosis)} init"


@operation()
def admin_token(mosis: str, path: str) -> Iterator[str]:
    """A first admin token stands in `path`, readable by the store's user only."""
    if not host.get_fact(File, path=path):
        yield f"{quote(mosis)} token create admin --scope admin --days 3650 --output {quote(path)}"


@deploy("Portal")
def configured(plan: Plan) -> None:
    """Every file the portal reads, and the `mosis` command."""
    files.written((*plan.services["portal"].files, plan.command))


@deploy("Portal")
def database(plan: Plan) -> None:
    database_current(name="Database with the newest schema", plan=plan, schema=len(migrations()))
    admin_token(name="First admin token", mosis=plan.mosis, path=plan.admin_token)


@deploy("Portal")
def running(plan: Plan) -> None:
    health = portal_health(plan, f"journalctl --unit {UNIT} --lines 20 --no-pager")
    service = plan.services["portal"]
    unit_running(name="Portal runs as declared", unit=UNIT, service=service, health=health, exchange=EXCHANGE)
    unit_stopped(name="No second portal", unit=BRIDGE, command=f"{EXCHANGE} --end")
    files.kept(name="Keep the portal's files", wanted=service.files, links=(CURRENT, PREVIOUS), good=GOOD)
