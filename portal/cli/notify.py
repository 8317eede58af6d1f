"""`mosis notify`: what cron runs every minute where the store sends webhooks."""

import typer

from portal import settings
from portal.cli.lazy import example
from portal.jobs import notify as job
from portal.jobs.alone import RunningError
from portal.jobs.opening import open_for


def add(app: typer.Typer) -> None:
    """Declare the command."""
    app.command("notify", epilog=example("notify"))(notify)


def notify() -> None:
    """Send what waits for webhooks. Prints nothing when there is nothing."""
    store = open_for(job.JOB, settings.load())
    try:
        job.notify(store, lambda line: print(line, flush=True))
    except RunningError as running:
        print(running)
