"""Preview links in the console: created and revoked on the page of an app."""

from bottle import HTTPResponse

from portal.http import forms, schemas
from portal.http.routes import previews as api
from portal.http.routing import DEVELOPER, Call, Operation, Routes
from portal.store.errors import Refused
from portal.web import app_page, rendering
from portal.web.app_page import HTML, LINK_DAYS, VERSION_PATH, changed
from portal.web.entered import Entered

LINKS_PATH = f"{VERSION_PATH}/previews"

routes = Routes()


@routes.add(Operation("POST", LINKS_PATH, "Create a preview link", DEVELOPER, media_type=HTML))
def create(call: Call, app_id: str, version_code: int) -> HTTPResponse:
    """The answer itself shows the link, once: a page that is not kept has no address of its own."""
    fields = forms.text_fields(call.request, ("days",))
    days = int(fields["days"]) if fields["days"] in map(str, LINK_DAYS) else 0
    try:
        body = forms.validated(schemas.NewPreview, {"days": days})
        made = api.add_preview(call, body, app_id, version_code)
    except Refused as refused:
        if refused.code == "NOT_FOUND":
            raise
        return app_page.show(call, app_id, Entered(f"preview-{version_code}", fields, refused))
    return app_page.show(call, app_id, made=rendering.absolute(call, made.url))


@routes.add(
    Operation(
        "POST", f"{LINKS_PATH}/<preview_id:re:[0-9a-f]{{16}}>/revoke", "Revoke a preview link", DEVELOPER,
        media_type=HTML,
    )
)  # fmt: skip
def revoke(call: Call, app_id: str, version_code: int, preview_id: str) -> HTTPResponse:
    return changed(
        call, app_id, f"preview-{version_code}", "unshare",
        lambda: api.revoke_preview(call, app_id, version_code, preview_id),
    )  # fmt: skip
