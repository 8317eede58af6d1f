"""`mosis apps`, `versions`, `review` and `yank`: what a developer has in a store."""

import json
from typing import Annotated, Any

import typer

from portal.cli.lazy import example
from portal.cli.parameters import app_id as app_id_of
from portal.cli.signed_in import AsJson, StoreUrl, connected

AppId = Annotated[str, typer.Argument(parser=app_id_of, metavar="APP_ID", help="The app's id.")]


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command(epilog=example("apps", "apps --json"))(apps)
    app.command(epilog=example("versions org.acme.hello"))(versions)
    app.command(epilog=example("review org.acme.hello"))(review)
    app.command(epilog=example('yank org.acme.hello 2 --reason "It loses files."'))(yank)


def apps(as_json: AsJson = False, url: StoreUrl = None) -> None:
    """List your apps: id, published version code, name."""
    found = connected(url).get("/api/apps")["apps"]
    if as_json:
        return print(json.dumps(found))
    for app in found:
        print(f"{app['app_id']}\t{app['published_code'] or '-'}\t{app['name']}")
    return None


def versions(app_id: AppId, as_json: AsJson = False, url: StoreUrl = None) -> None:
    """List the versions of an app: code, name, status, size in bytes, date, reasons."""
    found = connected(url).get(f"/api/apps/{app_id}/versions")["versions"]
    if as_json:
        return print(json.dumps(found))
    for version in found:
        print("\t".join(map(str, _columns(version))))
    return None


def review(app_id: AppId, as_json: AsJson = False, url: StoreUrl = None) -> None:
    """Show the review of an app's versions: code, name, status, since when, and the reasons of a rejection."""
    found = connected(url).get(f"/api/apps/{app_id}/versions")["versions"]
    reviewed = [version for version in found if version["status"] in ("in_review", "rejected", "published")]
    if as_json:
        return print(json.dumps(reviewed))
    for version in reviewed:
        print("\t".join(map(str, _columns(version))))
    return None


def yank(
    app_id: AppId,
    version_code: Annotated[int, typer.Argument(min=1, metavar="VERSION_CODE", help="The version's code.")],
    reason: Annotated[str, typer.Option(help="Why; everyone can read it.")],
    as_json: AsJson = False,
    url: StoreUrl = None,
) -> None:
    """Withdraw a published version: devices no longer get it, and show the reason."""
    path = f"/api/apps/{app_id}/versions/{version_code}/yank"
    version = connected(url).post(path, {"reason": reason})
    print(json.dumps(version) if as_json else f"{app_id} {version_code}: {version['status']}")


def _columns(version: dict[str, Any]) -> tuple[Any, ...]:
    code, name = version["version_code"] or "-", version["version"] or "-"
    return code, name, version["status"], version["size"] or "-", version["created_at"], "; ".join(version["reasons"])
