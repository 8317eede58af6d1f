"""`mosis developer` and `token`: people on this host's store."""

from pathlib import Path
from typing import Annotated

import typer

from portal import settings
from portal.http.schemas import NewDeveloper
from portal.store import developers, files, tokens
from portal.store.audit import OPERATOR
from portal.store.clock import now, rfc3339
from portal.store.store import open_store

SECRET_MODE = 0o600


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    for name, text, commands in (
        ("developer", "People who publish.", {"add": developer_add, "list": developer_list}),
        ("token", "Tokens for the API.", {"create": token_create, "list": token_list, "revoke": token_revoke}),
    ):
        group = typer.Typer(help=text, no_args_is_help=True)
        for command, function in commands.items():
            group.command(command)(function)
        app.add_typer(group, name=name)


def developer_add(developer_id: str, name: str) -> None:
    """Add a developer."""
    checked = NewDeveloper(developer_id=developer_id, name=name)
    with open_store(settings.load()).db.write() as tx:
        developers.add(tx, OPERATOR, checked.developer_id, checked.name)


def developer_list() -> None:
    """List developers."""
    for developer in developers.every(open_store(settings.load()).db.read()):
        print(f"{developer.developer_id}\t{developer.name}")


def token_create(
    developer_id: str,
    scope: Annotated[str, typer.Option(help="developer, reviewer or admin")] = "developer",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is valid.")] = 90,
    output: Annotated[Path | None, typer.Option(help="A new file for it, mode 600, instead of printing it.")] = None,
) -> None:
    """Issue a token; with scope admin a developer that is new is added."""
    if scope not in tokens.Scope.__args__:
        raise typer.BadParameter(f"{scope} is none of developer, reviewer, admin")
    if output is not None and output.exists():
        raise FileExistsError(f"{output} exists already.")
    store = open_store(settings.load())
    with store.db.write() as tx:
        if scope == "admin" and developer_id not in {d.developer_id for d in developers.every(tx)}:
            developers.add(
                tx, OPERATOR, NewDeveloper(developer_id=developer_id, name=developer_id).developer_id, "Admin"
            )
        _, text = tokens.issue(tx, OPERATOR, developer_id, scope, days)
        if output is not None:
            files.write_file(output, text.encode() + b"\n", mode=SECRET_MODE, replace=False)
    if output is None:
        print(text)


def token_list() -> None:
    """List tokens, never their secrets: id, developer, scope, state, end and last use."""
    for token in tokens.every(open_store(settings.load()).db.read()):
        state = "revoked" if token.revoked_at else "expired" if token.expires_at <= now() else "valid"
        used = rfc3339(token.last_used_at) if token.last_used_at else "never"
        print(f"{token.token_id}\t{token.developer_id}\t{token.scope}\t{state}\t{rfc3339(token.expires_at)}\t{used}")


def token_revoke(developer_id: str, token_id: str) -> None:
    """Revoke a token, effective at once."""
    with open_store(settings.load()).db.write() as tx:
        tokens.revoke(tx, OPERATOR, developer_id, token_id)
