"""The page of one of my apps: what it shows, and how a change comes back to it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bottle import HTTPResponse
from pydantic import BaseModel

from portal.http import forms, schemas
from portal.http.routes import apps as api
from portal.http.routing import REVIEWER, Call
from portal.images.errors import ImageRejected
from portal.store import apps, asset_rows, assets, deletion, keys, previews, proposals, storefront, versions
from portal.store.apps import App
from portal.store.errors import Refused
from portal.store.states import TRANSITIONS, Action
from portal.store.versions import Version
from portal.web import rendering
from portal.web.entered import Entered
from portal.web.sign_in import redirect

APP_PATH = "/console/apps/<app_id>"
VERSION_PATH = f"{APP_PATH}/versions/<version_code:code>"
HTML = "text/html"


@dataclass(frozen=True)
class Step:
    """What an owner may do with a version: the handler of the API, the model of its body, and how pages say it.

    `done` is about one version, `all_done` about several at once, which is not offered without it.
    """

    handler: Callable[..., schemas.Version]
    body: type[BaseModel]
    label: str
    done: str
    all_done: str = ""


STEPS: dict[Action, Step] = {
    "submit": Step(
        api.submit, schemas.Reason, "Submit for review",
        "Submitted. It is waiting for a reviewer.", "Submitted. They are waiting for a reviewer.",
    ),
    "withdraw": Step(
        api.withdraw, schemas.Reason, "Withdraw from review",
        "Withdrawn: it is a draft again.", "Withdrawn: they are drafts again.",
    ),
    "yank": Step(
        api.yank, schemas.Withdrawal, "Withdraw from the store",
        "Withdrawn from the store.", "All of them are withdrawn from the store.",
    ),
    "unyank": Step(api.unyank, schemas.Reason, "Put back into the store", "It is in the store again."),
}  # fmt: skip
TOGETHER: dict[Action, Step] = {name: step for name, step in STEPS.items() if step.all_done}
DONE = {name: step.done for name, step in STEPS.items()} | {
    "upload": "Uploaded and checked: it is a draft. Submit it for review when it is ready.",
    "app": "The app is created. Upload its first version.",
    "edit": "Saved.",
    "icon": "The icon is saved.",
    "discard-images": "The images are as everybody sees them again.",
    "screenshot": "The screenshot is added.",
    "move": "The screenshots are in their new order.",
    "delete": "The screenshot is deleted.",
    "delete-version": "The version is deleted. Its code can be used again.",
    "key": "The key is registered. Packages that it signs are accepted.",
    "key-revoke": "The key is revoked. Packages that it signed are refused.",
    "unshare": "The preview link is revoked.",
    **{f"several-{name}": step.all_done for name, step in TOGETHER.items()},
}
NEXT = {
    "uploading": "The upload has not ended. Choose the same file again to continue it.",
    "draft": "Only you, reviewers and those who have a preview link see it. It is kept for 30 days; submit it for"
    " review, or replace it by another upload of its code.",
    "in_review": "Waiting for a reviewer.",
    "published": "",
    "rejected": "Upload a corrected version; one of the same code replaces this one, which is deleted after 7 days.",
    "failed": "It is not stored. Fix what is listed and upload it again.",
    "yanked": "Devices do not get it. For 7 days it can be put back.",
}
OVERTAKEN = "A newer version has been published. This one is deleted after 7 days."


def changed(
    call: Call, app_id: str, form: str, done: str, act: Callable[[], object],
    *, fields: Mapping[str, str] | None = None, file: str = "", anchor: str = "",
) -> HTTPResponse:  # fmt: skip
    """The page of the app after a change, by GET, or with the form and what was wrong with it."""
    try:
        act()
    except Refused as refused:
        if refused.code == "NOT_FOUND":
            raise
        return show(call, app_id, Entered(form, fields or {}, refused, file))
    except ImageRejected as rejected:
        return show(call, app_id, Entered(form, {}, Refused(rejected.code, str(rejected)), file))
    return redirect(f"/console/apps/{app_id}?done={done}{anchor and '#'}{anchor}")


def show(
    call: Call, app_id: str, entered: Entered | None = None, made: Mapping[str, str] | None = None
) -> HTTPResponse:
    """The page of an app; `made` is a preview link that has just been created: its `url`, and that as a `qr` code."""
    db = call.db.read()
    app = apps.owned(db, app_id, call.actor.developer_id)
    found, highest = versions.of_app(db, app_id), versions.highest_published(db, app_id)
    images = {asset.name: asset.file_name for asset in proposals.applied(db, app_id)}
    return page(
        call, "console-app.html", entered, app=app, made=made, published_once=highest > 0,
        unstored=_unstored(call, found),
        proposal=proposals.find(db, app_id),
        versions=[(version, json.loads(version.reasons)) for version in found],
        links={each.version_id: previews.of_version(db, each) for each in found if each.status in previews.SHOWN},
        together={name: step for name, step in TOGETHER.items() if _several(found, name)},
        icon=images.get(storefront.ICON),
        has_key=any(key.revoked_at is None for key in keys.of_developer(db, app.developer_id)),
        screenshots=[(plain[12:-4], name) for plain, name in images.items() if plain.startswith(assets.SCREENSHOTS)],
        package_max=call.settings.package_max_bytes, screenshots_max=assets.SCREENSHOTS_MAX,
        steps=steps, step_of=STEPS, deletable=deletion.OF_THE_OWNER, link_days=LINK_DAYS,
        next_of=lambda version: following(version, highest),
    )  # fmt: skip


def _unstored(call: Call, found: list[Version]) -> list[str]:
    """Why the last package was refused, for the page that the script opens after its upload (`?refused=upload`)."""
    failed = next((version for version in found if version.status == "failed"), None)
    return json.loads(failed.reasons) if failed and call.request.query.refused == "upload" else []


LINK_DAYS = (1, 7, previews.DAYS_MAX)  # that a preview link may last


def _several(found: list[Version], action: Action) -> bool:
    return sum(action in steps(version) for version in found) > 1


def steps(version: Version) -> list[Action]:
    """What the owner may do with the version."""
    return [action for action in STEPS if TRANSITIONS[action].source == version.status]


def following(version: Version, highest: int) -> str:
    """What comes next for the version, when the version code `highest` is the highest ever published."""
    overtaken = version.status == "rejected" and (version.version_code or 0) <= highest
    return OVERTAKEN if overtaken else NEXT[version.status]


def take(call: Call, step: Step, reason: str, app_id: str, version_code: int) -> schemas.Version:
    """Take a step of one version by the handler of the API. Raises Refused."""
    return step.handler(call, forms.validated(step.body, {"reason": reason}), app_id, version_code)


def require_reason(step: Step, reason: str) -> None:
    """Raises Refused (VALIDATION_ERROR) if the step needs a reason and has none."""
    if step.body is schemas.Withdrawal and not reason:
        raise Refused("VALIDATION_ERROR", "It needs a reason.", ["reason: Write a reason, which everybody sees."])


def icon(call: Call, app: App) -> str | None:
    """The name of the icon of an app."""
    found = [asset for asset in asset_rows.of_app(call.db.read(), app.app_id) if asset.name == storefront.ICON]
    return found[0].file_name if found else None


def page(call: Call, template: str, entered: Entered | None, **values: Any) -> HTTPResponse:
    """A page of the console, perhaps with a form that was refused."""
    entered = entered or Entered()
    return rendering.html(
        template, entered.status, actor=call.actor, reviewer=call.actor.scope in REVIEWER.scopes, entered=entered,
        done=DONE.get(call.request.query.done), **values,
    )  # fmt: skip
