"""`mosis collect`: what cron runs every minute where uploads may go to the mirror's private bucket."""

import typer

from portal import settings
from portal.cli.lazy import example
from portal.jobs import collect as job
from portal.jobs.alone import RunningError
from portal.jobs.opening import open_for


def add(app: typer.Typer) -> None:
    """Declare the command."""
    app.command("collect", epilog=example("collect"))(collect)


def collect() -> None:
    """Fetch packages that were uploaded to the private bucket. Prints nothing when there are none."""
    store = open_for(job.JOB, settings.load())
    try:
        job.collect(store, report=lambda verb, key: print(f"{verb} {key}", flush=True))
    except RunningError as running:  # a large package may take longer than a minute
        print(running)
