"""The portal: settings, command, database, first token; kept up by systemd."""

from collections.abc import Iterator
from shlex import quote

from pyinfra import host
from pyinfra.api import deploy, operation
from pyinfra.facts.files import File

from deploys import files
from deploys.plan import Plan
from deploys.processes import Answers, ready, unit_running

UNIT = "mosis-portal.service"


@operation()
def database_current(mosis: str) -> Iterator[str]:
    """The database exists with the newest schema; `mosis init` refuses to make one where a backup should come back."""
    if not host.get_fact(Answers, command=f"{quote(mosis)} init --check | grep -q '\"pending\": *false'"):
        yield f"{quote(mosis)} init"


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
    database_current(name="Database with the newest schema", mosis=plan.mosis)
    admin_token(name="First admin token", mosis=plan.mosis, path=plan.admin_token)


@deploy("Portal")
def running(plan: Plan) -> None:
    unit_running(name="Portal runs as declared", unit=UNIT, service=plan.services["portal"])
    ready(name="Portal answers", mosis=plan.mosis)
