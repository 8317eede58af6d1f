"""Icons and screenshots."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.http import forms, schemas
from portal.http.routing import DEVELOPER, Call, Operation, Routes
from portal.images import decoder
from portal.metrics import Measured
from portal.store import apps, assets, budget
from portal.store.apps import App
from portal.store.asset_rows import Asset
from portal.store.files import Sink

SCREENSHOTS_PATH = "/api/apps/<app_id>/screenshots"
SCREENSHOT_PATH = f"{SCREENSHOTS_PATH}/<number:re:[1-{assets.SCREENSHOTS_MAX}]>"
PROBLEMS = ("INVALID_FILE", "INVALID_IMAGE", "INVALID_DIMENSIONS")

routes = Routes()


@routes.add(
    Operation(
        "POST", "/api/apps/<app_id>/icon", "Set the icon of an app", DEVELOPER,
        form_file="icon", rate_limited=True, problems=PROBLEMS,
    )
)  # fmt: skip
def put_icon(call: Call, app_id: str) -> schemas.Assets:
    app = apps.owned(call.db.read(), app_id, call.actor.developer_id)
    with call.metrics.upload("icon") as measured:
        with (
            _received(call, app, "icon", call.settings.icon_max_bytes, measured) as path,
            call.services.converting(app.developer_id),
        ):
            sizes = decoder.icon(path, max_pixels=call.settings.image_max_pixels)
        put = assets.put_icon(call.store, call.actor, app, sizes)
    return schemas.Assets(assets=[_shown(call, asset) for asset in put])


@routes.add(
    Operation(
        "POST", SCREENSHOTS_PATH, "Add a screenshot", DEVELOPER,
        form_file="screenshot", status=201, rate_limited=True, problems=(*PROBLEMS, "TOO_MANY_SCREENSHOTS"),
    )
)  # fmt: skip
def add_screenshot(call: Call, app_id: str) -> schemas.Image:
    app = apps.owned(call.db.read(), app_id, call.actor.developer_id)
    asset = assets.add_screenshot(call.store, call.actor, app, _screenshot(call, app))
    return _shown(call, asset)


@routes.add(
    Operation(
        "PUT", SCREENSHOTS_PATH, "Set the order of the screenshots", DEVELOPER, problems=("FILE_NOT_FOUND",)
    )
)  # fmt: skip
def order_screenshots(call: Call, body: schemas.Order, app_id: str) -> schemas.Assets:
    app = apps.owned(call.db.read(), app_id, call.actor.developer_id)
    ordered = assets.order_screenshots(call.store, call.actor, app, body.order)
    return schemas.Assets(assets=[_shown(call, asset) for asset in ordered])


@routes.add(
    Operation(
        "POST", SCREENSHOT_PATH, "Replace a screenshot", DEVELOPER,
        form_file="screenshot", rate_limited=True, problems=PROBLEMS,
    )
)  # fmt: skip
def put_screenshot(call: Call, app_id: str, number: str) -> schemas.Image:
    app = apps.owned(call.db.read(), app_id, call.actor.developer_id)
    asset = assets.put_screenshot(call.store, call.actor, app, int(number), _screenshot(call, app))
    return _shown(call, asset)


@routes.add(Operation("DELETE", SCREENSHOT_PATH, "Delete a screenshot", DEVELOPER, status=204))
def delete_screenshot(call: Call, app_id: str, number: str) -> None:
    app = apps.owned(call.db.read(), app_id, call.actor.developer_id)
    assets.delete_screenshot(call.store, call.actor, app, int(number))


def _shown(call: Call, asset: Asset) -> schemas.Image:
    return schemas.Image.changed(call.db.read(), asset, call.settings.public_url)


def _screenshot(call: Call, app: App) -> bytes:
    limit = call.settings.screenshot_max_bytes
    with (
        call.metrics.upload("screenshot") as measured,
        _received(call, app, "screenshot", limit, measured) as path,
        call.services.converting(app.developer_id),
    ):
        return decoder.screenshot(path, max_pixels=call.settings.image_max_pixels)


@contextmanager
def _received(call: Call, app: App, kind: str, limit: int, measured: Measured) -> Iterator[Path]:
    """The file of the form, on disk: an image that waits to be decoded takes no memory."""
    call.store.overhead.measure(call.store.layout)
    budget.require(call.db.read(), call.store, app.developer_id, forms.announced(call.request, limit))
    with tempfile.TemporaryDirectory(dir=call.store.layout.area("temp"), prefix="image-") as directory:
        path = Path(directory) / kind
        file, _ = forms.multipart_file(call.request, kind, lambda: Sink(path, limit, durable=False), limit)
        measured.bytes = file.size
        yield path
