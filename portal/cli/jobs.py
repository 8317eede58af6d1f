"""`mosis cleanup`: what cron runs every hour."""

from typing import Annotated

import typer

from portal import settings
from portal.cli.lazy import example
from portal.jobs import cleanup
from portal.jobs.cleanup import Deletion
from portal.store import retention
from portal.store.clock import now
from portal.store.store import open_store


def add(app: typer.Typer) -> None:
    """Declare the command."""
    app.command("cleanup", epilog=example("cleanup --dry-run"))(run_cleanup)


def run_cleanup(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Delete although the clock or the number of due versions looks wrong.")
    ] = False,
) -> None:
    """Delete versions and uploads whose retention has ended. Prints nothing when there are none.

    Refuses if the clock may be wrong, or if more than 100 versions and 30 % of all are due at once.
    """

    def show(deletion: Deletion) -> None:
        print(f"{'would delete' if dry_run else 'deleted'} {deletion.subject} ({deletion.label})")

    if dry_run:
        store = open_store(settings.load())
        for version in retention.needed(store.db.read(), now()):
            print(f"would keep {version} ({retention.SUPERSEDED.label})")
        cleanup.cleanup(store, dry_run=True, force=force, report=show)
    else:
        cleanup.run(settings.load(), show, force=force)
