"""The review of images that were changed after an app was published."""

from dataclasses import dataclass

from bottle import HTTPResponse

from portal.http import forms, schemas
from portal.http.routes import image_reviews as api
from portal.http.routing import REVIEWER, Call, Operation, Routes
from portal.store import apps, asset_rows, developers, proposals
from portal.store.apps import App
from portal.store.asset_rows import Asset
from portal.store.assets import SCREENSHOTS
from portal.store.errors import Refused
from portal.store.proposals import Proposal
from portal.web import rendering
from portal.web.app_page import HTML
from portal.web.entered import Entered
from portal.web.sign_in import redirect

PATH = "/review/<app_id>/images"
ICON = "icon-128.png"

routes = Routes()


@dataclass(frozen=True)
class Pictures:
    """What a reviewer looks at: the names of files below `/assets/APP`, and the digest that a decision names."""

    icon: str | None
    screenshots: list[str]
    sha256: str


def pictures(images: list[Asset]) -> Pictures:
    """The images as pages show them."""
    names = {image.name: image.file_name for image in images}
    shots = [name for plain, name in names.items() if plain.startswith(SCREENSHOTS)]
    return Pictures(names.get(ICON), shots, proposals.digest(images))


@routes.add(Operation("GET", PATH, "Which images of an app were changed", REVIEWER, query=("done",), media_type=HTML))
def show(call: Call, app_id: str) -> HTTPResponse:
    return _page(call, app_id)


@routes.add(Operation("POST", f"{PATH}/publish", "Publish the changed images", REVIEWER, media_type=HTML))
def publish(call: Call, app_id: str) -> HTTPResponse:
    fields = forms.text_fields(call.request, ("sha256",))
    try:
        api.publish(call, forms.validated(schemas.ImageApproval, fields), app_id)
    except Refused as refused:
        return _page(call, app_id, Entered("publish", fields, refused))
    return redirect("/review?done=publish-images")


@routes.add(Operation("POST", f"{PATH}/reject", "Reject the changed images", REVIEWER, media_type=HTML))
def reject(call: Call, app_id: str) -> HTTPResponse:
    fields = forms.text_fields(call.request, ("reason", "sha256"))
    try:
        if not fields["reason"].strip():
            raise Refused("VALIDATION_ERROR", "A rejection needs a reason.", ["reason: Write a reason."])
        api.reject(call, forms.validated(schemas.ImageRejection, fields), app_id)
    except Refused as refused:
        return _page(call, app_id, Entered("reject", fields, refused))
    return redirect("/review?done=reject-images")


def waiting(call: Call, most: int) -> list[tuple[App, Proposal]]:
    """The apps whose images wait, the longest wait first."""
    db = call.db.read()
    return [(apps.get(db, one.app_id), one) for one in proposals.waiting(db)[:most]]


def _page(call: Call, app_id: str, entered: Entered | None = None) -> HTTPResponse:
    db, entered = call.db.read(), entered or Entered()
    app = apps.get(db, app_id)
    return rendering.html(
        "review-images.html", entered.status, actor=call.actor, reviewer=True, entered=entered, app=app,
        done=None, developer=developers.get(db, app.developer_id).name, proposal=proposals.find(db, app_id),
        before=pictures(asset_rows.of_app(db, app_id)), after=pictures(proposals.applied(db, app_id)),
        own=call.actor.developer_id == app.developer_id,
    )  # fmt: skip
