"""`mosis init`, `serve` and `status`: what a host runs."""

import json
from typing import Annotated

import typer

from portal import settings
from portal.jobs import status as status_job
from portal.recovery import initialize
from portal.server import serve as server
from portal.store.errors import DatabaseUnusable


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command()(init)
    app.command()(serve)
    app.command()(status)


def init(
    check: Annotated[bool, typer.Option("--check", help="Only print, as JSON, what there is to do.")] = False,
) -> None:
    """Create the store's directories, database and URL keys, or bring the database to this version's schema.

    Refuses to start an empty database where a backup of a lost one exists.
    """
    chosen = settings.load()
    if check:
        print(json.dumps(initialize.pending(chosen)))
    else:
        initialize.initialize(chosen, print)


def serve() -> None:
    """Run the portal in the foreground until SIGTERM.

    It migrates an older database first: a host may go down while it is upgraded and come up with the new release.
    """
    server.serve(settings.load())


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    wait: Annotated[float, typer.Option(help="Only wait for the portal to be ready, at most this many seconds.")] = 0,
) -> None:
    """Show what the store is like; exit 1 when anything needs attention."""
    chosen = settings.load()
    if wait:
        if not status_job.wait_ready(chosen, wait):
            raise DatabaseUnusable(f"The portal was not ready within {wait:g} s.")
        return
    lines = status_job.status(chosen)
    if as_json:
        print(status_job.to_json(lines))
    else:
        for line in lines:
            print(f"{'ok   ' if line.ok else 'FAULT'} {line.name:16} {line.text}")
    if not all(line.ok for line in lines):
        raise typer.Exit(1)
