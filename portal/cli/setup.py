"""`mosis setup`: the start of a store."""

import json
from typing import Annotated

import typer

from portal import settings
from portal.cli.lazy import example
from portal.recovery import initialize


def add(app: typer.Typer) -> None:
    """Declare the command."""
    app.command(epilog=example("setup --check", "setup"))(setup)


def setup(
    check: Annotated[bool, typer.Option("--check", help="Print as JSON what there is to do; change nothing.")] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Start an empty store although the deploy has noted one on this host.")
    ] = False,
) -> None:
    """Create the store's directories, database and URL keys, or migrate the database to this release's schema.

    Refuses to start an empty database where a backup of a lost one exists, or where the deploy has noted a store whose
    volume may not be mounted.
    """
    chosen = settings.load()
    if check:
        print(json.dumps(initialize.pending(chosen)))
    else:
        initialize.initialize(chosen, print, new=new)
