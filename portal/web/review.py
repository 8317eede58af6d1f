"""The review: the queue, what a version changes, and the decision."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bottle import HTTPResponse

from portal.http import access, forms, schemas
from portal.http.routes import apps as api
from portal.http.routing import REVIEWER, Call, Operation, Routes
from portal.store import apps, audit, changes, developers, previews, proposals, storefront, versions
from portal.store.apps import App
from portal.store.changes import Overview
from portal.store.errors import Refused
from portal.store.pages import Page
from portal.store.versions import PlacedVersion
from portal.web import image_review, rendering
from portal.web.app_page import HTML, LINK_DAYS, icon
from portal.web.entered import Entered
from portal.web.sign_in import redirect
from portal.web.storefront import described

SHOWN_MAX = 50  # of the queue, each with its manifest and that of the published version
VERSION_PATH = "/review/<app_id>/<version_code:code>"
DONE = {
    "publish": "Published. Devices find it within a minute.",
    "reject": "Rejected: the developer sees the reason.",
    "unshare": "The preview link is revoked.",
    "publish-images": "The images are published.",
    "reject-images": "The images are rejected: the developer sees the reason.",
}
TRAIL_MAX = 100  # rows: a developer may submit and withdraw a version without end
TEMPLATES = (
    "It crashes or does not start.",
    "It does not do what its description says.",
    "It asks for a permission that its description does not explain.",
    "Name, icon or description may be taken for another app's.",
    "The changes of this version are not described.",
    "It contains files that do not belong to it.",
)
"""Reasons of a rejection, to which a reviewer adds what is particular."""

routes = Routes()


@dataclass(frozen=True)
class Waiting:
    """A version in the queue; with `images` it publishes changed images too."""

    app: App
    version: PlacedVersion
    developer: str
    icon: str | None
    overview: Overview
    images: bool


@routes.add(Operation("GET", "/review", "The review queue", REVIEWER, query=("done",), media_type=HTML))
def queue(call: Call) -> HTTPResponse:
    db = call.db.read()
    found = versions.in_review(db, Page(limit=SHOWN_MAX))
    waiting = [_waiting(call, apps.get(db, version.app_id), version) for version in found]
    return rendering.html(
        "review.html", actor=call.actor, reviewer=True, waiting=waiting, entered=Entered(),
        number=versions.count(db).get("in_review", 0), images=image_review.waiting(call, SHOWN_MAX),
        done=DONE.get(call.request.query.done),
    )  # fmt: skip


@routes.add(Operation("GET", VERSION_PATH, "What a version changes", REVIEWER, query=("done",), media_type=HTML))
def show(call: Call, app_id: str, version_code: int) -> HTTPResponse:
    return version_page(call, app_id, version_code)


@routes.add(Operation("POST", f"{VERSION_PATH}/publish", "Publish the version", REVIEWER, media_type=HTML))
def publish(call: Call, app_id: str, version_code: int) -> HTTPResponse:
    fields = forms.text_fields(call.request, ("sha256", "images_sha256"))
    try:
        api.publish(call, forms.validated(schemas.Approval, _given(fields)), app_id, version_code)
    except Refused as refused:
        return version_page(call, app_id, version_code, entered=Entered("publish", fields, refused))
    return redirect("/review?done=publish")


@routes.add(Operation("POST", f"{VERSION_PATH}/reject", "Reject the version", REVIEWER, media_type=HTML))
def reject(call: Call, app_id: str, version_code: int) -> HTTPResponse:
    fields = forms.text_fields(call.request, ("template", "reason", "sha256"))
    chosen = fields["template"] if fields["template"] in TEMPLATES else ""
    values = {"reason": f"{chosen} {fields['reason']}".strip(), "sha256": fields["sha256"]}
    try:
        if not values["reason"]:
            raise Refused("VALIDATION_ERROR", "A rejection needs a reason.", ["reason: Choose a reason or write one."])
        api.reject(call, forms.validated(schemas.Rejection, values), app_id, version_code)
    except Refused as refused:
        return version_page(call, app_id, version_code, entered=Entered("reject", fields, refused))
    return redirect("/review?done=reject")


def _given(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}


def _waiting(call: Call, app: App, version: PlacedVersion) -> Waiting:
    db = call.db.read()
    developer = developers.get(db, app.developer_id).name
    proposal = proposals.find(db, app.app_id)
    return Waiting(
        versions.as_published(app, version), version, developer, icon(call, app), changes.overview(db, version),
        images=proposal is not None and proposal.rejected_at is None,
    )  # fmt: skip


def version_page(
    call: Call, app_id: str, version_code: int,
    *, entered: Entered | None = None, made: Mapping[str, str] | None = None,
) -> HTTPResponse:  # fmt: skip
    """The page of a version; `made` is a preview link as in `app_page.show`."""
    db, entered = call.db.read(), entered or Entered()
    app = access.visible(db, call.actor, app_id)
    version = versions.get(db, app_id, version_code)
    waiting = _waiting(call, app, version)
    before = waiting.overview.published
    with call.services.comparing(call.actor.developer_id):
        files = changes.files(call.store, version, before)
    return rendering.html(
        "review-version.html", entered.status,
        actor=call.actor, reviewer=True, entered=entered, done=DONE.get(call.request.query.done),
        waiting=waiting, app=waiting.app, version=version,
        before=before, manifest=described(version), note=" ".join(json.loads(version.reasons)),
        members=changes.members(version, before), files=files,
        images=image_review.pictures(proposals.applied(db, app_id)), proposal=proposals.find(db, app_id),
        trail=audit.about(db, f"{app_id}/{version_code}", TRAIL_MAX), trail_max=TRAIL_MAX, templates=TEMPLATES,
        path=schemas.download_path(version), own=call.actor.developer_id == app.developer_id,
        icon_name=storefront.ICON, made=made, link_days=LINK_DAYS,
        links={version.version_id: previews.of_version(db, version)} if version.status in previews.SHOWN else {},
    )  # fmt: skip
