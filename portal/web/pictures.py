"""The icon and the screenshots of an app in the console."""

from bottle import HTTPResponse

from portal.http import forms, schemas
from portal.http.routes import image_reviews as reviews_api
from portal.http.routes import images as api
from portal.http.routing import DEVELOPER, Call, Operation, Routes
from portal.store import apps, assets
from portal.web.app_page import APP_PATH, HTML, changed

SCREENSHOTS_PATH = f"{APP_PATH}/screenshots"
SCREENSHOT_PATH = f"{SCREENSHOTS_PATH}/<number:re:[1-{assets.SCREENSHOTS_MAX}]>"
PLACES = {"earlier": -1, "later": 1}

routes = Routes()


@routes.add(
    Operation(
        "POST", f"{APP_PATH}/icon", "Set the icon", DEVELOPER, media_type=HTML, form_file="icon", rate_limited=True
    )
)
def put_icon(call: Call, app_id: str) -> HTTPResponse:
    return changed(call, app_id, "icon", "icon", lambda: api.put_icon(call, app_id), file="icon")


@routes.add(
    Operation(
        "POST", SCREENSHOTS_PATH, "Add a screenshot", DEVELOPER, media_type=HTML,
        form_file="screenshot", rate_limited=True,
    )
)  # fmt: skip
def add_screenshot(call: Call, app_id: str) -> HTTPResponse:
    return changed(
        call, app_id, "screenshot", "screenshot", lambda: api.add_screenshot(call, app_id), file="screenshot"
    )  # fmt: skip


@routes.add(Operation("POST", f"{SCREENSHOT_PATH}/delete", "Delete a screenshot", DEVELOPER, media_type=HTML))
def delete_screenshot(call: Call, app_id: str, number: str) -> HTTPResponse:
    return changed(
        call, app_id, "delete", "delete", lambda: api.delete_screenshot(call, app_id, number), anchor="pictures"
    )  # fmt: skip


@routes.add(
    Operation("POST", f"{SCREENSHOT_PATH}/move", "Move a screenshot one place", DEVELOPER, media_type=HTML)
)  # fmt: skip
def move_screenshot(call: Call, app_id: str, number: str) -> HTTPResponse:
    fields = forms.text_fields(call.request, ("to",))

    def act() -> None:
        order = schemas.Order(order=moved(_numbers(call, app_id), int(number), PLACES.get(fields["to"], 0)))
        api.order_screenshots(call, order, app_id)

    return changed(call, app_id, "move", "move", act, anchor="pictures")


@routes.add(
    Operation("POST", f"{APP_PATH}/images/discard", "Take changed images back", DEVELOPER, media_type=HTML)
)  # fmt: skip
def discard_images(call: Call, app_id: str) -> HTTPResponse:
    return changed(
        call, app_id, "discard", "discard-images", lambda: reviews_api.discard(call, app_id), anchor="pictures"
    )  # fmt: skip


def moved(numbers: list[int], number: int, by: int) -> list[int]:
    """The numbers with this one so many places further, as far as there are places; the same if it is gone."""
    if number not in numbers:
        return numbers
    others = [each for each in numbers if each != number]
    at = max(0, numbers.index(number) + by)
    return [*others[:at], number, *others[at:]]


def _numbers(call: Call, app_id: str) -> list[int]:
    app = apps.owned(call.db.read(), app_id, call.actor.developer_id)
    return assets.screenshot_numbers(call.db.read(), app.app_id)
