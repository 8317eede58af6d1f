"""`mosis apps`, `versions` and `yank`: what a developer has in a store."""

import json
from typing import Annotated

import typer

from portal.cli.lazy import example
from portal.cli.output import newest_first, table
from portal.cli.parameters import app_id as app_id_of
from portal.cli.signed_in import AsJson, StoreUrl, connected, outcome
from portal.cli.usage import WrongUsage
from portal.developer.answers import Apps, Placed, Version, Versions

AppId = Annotated[str, typer.Argument(parser=app_id_of, metavar="APP_ID", help="The app's id.")]
HEADS = ("code", "version", "status", "since", "size", "reasons")
VersionCode = Annotated[int, typer.Argument(min=1, metavar="VERSION_CODE", help="The version's code.")]


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command(epilog=example("apps", "apps --json"))(apps)
    app.command(epilog=example("versions org.acme.hello"))(versions)
    app.command(epilog=example('yank org.acme.hello 2 --reason "It loses files."', "yank org.acme.hello 2 --undo"))(
        yank
    )


def apps(as_json: AsJson = False, url: StoreUrl = None) -> None:
    """List your apps: id, published version code, name."""
    found = connected(url).every("/api/apps", Apps, "apps")
    if as_json:
        print(json.dumps(found.as_sent()["apps"]))
        return
    table(("app", "published", "name"), [(app.app_id, app.published_code, app.name) for app in found.apps])


def versions(app_id: AppId, as_json: AsJson = False, url: StoreUrl = None) -> None:
    """List the versions of an app, the newest first: code, version, status, since when, size in bytes, reasons."""
    found = connected(url).every(f"/api/apps/{app_id}/versions", Versions, "versions")
    if as_json:
        print(json.dumps(found.as_sent()["versions"]))
    else:
        table(HEADS, map(columns, newest_first(found.versions)))


def yank(
    app_id: AppId,
    version_code: VersionCode,
    reason: Annotated[str, typer.Option(help="Why; everyone can read it.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Publish it again, within 7 days.")] = False,
    as_json: AsJson = False,
    url: StoreUrl = None,
) -> None:
    """Withdraw a published version from the store: devices no longer get it, and show the reason."""
    if not undo and not reason.strip():
        raise WrongUsage("Say with --reason why the version is withdrawn: everyone can read it.")
    action, body = ("unyank", {}) if undo else ("yank", {"reason": reason})
    client = connected(url)
    version = client.post(f"/api/apps/{app_id}/versions/{version_code}/{action}", Placed, body)
    print(json.dumps(version.as_sent()) if as_json else outcome(version, client.url))


def columns(version: Version) -> tuple[object, ...]:
    """A row below HEADS."""
    reasons = "; ".join(version.reasons)
    return (version.version_code, version.version, version.status, version.status_at, version.size, reasons)
