"""`mosis rebuild`: for an operator whose copies of the database are all lost."""

from typing import Annotated

import typer

from portal import settings
from portal.cli.lazy import example
from portal.cli.progress import progress
from portal.jobs import rebuild


def add(app: typer.Typer) -> None:
    """Declare the command."""
    app.command("rebuild", epilog=example("rebuild --dry-run", "rebuild"))(run_rebuild)


def run_rebuild(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")] = False,
    replace_database: Annotated[
        bool, typer.Option("--replace-database", help="Set the database that is there aside.")
    ] = False,
    ignore_copies: Annotated[
        bool, typer.Option("--ignore-copies", help="Rebuild although a copy of the database can be restored.")
    ] = False,
) -> None:
    """Make the database again from the records beside the packages; stop the portal first. `mosis restore` loses less.

    Tokens are not in the records: nobody can log in until new ones are issued.
    """
    with progress("reading records") as advance:
        report = rebuild.rebuild(
            settings.load(),
            replace_database=replace_database,
            ignore_copies=ignore_copies,
            dry_run=dry_run,
            progress=advance,
        )
    would = "would be " if dry_run else ""
    for sentence in report.left_out:
        print(sentence)
    print(", ".join(f"{number} {table}" for table, number in report.rows.items()) + f" {would}rebuilt")
    if report.unnamed:
        print(f"{report.unnamed} directories of packages without a record {would}set aside, not deleted")
    if report.set_aside:
        print(f"What had to give way is in {report.set_aside}: delete it once nothing is missed.")
    if not dry_run:
        print("No token is valid any more: delete secrets/admin-token below the root and deploy, then issue new ones.")
    if report.left_out or report.unnamed:
        raise typer.Exit(1)
