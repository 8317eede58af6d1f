"""The portal: settings, command, database, first token; kept up by systemd."""

import json
from collections.abc import Generator
from shlex import quote

from pyinfra import host
from pyinfra.api import FactBase, operation
from pyinfra.api.exceptions import DeployError
from pyinfra.facts.files import File

from deploys.host import files
from deploys.host.deploy import deploy
from deploys.host.processes import portal_health, unit_running, unit_stopped
from deploys.plan.model import Plan
from deploys.plan.paths import CURRENT, EXCHANGE, GOOD, PREVIOUS
from portal.store.layout import Layout
from portal.store.schema import Schema, migrations

UNIT = "mosis-portal.service"
BRIDGE = "mosis-portal-bridge.service"


class HostSchema(FactBase[Schema | None]):
    """The host's database, None while there is none; schema 0 where there is nothing to ask it with before a run."""

    def command(self, offline_command: str, database: str) -> str:
        unknown = f"{{ [ ! -s {quote(database)} ] || echo '{{\"schema\": 0}}'; }}"
        return f"{offline_command} init --check 2>/dev/null || {unknown}"

    def process(self, output: list[str]) -> Schema | None:
        told = json.loads(output[-1])
        number = told["schema"]
        return None if number is None else Schema(number, told.get("compatible_from", number))


def _schema(plan: Plan) -> Schema | None:
    return host.get_fact(
        HostSchema, offline_command=plan.offline_command, database=str(Layout(plan.settings.root).database)
    )


@operation()
def database_there(plan: Plan) -> Generator[str]:
    """The database exists; `mosis init` refuses to make one where a backup should come back.

    An older one is migrated when the portal is exchanged or started, and not before: until then nothing has happened.
    """
    if _schema(plan) is None:
        yield f"{quote(plan.mosis)} init"


@operation()
def admin_token(mosis: str, path: str) -> Generator[str]:
    """A first admin token stands in `path`, readable by the store's user only."""
    if not host.get_fact(File, path=path):
        yield f"{quote(mosis)} token create admin --scope admin --days 3650 --output {quote(path)}"


@deploy("Portal")
def configured(plan: Plan) -> None:
    """Every file the portal reads, and the `mosis` command."""
    files.written((*plan.services["portal"].files, plan.command))


@deploy("Portal")
def database(plan: Plan) -> None:
    """Raises DeployError where the host's database is not for this release, before anything is touched."""
    found, own = _schema(plan), len(migrations())
    if found and found.compatible_from > own:
        raise DeployError(
            f"{host.name}: The database has schema {found.number}, for releases of schema {found.compatible_from} and "
            f"newer; this checkout's is {own}: deploy a newer one."
        )
    database_there(name="Database", plan=plan)


@deploy("Portal")
def access(plan: Plan) -> None:
    """By the release that runs: until it does, the database may be older than its commands."""
    admin_token(name="First admin token", mosis=plan.mosis, path=plan.admin_token)


@deploy("Portal")
def running(plan: Plan) -> None:
    health = portal_health(plan, f"journalctl --unit {UNIT} --lines 20 --no-pager")
    service = plan.services["portal"]
    unit_running(name="Portal runs as declared", unit=UNIT, service=service, health=health, exchange=EXCHANGE)
    unit_stopped(name="No second portal", unit=BRIDGE, command=f"{EXCHANGE} --end")
    files.kept(name="Keep the portal's files", wanted=service.files, links=(CURRENT, PREVIOUS), good=GOOD)
