"""`mosis replicate`: Litestream, kept running, and its replica, kept proved."""

from pathlib import Path
from typing import Annotated

import typer

from portal.cli.lazy import example
from portal.jobs import replicate as keeping


def add(app: typer.Typer) -> None:
    """Declare the command."""
    app.command(epilog=example("replicate /srv/mosis /etc/mosis/litestream.yml"))(replicate)


def replicate(
    root: Annotated[Path, typer.Argument(help="The root of the store.")],
    config: Annotated[Path, typer.Argument(help="Litestream's configuration.")],
) -> None:
    """Run Litestream until SIGTERM: restart it when it fails, and prove every few minutes that its replica is good."""
    keeping.replicate(root, config)
