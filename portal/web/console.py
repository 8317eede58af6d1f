"""The console: what a developer does with apps and versions. The rules are those of the API's handlers."""

from bottle import HTTPResponse

from portal.http import forms, schemas
from portal.http.responses import Answer
from portal.http.routes import apps as api
from portal.http.routes import uploads as api_uploads
from portal.http.routing import DEVELOPER, MEMBER, Call, Operation, Routes
from portal.store import apps, deletion, quotas, versions
from portal.store.apps import App
from portal.store.errors import Refused
from portal.store.states import Action, Status
from portal.store.versions import Version
from portal.web import app_page
from portal.web.app_page import APP_PATH, HTML, STEPS, VERSION_PATH, changed
from portal.web.entered import Entered
from portal.web.sign_in import redirect

UNPUBLISHED: tuple[Status, ...] = ("draft", "in_review", "rejected")  # of which a list of apps says something

routes = Routes()


@routes.add(Operation("GET", "/console", "My apps", MEMBER, media_type=HTML, app_tokens=True))
def console(call: Call) -> HTTPResponse:
    if call.actor.scope not in DEVELOPER.scopes:
        return redirect("/review")
    return _my_apps(call)


@routes.add(Operation("POST", "/console/apps", "Create an app", DEVELOPER, media_type=HTML))
def create_app(call: Call) -> HTTPResponse:
    fields = forms.text_fields(call.request, ("app_id", "name", "description"))
    try:
        app = api.add_app(call, forms.validated(schemas.NewApp, fields))
    except Refused as refused:
        return _my_apps(call, Entered("create", fields, _explained(call, refused, fields["app_id"])))
    return redirect(f"/console/apps/{app.app_id}?done=app")


def _explained(call: Call, refused: Refused, app_id: str) -> Refused:
    """What to do about an app ID that is in use: the answer of the API does not say whose it is."""
    if refused.code != "APP_EXISTS":
        return refused
    mine = apps.get(call.db.read(), app_id).developer_id == call.actor.developer_id
    remedy = "It is one of your apps above." if mine else "Another developer has it: choose another ID."
    return Refused(refused.code, f"{refused.detail} {remedy}")


@routes.add(Operation("GET", APP_PATH, "One of my apps", DEVELOPER, query=("done", "refused"), media_type=HTML))
def show_app(call: Call, app_id: str) -> HTTPResponse:
    return app_page.show(call, app_id)


@routes.add(
    Operation(
        "POST", f"{APP_PATH}/versions", "Upload a version by a form", DEVELOPER, media_type=HTML,
        form_file="package", rate_limited=True,
    )
)  # fmt: skip
def upload(call: Call, app_id: str) -> HTTPResponse:
    return changed(call, app_id, "upload", "upload", lambda: api.upload(call, app_id, replace=True), file="package")


@routes.add(
    Operation(
        "POST", f"{APP_PATH}/uploads/<upload_id:re:[0-9a-f]{{32}}>/complete", "Complete an upload of the page",
        DEVELOPER, status=201, accepted=True,
    )
)  # fmt: skip
def complete(call: Call, app_id: str, upload_id: str) -> Answer[schemas.Version]:
    """As in the API, but a draft or a rejected version of the same code makes way, as for `mosis push`."""
    return api_uploads.complete(call, upload_id, replace=True)


@routes.add(
    Operation("POST", f"{VERSION_PATH}/delete", "Delete a draft or a rejected version", DEVELOPER, media_type=HTML)
)
def delete_version(call: Call, app_id: str, version_code: int) -> HTTPResponse:
    return changed(
        call, app_id, f"delete-{version_code}", "delete-version",
        lambda: deletion.delete_version(call.store, call.actor, app_id, version_code, "", as_owner=True),
    )  # fmt: skip


@routes.add(
    Operation("POST", f"{VERSION_PATH}/<action:re:{'|'.join(STEPS)}>", "Change a version", DEVELOPER, media_type=HTML)
)
def change(call: Call, app_id: str, version_code: int, action: Action) -> HTTPResponse:
    fields, step = forms.text_fields(call.request, ("reason",)), STEPS[action]

    def act() -> None:
        app_page.require_reason(step, fields["reason"])
        app_page.take(call, step, fields["reason"], app_id, version_code)

    return changed(call, app_id, f"{action}-{version_code}", action, act, fields=fields)


@routes.add(Operation("POST", f"{APP_PATH}/edit", "Edit an app", DEVELOPER, media_type=HTML))
def edit(call: Call, app_id: str) -> HTTPResponse:
    fields = forms.text_fields(call.request, ("name", "description", "homepage"))
    values = {**fields, "homepage": fields["homepage"] or None}
    return changed(
        call, app_id, "edit", "edit",
        lambda: api.edit_app(call, forms.validated(schemas.AppChange, values), app_id), fields=fields,
    )  # fmt: skip


def _my_apps(call: Call, entered: Entered | None = None) -> HTTPResponse:
    db, actor = call.db.read(), call.actor
    mine = apps.of_developer(db, actor.developer_id, only=actor.app_id)
    return app_page.page(
        call, "console.html", entered,
        apps=[(app, app_page.icon(call, app), _unpublished(call, app)) for app in mine],
        space=quotas.bytes_of_apps(db, actor.developer_id), usage=quotas.usage(db, actor.developer_id),
        limits=quotas.limits(db, call.settings, actor.developer_id),
    )  # fmt: skip


def _unpublished(call: Call, app: App) -> list[Version]:
    """Versions that somebody has still to do something about."""
    db = call.db.read()
    highest = versions.highest_published(db, app.app_id)
    found = versions.of_app(db, app.app_id)
    return [each for each in found if each.status in UNPUBLISHED and (each.version_code or 0) > highest]
