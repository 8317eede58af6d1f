"""The `mosis` command. Exit status: 0 done, 1 failed with a sentence on standard error, 2 wrong usage."""

import sys
from typing import Annotated

import typer
from typer._click.exceptions import BadParameter, ClickException, NoArgsIsHelpError, UsageError

from portal import __version__
from portal.cli.faults import FAULTS, plainly, sentences
from portal.cli.lazy import LazyGroup
from portal.cli.output import plain
from portal.cli.table import INTERRUPTED, needed_extra

app = typer.Typer(
    name="mosis",
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExit status: 0 done, 1 failed, 2 wrong usage; 3 rejected by a reviewer, 4 not signed in,\n"
    "5 the store cannot be reached, 130 interrupted.\n`mosis COMMAND --help` shows an example.",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mosis {__version__}")
        raise typer.Exit


@app.callback()
def mosis(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """A self-hosted store for .mosis app packages."""


def main() -> None:
    """Entry point of the `mosis` script."""
    with plain():
        status = _ran()
    sys.exit(status)


def _ran() -> int:
    """The exit status of the command line; what went wrong is printed."""
    try:
        status = app(standalone_mode=False)
    except NoArgsIsHelpError as bare:  # whose message is the help
        bare.show()
        return bare.exit_code
    except ClickException as wrong:
        if isinstance(wrong, BadParameter):  # whose form has more before the message
            wrong.message = plainly(wrong.message)
        UsageError(plainly(wrong.format_message()), getattr(wrong, "ctx", None)).show()
        return wrong.exit_code
    except typer.Abort:  # at a question
        return INTERRUPTED
    except ModuleNotFoundError as missing:
        if not (extra := needed_extra(missing.name, sys.argv[1:])):
            raise
        print(extra, file=sys.stderr)
        return 1
    except FAULTS as fault:
        print(sentences(fault), file=sys.stderr)
        return int(getattr(fault, "exit_status", 1))
    return status if isinstance(status, int) else 0
