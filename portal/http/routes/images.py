"""Icons and screenshots."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal import images
from portal.http import forms, schemas
from portal.http.api import DEVELOPER, Api, Call, Operation
from portal.metrics import Measured, Metrics
from portal.store import apps, assets
from portal.store.files import Sink


def add(api: Api, metrics: Metrics) -> None:
    """Declare the routes."""
    store, settings = api.store, api.store.settings
    decoding = threading.Lock()  # one image at a time bounds a worker's memory

    @contextmanager
    def received(call: Call, kind: str, limit: int, measured: Measured) -> Iterator[Path]:
        """The file of the form, on the disk: what waits to be decoded takes no memory."""
        with tempfile.TemporaryDirectory(dir=store.layout.area("temp"), prefix="image-") as directory:
            path = Path(directory) / kind
            file, _ = forms.multipart_file(call.request, kind, lambda: Sink(path, limit), limit)
            measured.bytes = file.size
            yield path

    def put_icon(call: Call, app_id: str) -> schemas.Assets:
        app = apps.owned(store.db.read(), app_id, call.actor.developer_id)
        with metrics.upload("icon") as measured:
            with received(call, "icon", settings.icon_max_bytes, measured) as path, decoding:
                sizes = images.icon(path, max_pixels=settings.image_max_pixels)
            put = assets.put_icon(store, call.actor, app, sizes)
        return schemas.Assets(assets=[schemas.Asset.of(asset, settings.public_url) for asset in put])

    def screenshot(call: Call) -> bytes:
        limit = settings.screenshot_max_bytes
        with metrics.upload("screenshot") as measured, received(call, "screenshot", limit, measured) as path, decoding:
            return images.screenshot(path, max_pixels=settings.image_max_pixels)

    def add_screenshot(call: Call, app_id: str) -> schemas.Asset:
        app = apps.owned(store.db.read(), app_id, call.actor.developer_id)
        asset = assets.add_screenshot(store, call.actor, app, screenshot(call))
        return schemas.Asset.of(asset, settings.public_url)

    def put_screenshot(call: Call, app_id: str, number: str) -> schemas.Asset:
        app = apps.owned(store.db.read(), app_id, call.actor.developer_id)
        asset = assets.put_screenshot(store, call.actor, app, int(number), screenshot(call))
        return schemas.Asset.of(asset, settings.public_url)

    def delete_screenshot(call: Call, app_id: str, number: str) -> None:
        app = apps.owned(store.db.read(), app_id, call.actor.developer_id)
        assets.delete_screenshot(store, call.actor, app, int(number))

    image = ("NOT_FOUND", "INVALID_FILE", "INVALID_IMAGE", "INVALID_DIMENSIONS")
    shots = "/api/apps/<app_id>/screenshots"
    numbered = f"{shots}/<number:re:[1-{assets.SCREENSHOTS_MAX}]>"
    for operation in (
        Operation("POST", "/api/apps/<app_id>/icon", put_icon, "Set the icon", DEVELOPER,
                  file="icon", answer=schemas.Assets, upload=True, problems=image),
        Operation("POST", shots, add_screenshot, "Add a screenshot", DEVELOPER,
                  file="screenshot", status=201, answer=schemas.Asset, upload=True,
                  problems=(*image, "TOO_MANY_SCREENSHOTS")),
        Operation("POST", numbered, put_screenshot, "Replace a screenshot", DEVELOPER,
                  file="screenshot", answer=schemas.Asset, upload=True, problems=image),
        Operation("DELETE", numbered, delete_screenshot, "Delete a screenshot", DEVELOPER,
                  status=204, problems=("NOT_FOUND",)),
    ):  # fmt: skip
        api.add(operation)
