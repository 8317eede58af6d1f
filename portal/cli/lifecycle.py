"""`mosis lifecycle`: the bucket's expiry rules, as the deploy compares and applies them."""

import json
from pathlib import Path

import typer

from portal import settings
from portal.mirror import lifecycle
from portal.settings import S3, SettingsError


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    group = typer.Typer(help="Lifecycle rules of the mirror's bucket.", no_args_is_help=True)
    group.command("show")(show)
    group.command("apply")(apply)
    app.add_typer(group, name="lifecycle")


def show() -> None:
    """Print the bucket's rules as JSON."""
    print(json.dumps(lifecycle.current(_engine())))


def apply(file: Path) -> None:
    """Make the rules in a JSON file the bucket's, and read them back."""
    lifecycle.apply(_engine(), json.loads(file.read_text())["Rules"])


def _engine() -> S3:
    mirror = settings.load().mirror
    if mirror is None:
        raise SettingsError("No mirror is configured.")
    return mirror
