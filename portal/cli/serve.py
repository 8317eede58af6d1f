"""`mosis serve`: the portal itself."""

import typer

from portal import settings
from portal.cli.lazy import example
from portal.server import serve as server


def add(app: typer.Typer) -> None:
    """Declare the command."""
    app.command(epilog=example("serve"))(serve)


def serve() -> None:
    """Run the portal in the foreground until SIGTERM.

    It migrates an older database first: a host may go down while it is upgraded and come up with the new release.
    """
    server.serve(settings.load())
