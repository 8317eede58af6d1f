"""`mosis mirror`: what cron runs every few minutes."""

import sys
from typing import Annotated

import typer

from portal import settings
from portal.cli.lazy import example
from portal.cli.progress import progress
from portal.jobs import mirror as job
from portal.jobs.alone import RunningError
from portal.jobs.opening import open_for
from portal.mirror import private_probe
from portal.mirror.client import Bucket
from portal.mirror.probe import probe as probed
from portal.mirror.providers import engine_of
from portal.printable import printable
from portal.store.store import open_store


def add(app: typer.Typer) -> None:
    """Declare the command."""
    app.command("mirror", epilog=example("mirror --dry-run", "mirror --probe", "mirror"))(mirror)


def mirror(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Compare the list of the bucket's objects first.")] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Use a bucket that is not empty, or was another store's.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Delete although the clock or the number of objects looks wrong.")
    ] = False,
    probe: Annotated[bool, typer.Option("--probe", help="Only try what the bucket honours.")] = False,
) -> None:
    """Copy what is published to the mirror's bucket. Prints nothing when there is nothing to do."""
    if probe:
        _probe()
        return
    if dry_run:
        found = job.preview(open_store(settings.load()))
        for verb, keys in (("copy", found.copied), ("delete", found.deleted)):
            for key in keys:
                print(f"would {verb} {key}")
        return
    store = open_for(job.JOB, settings.load())
    try:
        with progress("copying to the bucket") as advance:
            done = job.mirror(
                store,
                verify=verify,
                adopt=adopt,
                force=force,
                report=lambda verb, key: print(f"{verb} {key}", flush=True),
                progress=advance,
            )
    except RunningError as running:  # the first run may take longer than the time between two
        print(running)
        return
    for key in done.strangers:
        print(f"not the store's: {printable(key)}", file=sys.stderr)


def _probe() -> None:
    engine = engine_of(settings.load())
    found = probed(Bucket(engine))
    if engine.private:
        found += probed(Bucket(engine.private), private_probe.CHECKS)
    for finding in found:
        print(finding)
    if any(finding.check.required and not finding.ok for finding in found):
        raise typer.Exit(1)
