"""`mosis trust`: which CI services may publish an app without a stored token."""

import json
from typing import Annotated

import typer

from portal.cli.apps import AppId
from portal.cli.lazy import declaring, example
from portal.cli.output import line, table
from portal.cli.signed_in import AsJson, StoreUrl, connected
from portal.developer.answers import Publisher, Publishers

Number = Annotated[int, typer.Argument(min=1, metavar="NUMBER", help="The publisher's number, as `trust list` shows.")]


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    group = declaring("Let CI jobs publish an app without a stored token.")
    group.command("add", epilog=example("trust add org.acme.hello --issuer https://gitlab.com --repository-id 4711"))(
        add_publisher
    )
    group.command("list", epilog=example("trust list org.acme.hello"))(list_publishers)
    group.command("remove", epilog=example("trust remove org.acme.hello 1"))(remove)
    app.add_typer(group, name="trust")


def add_publisher(
    app_id: AppId,
    issuer: Annotated[str, typer.Option(help="URL of the CI service, one that the store trusts.")],
    repository_id: Annotated[str, typer.Option(help="The id there, which outlives the name; GitLab: of the project.")],
    ref: Annotated[str, typer.Option(help="Only this branch or tag, such as refs/heads/main or 'refs/tags/v*'.")] = "",
    environment: Annotated[str, typer.Option(help="Only this environment.")] = "",
    as_json: AsJson = False,
    url: StoreUrl = None,
) -> None:
    """Let the CI jobs of a repository publish an app: `mosis push` in a job then needs no token."""
    body = {"issuer": issuer, "repository_id": repository_id, "ref": ref, "environment": environment}
    made = connected(url).post(f"/api/apps/{app_id}/publishers", Publisher, body)
    if as_json:
        print(json.dumps(made.as_sent()))
    else:
        line(f"{app_id} trusts repository {made.repository_id} of {made.issuer}, publisher {made.number}")


def list_publishers(app_id: AppId, as_json: AsJson = False, url: StoreUrl = None) -> None:
    """List the repositories that an app trusts: number, service, repository id, ref, environment."""
    found = connected(url).get(f"/api/apps/{app_id}/publishers", Publishers)
    if as_json:
        print(json.dumps(found.as_sent()["publishers"]))
        return
    table(
        ("number", "issuer", "repository", "ref", "environment"),
        [(p.number, p.issuer, p.repository_id, p.ref or "any", p.environment or "any") for p in found.publishers],
    )


def remove(app_id: AppId, number: Number, url: StoreUrl = None) -> None:
    """Trust a repository no more; the tokens that its jobs have end at once."""
    connected(url).request("DELETE", f"/api/apps/{app_id}/publishers/{number}")
    print(f"{app_id} no longer trusts publisher {number}")
