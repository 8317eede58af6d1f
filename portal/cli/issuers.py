"""`mosis issuers`: what cron runs where CI services may publish."""

import typer

from portal import settings
from portal.cli.lazy import example
from portal.jobs import issuers as job
from portal.jobs.alone import RunningError
from portal.jobs.opening import open_for


def add(app: typer.Typer) -> None:
    """Declare the command."""
    app.command("issuers", epilog=example("issuers"))(issuers)


def issuers() -> None:
    """Fetch the public keys of the CI services in the settings. Prints nothing when they are as before."""
    store = open_for(job.JOB, settings.load())
    try:
        job.fetch(store, lambda line: print(line, flush=True))
    except RunningError as running:
        print(running)
