"""The `mosis` command. Exit status: 0 done, 1 failed with one sentence on standard error, 2 wrong usage."""

import sys

import typer

from portal.cli import accounts, audit, jobs, keys, lifecycle, packages, presign, server
from portal.mirror.client import MirrorError
from portal.packages.errors import PackageRejected
from portal.packages.keys import KeyUnusable
from portal.recovery.errors import BackupError
from portal.settings import SettingsError
from portal.store.errors import DatabaseBusy, DatabaseUnusable, Refused

app = typer.Typer(
    name="mosis",
    help="A self-hosted store for .mosis app packages.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (server, jobs, accounts, keys, audit, lifecycle, packages, presign):
    module.add(app)

FAULTS = (SettingsError, DatabaseUnusable, DatabaseBusy, BackupError, MirrorError, KeyUnusable, OSError)


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
