"""`mosis backup`, `drill` and `restore`: what cron runs, or an operator at 2 a.m."""

from contextlib import nullcontext
from datetime import datetime
from typing import Annotated

import typer

from portal import settings
from portal.cli.lazy import declaring, example
from portal.cli.progress import progress
from portal.jobs import backup, drill, recovery_figures, restore
from portal.jobs import scrub as scrubbing
from portal.jobs.opening import open_for, opened_on_full_disk
from portal.store.clock import now, rfc3339
from portal.store.store import open_store


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command(
        "restore",
        epilog=example("restore --dry-run", "restore", "restore --replace-database --at 2026-02-03T04:05:06Z"),
    )(run_restore)
    app.command("drill", epilog=example("drill"))(run_drill)
    app.command("scrub", epilog=example("scrub --dry-run", "scrub --repair"))(run_scrub)
    group = declaring("Make a backup now.")
    group.command("packages", epilog=example("backup packages --dry-run", "backup packages"))(backup_packages)
    group.command("database", epilog=example("backup database"))(backup_database)
    app.add_typer(group, name="backup")


def _moment(value: str) -> int:
    """A time in seconds since 1970; without a zone it is local."""
    try:
        at = datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(
            f"{value!r} is not a time such as 2026-02-03T04:05:06Z or '2026-02-03 04:05'."
        ) from None
    if at > now():
        raise typer.BadParameter(f"{value} is in the future: check it, and the clock of this host.")
    return int(at)


def backup_packages(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")] = False,
    adopt: Annotated[bool, typer.Option("--adopt", help="Use a drive that was another store's.")] = False,
) -> None:
    """Copy packages, assets and database snapshots to the external drive, if it is attached and marked."""
    if dry_run:
        print_outlook(backup.outlook(open_store(settings.load())))
        return
    with progress("copying to the drive") as advance:
        report = backup.packages(open_for("backup-packages", settings.load()), adopt=adopt, progress=advance)
    print(f"copied to {report.generation} ({report.drive})")
    for path in report.deleted:
        print(f"deleted {path}")


def print_outlook(found: backup.Outlook) -> None:
    print(f"{found.files} files, {found.bytes} bytes, would be copied to {found.generation}")
    for path in found.deleted:
        print(f"{path} would be deleted")


def backup_database() -> None:
    """Write a checked, compact copy of the database to backups/snapshots."""
    store = open_for("backup-database", settings.load())
    print(f"wrote {backup.database(store)}")


def run_restore(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")] = False,
    replace_database: Annotated[
        bool, typer.Option("--replace-database", help="Set the database aside and restore its last copy.")
    ] = False,
    until: Annotated[
        int | None,
        typer.Option(
            "--at",
            parser=_moment,
            metavar="TIME",
            help="Restore the database as it was then: 2026-02-03T04:05:06Z, or '2026-02-03 04:05' in local time.",
        ),
    ] = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Restore the store whose drive is attached, though it is not this host's.")
    ] = False,
) -> None:
    """Restore the database and every package and image that it names; stop the portal first."""
    with progress("checking files") as advance:
        report = restore.restore(
            settings.load(),
            dry_run=dry_run,
            replace_database=replace_database,
            until=until,
            adopt=adopt,
            progress=advance,
        )
    if report.drive_fault:
        print(f"not used: the drive: {report.drive_fault}")
    if report.bucket_fault:
        print(f"not used: the mirror: {report.bucket_fault}")
    _print_database(report, would := "would be " if dry_run else "")
    for path in report.restored:
        print(f"{path} {would}restored")
    for path in report.missing:
        print(f"{path} MISSING: in no backup")
    print(f"{report.good} files good, {len(report.restored)} {would}restored, {len(report.missing)} missing")
    if report.set_aside:
        print(f"What had to give way is in {report.set_aside}: delete it once nothing is missed.")
    if report.missing:
        raise typer.Exit(1)


def _print_database(report: restore.Report, would: str) -> None:
    if (database := report.database) is None:
        return
    last = f"up to row {database.seq} of its log, of {rfc3339(database.at)}" if database.seq else "which has no changes"
    print(f"database {would}restored from {database.name}, {last}")
    for note in database.notes:
        print(note)
    for token in report.access:
        print(f"{token}: revoke it if you do not know it (`mosis token revoke`)")
    for version in report.yanks_lost:
        print(f"{version} was yanked, which this database does not know: yank it again, or the portal offers it")
    if report.unnamed:
        versions = "1 version that is" if report.unnamed == 1 else f"{report.unnamed} versions that are"
        print(f"{would}set aside, not deleted: {versions} on the disk and not in this database")


def run_drill() -> None:
    """Rehearse a restore beside the store: every copy of the database, a portal on it, and every file on the drive."""
    with progress("checking files on the drive") as advance:
        report = drill.drill(open_for(drill.JOB, settings.load()), progress=advance)
    for name in report.copies:
        print(f"{name} can be restored")
    if report.package:
        print(f"a portal on the newest of them served {report.package}")
    if report.files is not None:
        print(f"{report.files} files on the drive are good")
    if figures := recovery_figures.sentence(report.figures):
        print(figures)


def run_scrub(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what has a good copy.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report; change nothing.")] = False,
) -> None:
    """Read every file of the store and of the drive; set damaged files aside, so that no device gets them."""
    chosen = settings.load()
    opened = nullcontext(open_store(chosen)) if dry_run else opened_on_full_disk(scrubbing.JOB, chosen)
    with progress("checking files") as advance, opened as store:
        if fault := scrubbing.drive_fault(store):
            print(f"the drive is not checked: {fault}")
        found = scrubbing.scrub(store, repair=repair, dry_run=dry_run, report=print, progress=advance)
    print(f"{found.checked} files checked, {found.corrupt} damaged, {found.repaired} mended")
    if found.remaining:
        raise typer.Exit(1)
