"""`mosis lifecycle`: the rules of the buckets, shown and brought up to date."""

import json
import sys
from typing import Annotated

import typer

from portal import settings
from portal.cli.lazy import declaring, example
from portal.mirror import declared


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    group = declaring("Rules of the mirror's buckets: expiry, and which web pages may upload.")
    group.command("show", epilog=example("lifecycle show"))(show)
    group.command("apply", epilog=example("lifecycle apply --dry-run"))(apply)
    app.add_typer(group, name="lifecycle")


def show() -> None:
    """Print all rules of the buckets as JSON."""
    print(json.dumps(declared.found(settings.load()), default=str))


def apply(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")] = False,
) -> None:
    """Bring the store's own rules up to date. Rules of others are kept."""
    own = settings.load()
    found = declared.found(own)
    if not dry_run:
        declared.apply(own, found)
    for line in declared.lines(own, found):
        print(f"would {line}" if dry_run else line)
    for warning in declared.warnings(own, found):
        print(warning, file=sys.stderr)
