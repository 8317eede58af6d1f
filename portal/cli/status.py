"""`mosis status`: what the store is like."""

from typing import Annotated

import typer

from portal import settings
from portal.cli.lazy import example
from portal.faults import Fault
from portal.jobs import status as job


class NotReady(Fault):
    """The portal did not become ready in time."""


def add(app: typer.Typer) -> None:
    """Declare the command."""
    app.command(epilog=example("status", "status --json"))(status)


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    wait: Annotated[
        float, typer.Option(min=0, max=3600, help="Only wait until the portal is ready, at most this many seconds.")
    ] = 0,
) -> None:
    """Show the state of the store; exit 1 when anything needs attention."""
    chosen = settings.load()
    if wait:
        if not job.wait_ready(chosen, wait):
            raise NotReady(f"The portal was not ready within {wait:g} s: see its log.")
        return
    lines = job.status(chosen)
    if as_json:
        print(job.to_json(lines))
    else:
        for line in lines:
            print(f"{'ok   ' if line.ok else 'FAULT'} {line.name:16} {line.text}")
    if not all(line.ok for line in lines):
        raise typer.Exit(1)
