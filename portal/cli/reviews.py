"""`mosis review`: the state of a review for a developer, the queue for a reviewer."""

import json
from typing import Annotated

import typer

from portal.cli.apps import HEADS, AppId, VersionCode, columns
from portal.cli.lazy import declaring, example
from portal.cli.output import newest_first, table
from portal.cli.parameters import ImagesDigest, PackageDigest
from portal.cli.signed_in import AsJson, StoreUrl, connected, outcome
from portal.developer.answers import ImageQueue, Images, Placed, Queue, Versions
from portal.developer.client import Client

REVIEWED = ("in_review", "published", "rejected", "yanked")
Reason = Annotated[str, typer.Option(help="A note to the developer.")]


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    group = declaring("Reviews: their state and reasons, and for reviewers the queue.")
    group.command(epilog=example("review show org.acme.hello"))(show)
    group.command(epilog=example("review withdraw org.acme.hello 2"))(withdraw)
    group.command("list", epilog=example("review list"))(list_waiting)
    group.command(epilog=example("review approve org.acme.hello 2", "review approve org.acme.hello 2 --sha256 DIGEST"))(
        approve
    )
    group.command(epilog=example('review reject org.acme.hello 2 --reason "It does not start."'))(reject)
    group.command("images", epilog=example("review images"))(images)
    group.command("approve-images", epilog=example("review approve-images org.acme.hello DIGEST"))(approve_images)
    group.command(
        "reject-images", epilog=example('review reject-images org.acme.hello DIGEST --reason "A blurred icon."')
    )(reject_images)
    app.add_typer(group, name="review")


def show(app_id: AppId, as_json: AsJson = False, url: StoreUrl = None) -> None:
    """Show the reviews of an app's versions: code, version, status, since when, size, and the reasons."""
    found = connected(url).every(f"/api/apps/{app_id}/versions", Versions, "versions")
    reviewed = [version for version in found.versions if version.status in REVIEWED]
    if as_json:
        print(json.dumps([version.as_sent() for version in reviewed]))
    else:
        table(HEADS, map(columns, newest_first(reviewed)))


def list_waiting(as_json: AsJson = False, url: StoreUrl = None) -> None:
    """List what waits for a review, the oldest first: app, code, version, since when, size, digest. For reviewers."""
    found = connected(url).every("/api/review", Queue, "versions")
    if as_json:
        print(json.dumps(found.as_sent()["versions"]))
    else:
        table(
            ("app", "code", "version", "since", "size", "sha256"),
            [(v.app_id, v.version_code, v.version, v.status_at, v.size, v.sha256) for v in found.versions],
        )


def approve(
    app_id: AppId,
    version_code: VersionCode,
    reason: Reason = "",
    sha256: PackageDigest = None,
    as_json: AsJson = False,
    url: StoreUrl = None,
) -> None:
    """Publish a version that waits for a review. For reviewers."""
    _end(app_id, version_code, "publish", {"reason": reason, "sha256": sha256}, as_json, url)


def reject(
    app_id: AppId,
    version_code: VersionCode,
    reason: Annotated[str, typer.Option(help="Why; the developer reads it.")],
    sha256: PackageDigest = None,
    as_json: AsJson = False,
    url: StoreUrl = None,
) -> None:
    """Reject a version that waits for a review. For reviewers."""
    _end(app_id, version_code, "reject", {"reason": reason, "sha256": sha256}, as_json, url)


def images(as_json: AsJson = False, url: StoreUrl = None) -> None:
    """List the apps whose changed images wait for a review: app, since when, digest. For reviewers."""
    found = connected(url).every("/api/review/images", ImageQueue, "images")
    if as_json:
        print(json.dumps(found.as_sent()["images"]))
    else:
        table(("app", "since", "sha256"), [(one.app_id, one.changed_at, one.sha256) for one in found.images])


def approve_images(app_id: AppId, sha256: ImagesDigest, url: StoreUrl = None) -> None:
    """Publish the changed images of an app. For reviewers."""
    connected(url).post(f"/api/apps/{app_id}/images/publish", Images, {"sha256": sha256})
    print(f"{app_id}: images published")


def reject_images(
    app_id: AppId,
    sha256: ImagesDigest,
    reason: Annotated[str, typer.Option(help="Why; the developer reads it.")],
    url: StoreUrl = None,
) -> None:
    """Reject the changed images of an app. For reviewers."""
    connected(url).post(f"/api/apps/{app_id}/images/reject", Images, {"sha256": sha256, "reason": reason})
    print(f"{app_id}: images rejected")


def withdraw(app_id: AppId, version_code: VersionCode, as_json: AsJson = False, url: StoreUrl = None) -> None:
    """Take a version back from review: it is a draft again."""
    client = connected(url)
    _print(client, client.post(f"/api/apps/{app_id}/versions/{version_code}/withdraw", Placed), as_json)


def _end(app_id: str, code: int, action: str, body: dict[str, str | None], as_json: bool, url: str | None) -> None:
    client = connected(url)
    _print(client, client.post(f"/api/apps/{app_id}/versions/{code}/{action}", Placed, body), as_json)


def _print(client: Client, version: Placed, as_json: bool) -> None:
    print(json.dumps([version.as_sent()]) if as_json else outcome(version, client.url))
