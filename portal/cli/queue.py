"""`mosis queue`: the versions that wait for a review, for the operator of the host, who may review every one."""

from typing import Annotated

import typer

from portal import settings
from portal.cli.lazy import declaring, example
from portal.cli.output import table
from portal.cli.parameters import ImagesDigest, PackageDigest, reason_option
from portal.cli.parameters import app_id as checked_app_id
from portal.cli.store_apps import AppId, Code
from portal.http import schemas
from portal.store import apps, proposals, reviews, versions
from portal.store.audit import OPERATOR
from portal.store.clock import rfc3339
from portal.store.states import Action
from portal.store.store import open_store


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    group = declaring("The versions that wait for a review.")
    group.command("list", epilog=example("queue list"))(list_waiting)
    group.command("show", epilog=example("queue show org.example.reader 3"))(show)
    group.command("approve", epilog=example("queue approve org.example.reader 3"))(approve)
    group.command("reject", epilog=example('queue reject org.example.reader 3 --reason "The icon is missing."'))(reject)
    group.command("images", epilog=example("queue images", "queue images org.example.reader"))(images)
    group.command("approve-images", epilog=example("queue approve-images org.example.reader DIGEST"))(approve_images)
    group.command(
        "reject-images", epilog=example('queue reject-images org.example.reader DIGEST --reason "A blurred icon."')
    )(reject_images)
    app.add_typer(group, name="queue")


def list_waiting() -> None:
    """List what waits, the longest wait first: app, code, version, since, owner, size."""
    waiting = versions.in_review(open_store(settings.load()).db.read())
    table(
        ("app", "code", "version", "since", "owner", "size"),
        [(v.app_id, v.version_code, v.version_name, rfc3339(v.status_at), v.developer_id, v.size) for v in waiting],
    )


def show(app_id: AppId, version_code: Code) -> None:
    """Print a version and what changed against the published one, as JSON."""
    store = open_store(settings.load())
    version = versions.get(store.db.read(), app_id, version_code)
    print(schemas.Changes.of(store, version).model_dump_json(indent=2))


def approve(
    app_id: AppId,
    version_code: Code,
    sha256: PackageDigest = None,
    images: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="Publish the changed images with this digest too.")
    ] = None,
) -> None:
    """Publish a version."""
    _decide(app_id, version_code, "publish", "", sha256, images)


def reject(
    app_id: AppId,
    version_code: Code,
    reason: Annotated[str, reason_option("Why; the developer reads it.")],
    sha256: PackageDigest = None,
) -> None:
    """Reject a version."""
    _decide(app_id, version_code, "reject", reason, sha256)


def images(
    app_id: Annotated[
        str | None, typer.Argument(parser=checked_app_id, metavar="APP_ID", help="Only this app, as JSON.")
    ] = None,
) -> None:
    """List the apps whose changed images wait for a review, or show the images of one."""
    store = open_store(settings.load())
    db = store.db.read()
    if app_id is None:
        rows = [
            (one.app_id, rfc3339(one.changed_at), proposals.digest(proposals.applied(db, one.app_id)))
            for one in proposals.waiting(db)
        ]
        table(("app", "since", "sha256"), rows)
    else:
        print(schemas.Images.of(db, apps.get(db, app_id), store.settings.public_url).model_dump_json(indent=2))


def approve_images(app_id: AppId, sha256: ImagesDigest) -> None:
    """Publish the changed images of an app."""
    store = open_store(settings.load())
    with store.db.write() as tx:
        proposals.publish(tx, store, OPERATOR, apps.get(tx, app_id), sha256)
    print(f"{app_id}: images published")


def reject_images(
    app_id: AppId, sha256: ImagesDigest, reason: Annotated[str, reason_option("Why; the developer reads it.")]
) -> None:
    """Reject the changed images of an app."""
    with open_store(settings.load()).db.write() as tx:
        proposals.reject(tx, OPERATOR, apps.get(tx, app_id), sha256, reason)
    print(f"{app_id}: images rejected")


def _decide(
    app_id: str, version_code: int, action: Action, reason: str, sha256: str | None, images: str | None = None
) -> None:  # fmt: skip
    store = open_store(settings.load())
    with store.db.write() as tx:
        version = reviews.step(
            tx, store, OPERATOR, apps.get(tx, app_id), version_code, action, reason=reason, sha256=sha256
        )  # fmt: skip
        if images is not None:
            proposals.publish(tx, store, OPERATOR, apps.get(tx, app_id), images)
    print(f"{app_id} {version_code}: {version.status}")
