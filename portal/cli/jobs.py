"""`mosis cleanup`, `backup`, `drill`, `restore`, `follow`, `promote`: what cron runs, or an operator at 2 a.m."""

from pathlib import Path
from typing import Annotated

import typer

from portal import settings
from portal.cli.progress import progress
from portal.jobs import backup, cleanup, drill, restore, standby
from portal.jobs import follow as following
from portal.recovery import initialize
from portal.store import audit, files
from portal.store.clock import rfc3339
from portal.store.layout import Layout
from portal.store.store import open_store

DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing, only tell.")]


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command("cleanup")(run_cleanup)
    app.command("restore")(run_restore)
    app.command("drill")(run_drill)
    app.command()(follow)
    app.command()(promote)
    app.command(hidden=True)(schedule)
    app.command(hidden=True)(rotate)
    group = typer.Typer(help="Make a backup now.", no_args_is_help=True)
    group.command("packages")(backup_packages)
    group.command("database")(backup_database)
    app.add_typer(group, name="backup")


def run_cleanup(dry_run: DryRun = False) -> None:
    """Delete versions and uploads whose retention is over. Silent when there are none."""
    for deletion in cleanup.cleanup(open_store(settings.load()), dry_run=dry_run):
        print(f"{'would delete' if dry_run else 'deleted'} {deletion.subject} ({deletion.label})")


def backup_packages() -> None:
    """Copy packages, assets and database snapshots to the external drive, if it is attached and marked."""
    print(f"copied to {backup.packages(open_store(settings.load()))}")


def backup_database() -> None:
    """Write a checked, compact copy of the database to backups/snapshots."""
    print(f"wrote {backup.database(open_store(settings.load()))}")


def run_restore(
    dry_run: DryRun = False,
    replace_database: Annotated[
        bool, typer.Option("--replace-database", help="Set the database aside and take its last copy.")
    ] = False,
) -> None:
    """Bring back the database and every package and image that it names; the portal must be stopped."""
    with progress("checking files") as advance:
        report = restore.restore(
            settings.load(), dry_run=dry_run, replace_database=replace_database, progress=advance
        )  # fmt: skip
    would = "would be " if dry_run else ""
    if report.database_from:
        print(f"database {would}restored from {report.database_from}")
        if dry_run:
            return
    for path in report.restored:
        print(f"{path} {would}restored")
    for path in report.missing:
        print(f"{path} MISSING: in no backup")
    print(f"{report.good} files good, {len(report.restored)} {would}restored, {len(report.missing)} missing")
    if report.missing:
        raise typer.Exit(1)


def run_drill() -> None:
    """Rehearse a restore beside the store: every copy of the database, and every file on the drive."""
    with progress("checking files on the drive") as advance:
        report = drill.drill(open_store(settings.load()), progress=advance)
    for name in report.copies:
        print(f"{name} can be restored")
    if report.files is not None:
        print(f"{report.files} files on the drive are good")


def follow() -> None:
    """On a standby: pull the store that it follows, once. Silent when that went well."""
    chosen = settings.load()
    if copy := following.follow(chosen):
        from portal.metrics import standby_exposition  # here, because no other command needs it

        files.write_file(Layout(chosen.root).standby_metrics, standby_exposition(chosen, copy.success_at))


def promote() -> None:
    """Make the copy of a host that no longer follows its own; the deploy runs this. Nothing to do on a store."""
    chosen = settings.load()
    with standby.promotion(chosen) as copy:
        if copy is None:
            return
        initialize.initialize(chosen, print)
        with open_store(chosen).db.write() as tx:
            audit.append(tx, audit.OPERATOR, "store.promote", copy.store, copied_at=copy.success_at)
    print(f"promoted: this host has the data of {copy.store} as of {rfc3339(copy.success_at)}")


def schedule(lines: Annotated[list[str], typer.Argument(metavar="LINE...")]) -> None:
    """Run commands at their times until stopped: lines as in a crontab, '30 2 * * * backup database'."""
    from portal.jobs import scheduler  # here, because no other command needs it

    scheduler.serve(settings.load(), lines)


def rotate(log: Path, pid_file: Path) -> None:
    """Set nginx's log aside if it is large, and let nginx open a new one."""
    from portal.jobs import log_rotation  # here, because no other command needs it

    if log_rotation.rotate(log, pid_file):
        print(f"rotated {log}")
