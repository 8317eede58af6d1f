"""`mosis install`: the device's client, which stands alone in `mosis_device`; this hands the words over."""

import sys
from contextlib import redirect_stderr
from typing import Annotated

import typer

from portal.cli.lazy import example
from portal.cli.output import beneath

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def add(app: typer.Typer) -> None:
    """Declare the command."""
    app.command(
        epilog=example("install org.example.reader --from https://cdn.example.org --from https://store.example.org"),
        context_settings=PASSED_ON,
        add_help_option=False,
    )(install)


def install(
    words: Annotated[list[str] | None, typer.Argument(help="App IDs and options; `-h` lists them.")] = None,
) -> None:
    """Install or update an app on this device, after verifying the signatures of the store and of the developer."""
    from mosis_device.cli import main

    with redirect_stderr(beneath(sys.stderr)):  # it draws a bar, and sees itself to what it quotes
        raise typer.Exit(main(words or [], prog="mosis install"))
