"""The portal: settings, command, database, first token; systemd keeps it running."""

import json
from collections.abc import Generator
from shlex import quote

from pyinfra import host
from pyinfra.api import FactBase, operation
from pyinfra.api.exceptions import DeployError

from deploys.host import files
from deploys.host.deploy import deploy
from deploys.host.processes import Succeeds, portal_health, unit_running, unit_stopped
from deploys.plan.model import Plan
from deploys.plan.paths import CURRENT, EXCHANGE, GOOD, PREVIOUS
from portal.store.layout import Layout
from portal.store.schema import Schema, migrations

UNIT = "mosis-portal.service"
BRIDGE = "mosis-portal-bridge.service"


class HostSchema(FactBase[Schema | None]):
    """The schema of the host's database, None without a database; 0 if no release is installed that could read it."""

    def command(self, offline_command: str, database: str) -> str:
        unknown = f"{{ [ ! -s {quote(database)} ] || echo '{{\"schema\": 0}}'; }}"
        asked = (f"{offline_command} {name} --check 2>/dev/null" for name in ("setup", "init"))  # the older name
        return " || ".join((*asked, unknown))

    def process(self, output: list[str]) -> Schema | None:
        answer = json.loads(output[-1])
        number = answer["schema"]
        return None if number is None else Schema(number, answer.get("compatible_from", number))


def _schema(plan: Plan) -> Schema | None:
    return host.get_fact(
        HostSchema, offline_command=plan.offline_command, database=str(Layout(plan.settings.root).database)
    )


@operation()
def database_there(plan: Plan) -> Generator[str]:
    """The database exists; `mosis setup` refuses to create one where a backup should be restored.

    An older database is only migrated when the portal is replaced or started: a run that fails earlier leaves it
    unchanged.
    """
    if _schema(plan) is None:
        yield f"{quote(plan.mosis)} setup"


@operation()
def admin_token(mosis: str, path: str) -> Generator[str]:
    """The file `path` contains the first admin token, readable by the store's user only.

    It gets another one once no admin token is valid. If the operator moves the file elsewhere, no other token is
    created while that one is valid, unless the database comes from another host.
    """
    create = f"{quote(mosis)} token create admin --scope admin --first --output {quote(path)}"
    # In a dry run mosis may not work yet, or not again, and says nothing: then the file counts.
    valid = f'found=$({create} --check 2>/dev/null) || {{ test -z "$found" && test -s {quote(path)}; }}'
    if not host.get_fact(Succeeds, command=valid):
        yield f"{create} --days 90"


@deploy("Portal")
def configured(plan: Plan) -> None:
    """Every file the portal reads, and the `mosis` command."""
    service = plan.services["portal"]
    files.written((*service.files, plan.command), service.reads)


@deploy("Portal")
def database(plan: Plan) -> None:
    """The database, and then a note outside the root that there is one.

    Raises DeployError if this release is too old for the host's database, before anything is changed.
    """
    found, own = _schema(plan), len(migrations())
    if found and found.compatible_from > own:
        raise DeployError(
            f"{host.name}: the database has schema {found.number}, for releases of schema {found.compatible_from} and "
            f"newer; this checkout has schema {own}. Deploy a newer checkout."
        )
    database_there(name="Database", plan=plan)
    if plan.note:
        files.written((plan.note,))


@deploy("Portal")
def access(plan: Plan) -> None:
    """Needs the portal to run as declared: before that, the database may be too old for the command."""
    admin_token(name="First admin token", mosis=plan.mosis, path=plan.admin_token)


@deploy("Portal")
def running(plan: Plan) -> None:
    health = portal_health(plan, f"journalctl --unit {UNIT} --lines 20 --no-pager")
    service = plan.services["portal"]
    unit_running(name="Portal runs as declared", unit=UNIT, service=service, health=health, exchange=EXCHANGE)
    unit_stopped(name="No second portal", unit=BRIDGE, command=f"{EXCHANGE} --end")
    files.kept(name="Keep the portal's files", wanted=service.files, links=(CURRENT, PREVIOUS), good=GOOD)
