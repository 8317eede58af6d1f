"""`mosis install`: the device's client, which stands alone in `mosis_device`; this hands the words over."""

import sys
from contextlib import redirect_stderr, suppress
from typing import Annotated

import typer
from typer._click import Context
from typer._click.shell_completion import CompletionItem
from typer.core import TyperCommand

from portal.cli.lazy import example
from portal.cli.output import beneath

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


class PassedOnCommand(TyperCommand):
    """A command whose options are those of the device's client."""

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """The options of the client, where it is installed."""
        with suppress(ImportError):
            from mosis_device.cli import options

            return [CompletionItem(name, help=text) for name, text in options() if name.startswith(incomplete or "-")]
        return []


def add(app: typer.Typer) -> None:
    """Declare the command."""
    app.command(
        cls=PassedOnCommand,
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
