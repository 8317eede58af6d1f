"""Preview links: created and revoked on the page of an app in the console, and on that of a version in the review."""

from collections.abc import Callable

import segno
from bottle import HTTPResponse

from portal.http import forms, schemas
from portal.http.routes import previews as api
from portal.http.routing import DEVELOPER, REVIEWER, Call, Operation, Routes
from portal.store.errors import Refused
from portal.web import app_page, rendering, review
from portal.web.app_page import HTML, LINK_DAYS
from portal.web.entered import Entered
from portal.web.sign_in import redirect

LINKS_PATH = f"{app_page.VERSION_PATH}/previews"
REVIEW_PATH = f"{review.VERSION_PATH}/previews"
REVOKE = "<preview_id:re:[0-9a-f]{16}>/revoke"

Show = Callable[..., HTTPResponse]

routes = Routes()


@routes.add(Operation("POST", LINKS_PATH, "Create a preview link", DEVELOPER, media_type=HTML))
def create(call: Call, app_id: str, version_code: int) -> HTTPResponse:
    return _made(call, app_id, version_code, lambda **shown: app_page.show(call, app_id, **shown))


@routes.add(Operation("POST", REVIEW_PATH, "Create a preview link as a reviewer", REVIEWER, media_type=HTML))
def create_as_reviewer(call: Call, app_id: str, version_code: int) -> HTTPResponse:
    return _made(call, app_id, version_code, lambda **shown: review.version_page(call, app_id, version_code, **shown))


@routes.add(
    Operation(
        "POST", f"{LINKS_PATH}/{REVOKE}", "Revoke a preview link", DEVELOPER, media_type=HTML, ends_access=True
    )
)  # fmt: skip
def revoke(call: Call, app_id: str, version_code: int, preview_id: str) -> HTTPResponse:
    api.revoke_preview(call, app_id, version_code, preview_id)
    return redirect(f"/console/apps/{app_id}?done=unshare")


@routes.add(
    Operation(
        "POST", f"{REVIEW_PATH}/{REVOKE}", "Revoke a preview link as a reviewer", REVIEWER,
        media_type=HTML, ends_access=True,
    )
)  # fmt: skip
def revoke_as_reviewer(call: Call, app_id: str, version_code: int, preview_id: str) -> HTTPResponse:
    api.revoke_preview(call, app_id, version_code, preview_id)
    return redirect(f"/review/{app_id}/{version_code}?done=unshare")


def _made(call: Call, app_id: str, version_code: int, show: Show) -> HTTPResponse:
    """The answer itself shows the link, once: a page that is not kept has no address of its own."""
    fields = forms.text_fields(call.request, ("days",))
    days = int(fields["days"]) if fields["days"] in map(str, LINK_DAYS) else 0
    try:
        body = forms.validated(schemas.NewPreview, {"days": days})
        url = rendering.absolute(call, api.add_preview(call, body, app_id, version_code).url)
    except Refused as refused:
        if refused.code == "NOT_FOUND":
            raise
        return show(entered=Entered(f"preview-{version_code}", fields, refused))
    code = segno.make(url, error="m", micro=False).svg_data_uri(omitsize=True, light="white", border=3)
    return show(made={"url": url, "qr": code})
