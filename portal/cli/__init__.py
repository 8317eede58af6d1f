"""The `mosis` command. Exit status: 0 done, 1 failed with one sentence on standard error, 2 wrong usage."""

import sqlite3
import sys

import typer

from portal.cli import accounts, audit, jobs, keys, lifecycle, packages, presign, server
from portal.faults import Fault
from portal.packages.errors import PackageRejected
from portal.store.errors import Refused

app = typer.Typer(
    name="mosis",
    help="A self-hosted store for .mosis app packages.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (server, jobs, accounts, keys, audit, lifecycle, packages, presign):
    module.add(app)

FAULTS = (Fault, OSError, sqlite3.Error)


def main() -> None:
    """Entry point of the `mosis` script."""
    try:
        app()
    except PackageRejected as rejected:
        for reason in rejected.errors:
            print(reason, file=sys.stderr)
        sys.exit(1)
    except Refused as refused:
        print(f"{refused.code}: {refused.detail}", file=sys.stderr)
        sys.exit(1)
    except FAULTS as fault:
        print(fault, file=sys.stderr)
        sys.exit(1)
