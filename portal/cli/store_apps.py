"""`mosis app`: the apps of this host's store, for its operator."""

import json
from collections.abc import Mapping
from typing import Annotated

import typer

from portal import settings
from portal.cli.lazy import declaring, example
from portal.cli.output import line, newest_first, table
from portal.cli.parameters import DeveloperId, app_id, checked, developer_id, reason_option
from portal.packages.identifiers import LARGEST_INTEGER
from portal.packages.texts import Name
from portal.store import apps, asset_rows, deletion, downloads, listing, transfers, versions
from portal.store.audit import OPERATOR
from portal.store.clock import rfc3339
from portal.store.store import Store, open_store

AppId = Annotated[
    str, typer.Argument(parser=app_id, metavar="APP_ID", help="The app's id, such as org.example.reader.")
]
Code = Annotated[int, typer.Argument(min=1, max=LARGEST_INTEGER, metavar="VERSION_CODE", help="The version's code.")]
Why = Annotated[str, reason_option("Why; the audit log has it, and for a deleted version devices see it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would happen; change nothing.")]
COPIES = (
    "Copies stay until they expire: older generations on the drive, snapshots and the replica of the database. The"
    " audit log keeps ids, names and digests."
)


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    group = declaring("The apps of the store.")
    group.command("list", epilog=example("app list --developer acme"))(list_apps)
    group.command("show", epilog=example("app show org.example.reader"))(show)
    group.command("rename", epilog=example('app rename org.example.reader "Reader"'))(rename)
    group.command("transfer", epilog=example('app transfer org.example.reader umbrella --reason "Sold."'))(transfer)
    group.command(
        "delete",
        epilog=example(
            'app delete org.example.reader --reason "By order of a court." --dry-run',
            'app delete org.example.reader --version-code 3 --reason "Leaks a password."',
        ),
    )(delete)
    app.add_typer(group, name="app")


def list_apps(
    developer: Annotated[
        str | None,
        typer.Option(parser=developer_id, metavar="DEVELOPER_ID", help="Only the apps of this developer."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """List apps, published or not: id, owner, current version code, last change, name."""
    found = apps.every(open_store(settings.load()).db.read(), developer)
    if as_json:
        for app in found:
            times = {"updated_at": rfc3339(app.updated_at), "created_at": rfc3339(app.created_at)}
            print(json.dumps(vars(app) | times))
    else:
        rows = [(app.app_id, app.developer_id, app.published_code, rfc3339(app.updated_at), app.name) for app in found]
        table(("app", "owner", "current", "updated", "name"), rows)


def show(app_id: AppId) -> None:
    """Show an app and its versions."""
    db = open_store(settings.load()).db.read()
    app = apps.get(db, app_id)
    counts = downloads.totals(db, app_id)
    line(f"{app.app_id}, {app.name}, of {app.developer_id}")
    heads = ("code", "version", "status", "since", "size", "downloads", "reasons")
    table(heads, [_row(version, counts) for version in newest_first(versions.of_app(db, app_id))])


def _row(version: versions.Version, downloaded: Mapping[int, int]) -> tuple[object, ...]:
    code, reasons = version.version_code, " ".join(json.loads(version.reasons))
    since, number = rfc3339(version.status_at), downloaded.get(code or 0, 0)
    return code, version.version_name, version.status, since, version.size, number, reasons


def rename(
    app_id: AppId, name: Annotated[str, typer.Argument(parser=checked(Name), metavar="NAME", help="The new name.")]
) -> None:
    """Change the name that the store shows, until the next publish brings that of its manifest."""
    with open_store(settings.load()).db.write() as tx:
        listing.replace(tx, OPERATOR, apps.get(tx, app_id), {"name": name})
    print(f"renamed {app_id} to {name}")


def transfer(app_id: AppId, developer_id: DeveloperId, reason: Why, dry_run: DryRun = False) -> None:
    """Give an app to another developer; its key continues to sign it until the new owner rotates that."""
    store = open_store(settings.load())
    before = apps.get(store.db.read(), app_id).developer_id
    if dry_run:
        print(f"would transfer {app_id} from {before} to {developer_id}")
        return
    transfers.transfer(store, OPERATOR, app_id, developer_id, reason)
    print(f"transferred {app_id} from {before} to {developer_id}")


def delete(
    app_id: AppId,
    reason: Why,
    version_code: Annotated[int | None, typer.Option(min=1, max=LARGEST_INTEGER, help="Only this version.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Delete an app, or one version, for good: files go at once, catalogue and bucket follow, no id is used again."""
    store = open_store(settings.load())
    for subject in _doomed(store, app_id, version_code):
        line("would delete" if dry_run else "deleting", subject)
    if not dry_run:
        if version_code is None:
            deletion.delete_app(store, OPERATOR, app_id, reason)
        else:
            deletion.delete_version(store, OPERATOR, app_id, version_code, reason)
    print(COPIES)


def _doomed(store: Store, app_id: str, version_code: int | None) -> list[str]:
    """What there is to delete, one line each. Raises Refused (NOT_FOUND)."""
    db = store.db.read()
    app = apps.get(db, app_id)
    found = [one for one in versions.placed_of_app(db, app_id) if version_code in (None, one.version_code)]
    if version_code is not None and not found:
        raise versions.not_found(app_id, version_code)
    lines = [f"{app_id} {one.version_code} ({one.status}, {one.size} bytes)" for one in found]
    if version_code is None:
        lines += [f"{app_id} {asset.name}" for asset in asset_rows.of_app(db, app_id)]
        lines.append(f"{app_id} ({app.name}, of {app.developer_id})")
    return lines
