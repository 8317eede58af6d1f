"""`mosis lifecycle`: the bucket's expiry rules, shown and brought up to date."""

import json
import sys
from typing import Annotated

import typer

from portal import settings
from portal.cli.lazy import declaring, example
from portal.mirror import lifecycle
from portal.mirror.client import Bucket
from portal.mirror.providers import engine_of


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    group = declaring("Lifecycle rules of the mirror's bucket.")
    group.command("show", epilog=example("lifecycle show"))(show)
    group.command("apply", epilog=example("lifecycle apply --dry-run"))(apply)
    app.add_typer(group, name="lifecycle")


def show() -> None:
    """Print all rules of the bucket as JSON."""
    print(json.dumps(lifecycle.current(Bucket(engine_of(settings.load()))), default=str))


def apply(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")] = False,
) -> None:
    """Bring the store's own rules up to date. Rules of others are kept."""
    done = lifecycle.apply(engine_of(settings.load()), dry_run=dry_run)
    for line in done.lines():
        print(f"would {line}" if dry_run else line)
    for warning in done.warnings():
        print(warning, file=sys.stderr)
