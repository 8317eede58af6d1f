"""One step of several versions at once, with one reason; what failed is named by version."""

from contextlib import closing

from bottle import HTTPResponse

from portal.http import forms
from portal.http.routing import DEVELOPER, Call, Operation, Routes
from portal.store import apps, versions
from portal.store.errors import Refused
from portal.store.rate_limit import rate_limit
from portal.store.states import Action
from portal.store.versions import PlacedVersion
from portal.web import app_page
from portal.web.app_page import APP_PATH, HTML, TOGETHER, Step
from portal.web.entered import Entered
from portal.web.sign_in import redirect

FORM = "several"

routes = Routes()


@routes.add(Operation("POST", f"{APP_PATH}/several", "Change several versions", DEVELOPER, media_type=HTML))
def change(call: Call, app_id: str) -> HTTPResponse:
    apps.owned(call.db.read(), app_id, call.actor.developer_id)
    # Lower codes first: devices never get for a moment what is about to be withdrawn as well.
    boxes = {f"code-{each.version_code}": each for each in versions.placed_of_app(call.db.read(), app_id)}
    fields = forms.text_fields(call.request, ("action", "reason", *boxes))
    chosen = [version for box, version in boxes.items() if fields[box]]
    action = next((name for name in TOGETHER if name == fields["action"]), None)
    try:
        _take(call, _known(action, chosen), fields["reason"], chosen)
    except Refused as refused:
        return app_page.show(call, app_id, Entered(FORM, fields, refused))
    return redirect(f"/console/apps/{app_id}?done=several-{action}")


def _known(action: Action | None, chosen: list[PlacedVersion]) -> Step:
    if action is None:
        raise Refused("VALIDATION_ERROR", "It is not clear what to do.", ["action: Choose what to do."])
    if not chosen:
        raise Refused("VALIDATION_ERROR", "No version is chosen.", ["code: Tick at least one version below."])
    return TOGETHER[action]


def _take(call: Call, step: Step, reason: str, chosen: list[PlacedVersion]) -> None:
    """Take the step of each version, each of which is a change. Raises Refused that names those for which it failed."""
    app_page.require_reason(step, reason)
    failed: list[str] = []
    with closing(rate_limit(call.settings, "changes")) as changes:
        for version in chosen:
            try:
                if version is not chosen[0]:  # which the request has been counted as
                    changes.take(call.actor.developer_id)
                app_page.take(call, step, reason, version.app_id, version.version_code)
            except Refused as refused:
                failed.append(f"{version.version_name}: {refused.detail}")
    if failed:
        done = len(chosen) - len(failed)
        raise Refused("WRONG_STATE", f"{done} of {len(chosen)} versions were changed. These were not:", failed)
