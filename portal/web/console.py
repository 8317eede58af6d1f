"""The console: what a developer does with apps, versions and pictures. The rules are those of the API's handlers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bottle import HTTPResponse
from pydantic import BaseModel

from portal.http import forms, schemas
from portal.http.problems import KINDS
from portal.http.responses import Answer
from portal.http.routes import apps as api
from portal.http.routes import images as api_images
from portal.http.routes import uploads as api_uploads
from portal.http.routing import DEVELOPER, MEMBER, REVIEWER, Call, Operation, Routes
from portal.images import ImageRejected
from portal.store import apps, assets, deletion, keys, storefront, versions
from portal.store.apps import App
from portal.store.errors import Refused
from portal.store.layout import image_name
from portal.store.states import TRANSITIONS, Action, Status
from portal.store.versions import Version
from portal.web import rendering
from portal.web.sign_in import redirect

APP_PATH = "/console/apps/<app_id>"
VERSION_PATH = f"{APP_PATH}/versions/<version_code:code>"
HTML = "text/html"

routes = Routes()


@dataclass(frozen=True)
class Step:
    """What an owner may do with a version: the handler of the API, the model of its body, and how pages say it."""

    handler: Callable[..., schemas.Version]
    body: type[BaseModel]
    label: str
    done: str


STEPS: dict[Action, Step] = {
    "submit": Step(api.submit, schemas.Reason, "Submit for review", "Submitted. It is waiting for a reviewer."),
    "withdraw": Step(api.withdraw, schemas.Reason, "Withdraw from review", "Withdrawn: it is a draft again."),
    "yank": Step(api.yank, schemas.Withdrawal, "Withdraw from the store", "Withdrawn from the store."),
    "unyank": Step(api.unyank, schemas.Reason, "Put back into the store", "It is in the store again."),
}
DONE = {name: step.done for name, step in STEPS.items()} | {
    "upload": "Uploaded and checked: it is a draft. Submit it for review when it is ready.",
    "app": "The app is created. Upload its first version.",
    "edit": "Saved.",
    "icon": "The icon is in use.",
    "screenshot": "The screenshot is added.",
    "delete": "The screenshot is deleted.",
    "delete-version": "The version is deleted. Its code can be used again.",
}
NEXT = {
    "uploading": "The upload has not ended. Choose the same file again to continue it.",
    "draft": "Only you and reviewers see it. It is kept for 30 days; submit it for review, or replace it"
    " by another upload of its code.",
    "in_review": "Waiting for a reviewer.",
    "published": "",
    "rejected": "Upload a corrected version; one of the same code replaces this one, which is deleted after 7 days.",
    "failed": "It is not stored. Fix what is listed and upload it again.",
    "yanked": "Devices do not get it. For 7 days it can be put back.",
}
OVERTAKEN = "A newer version has been published. This one is deleted after 7 days."
UNPUBLISHED: tuple[Status, ...] = ("draft", "in_review", "rejected")  # of which a list of apps says something


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
        return _my_apps(call, refused, fields)
    return redirect(f"/console/apps/{app.app_id}?done=app")


@routes.add(Operation("GET", APP_PATH, "One of my apps", DEVELOPER, query=("done",), media_type=HTML))
def show_app(call: Call, app_id: str) -> HTTPResponse:
    return _app(call, app_id)


@routes.add(
    Operation(
        "POST", f"{APP_PATH}/versions", "Upload a version by a form", DEVELOPER, media_type=HTML,
        form_file="package", rate_limited=True,
    )
)  # fmt: skip
def upload(call: Call, app_id: str) -> HTTPResponse:
    return _changed(call, app_id, "upload", lambda: api.upload(call, app_id, replace=True))


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
    return _changed(
        call, app_id, "delete-version",
        lambda: deletion.delete_version(call.store, call.actor, app_id, version_code, "", as_owner=True),
    )  # fmt: skip


@routes.add(
    Operation("POST", f"{VERSION_PATH}/<action:re:{'|'.join(STEPS)}>", "Change a version", DEVELOPER, media_type=HTML)
)
def change(call: Call, app_id: str, version_code: int, action: Action) -> HTTPResponse:
    fields, step = forms.text_fields(call.request, ("reason",)), STEPS[action]
    return _changed(call, app_id, action, lambda: _step(call, step, fields, app_id, version_code))


@routes.add(Operation("POST", f"{APP_PATH}/edit", "Edit an app", DEVELOPER, media_type=HTML))
def edit(call: Call, app_id: str) -> HTTPResponse:
    fields: dict[str, str | None] = {**forms.text_fields(call.request, ("name", "description", "homepage"))}
    fields["homepage"] = fields["homepage"] or None
    return _changed(
        call, app_id, "edit", lambda: api.edit_app(call, forms.validated(schemas.AppChange, fields), app_id)
    )


@routes.add(
    Operation(
        "POST", f"{APP_PATH}/icon", "Set the icon", DEVELOPER, media_type=HTML, form_file="icon", rate_limited=True
    )
)
def put_icon(call: Call, app_id: str) -> HTTPResponse:
    return _changed(call, app_id, "icon", lambda: api_images.put_icon(call, app_id))


@routes.add(
    Operation(
        "POST", f"{APP_PATH}/screenshots", "Add a screenshot", DEVELOPER, media_type=HTML,
        form_file="screenshot", rate_limited=True,
    )
)  # fmt: skip
def add_screenshot(call: Call, app_id: str) -> HTTPResponse:
    return _changed(call, app_id, "screenshot", lambda: api_images.add_screenshot(call, app_id))


@routes.add(
    Operation(
        "POST", f"{APP_PATH}/screenshots/<number:re:[1-{assets.SCREENSHOTS_MAX}]>/delete", "Delete a screenshot",
        DEVELOPER, media_type=HTML,
    )
)  # fmt: skip
def delete_screenshot(call: Call, app_id: str, number: str) -> HTTPResponse:
    return _changed(call, app_id, "delete", lambda: api_images.delete_screenshot(call, app_id, number))


def _changed(call: Call, app_id: str, done: str, act: Callable[[], object]) -> HTTPResponse:
    """The page of the app after a change, by GET, or with what was wrong with it."""
    try:
        act()
    except Refused as refused:
        if refused.code == "NOT_FOUND":
            raise
        return _app(call, app_id, refused)
    except ImageRejected as rejected:
        return _app(call, app_id, Refused(rejected.code, str(rejected)))
    return redirect(f"/console/apps/{app_id}?done={done}")


def _step(call: Call, step: Step, fields: dict[str, str], app_id: str, version_code: int) -> schemas.Version:
    if step.body is schemas.Withdrawal and not fields["reason"]:
        raise Refused("VALIDATION_ERROR", "It needs a reason.", ["reason: Write a reason, which everybody sees."])
    return step.handler(call, forms.validated(step.body, fields), app_id, version_code)


def _my_apps(call: Call, refused: Refused | None = None, fields: dict[str, str] | None = None) -> HTTPResponse:
    db, actor = call.db.read(), call.actor
    mine = [app for app in apps.of_developer(db, actor.developer_id) if actor.app_id in (None, app.app_id)]
    shown = [(app, icon(call, app), _unpublished(call, app)) for app in mine]
    return _page(call, "console.html", refused, apps=shown, fields=fields or {})


def _unpublished(call: Call, app: App) -> list[Version]:
    """Versions that somebody has still to do something about."""
    db = call.db.read()
    highest = versions.highest_published(db, app.app_id)
    found = versions.of_app(db, app.app_id)
    return [each for each in found if each.status in UNPUBLISHED and (each.version_code or 0) > highest]


def _app(call: Call, app_id: str, refused: Refused | None = None) -> HTTPResponse:
    db = call.db.read()
    app = apps.owned(db, app_id, call.actor.developer_id)
    highest = versions.highest_published(db, app_id)
    images = {asset.name: image_name(asset.name, asset.sha256) for asset in assets.of_app(db, app_id)}
    return _page(
        call, "console-app.html", refused,
        app=app, versions=[(version, json.loads(version.reasons)) for version in versions.of_app(db, app_id)],
        icon=images.get(storefront.ICON),
        has_key=any(key.revoked_at is None for key in keys.of_developer(db, app.developer_id)),
        screenshots=[(plain[12:-4], name) for plain, name in images.items() if plain.startswith("screenshots/")],
        package_max=call.settings.package_max_bytes, screenshots_max=assets.SCREENSHOTS_MAX,
        steps=steps, step_of=STEPS, deletable=deletion.OF_THE_OWNER,
        next_of=lambda version: following(version, highest),
    )  # fmt: skip


def steps(version: Version) -> list[Action]:
    """What the owner may do with the version."""
    return [action for action in STEPS if TRANSITIONS[action].source == version.status]


def following(version: Version, highest: int) -> str:
    """What comes next for the version, when the version code `highest` is the highest ever published."""
    overtaken = version.status == "rejected" and (version.version_code or 0) <= highest
    return OVERTAKEN if overtaken else NEXT[version.status]


def icon(call: Call, app: App) -> str | None:
    """The name of the icon of an app."""
    found = [asset for asset in assets.of_app(call.db.read(), app.app_id) if asset.name == storefront.ICON]
    return image_name(found[0].name, found[0].sha256) if found else None


def _page(call: Call, template: str, refused: Refused | None, **values: Any) -> HTTPResponse:
    return rendering.html(
        template, KINDS[refused.code].status if refused else 200,
        actor=call.actor, reviewer=call.actor.scope in REVIEWER.scopes, refused=refused,
        done=DONE.get(call.request.query.done), **values,
    )  # fmt: skip
