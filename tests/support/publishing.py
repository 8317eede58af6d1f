"""Real packages and pictures, published straight into a store."""

from io import BytesIO
from pathlib import Path

from PIL import Image

from portal.store import apps, assets, audit, deletion, uploads, versions
from portal.store.store import Store
from tests.packages.samples import make_package

OWNER = audit.Actor("acme", "developer", None, "test")


def add_app(store: Store, app_id: str) -> None:
    with store.db.write() as tx:
        apps.add(tx, OWNER, app_id, "App", "")


def publish(store: Store, app_id: str, code: int, **described: object) -> Path:
    """Upload, submit and publish a version of OWNER's app, and return where its package is."""
    path = upload(store, app_id, code, **described)
    for action in ("submit", "publish"):
        change(store, app_id, code, action)
    return path


def upload(store: Store, app_id: str, code: int, **described: object) -> Path:
    """Upload a version of OWNER's app, a draft, and return where its package is."""
    app = apps.get(store.db.read(), app_id)
    with uploads.receiving(store, app) as incoming:
        make_package(incoming.package, app_id=app_id, version_code=code, **described)
        content = incoming.package.read_bytes()
        received = uploads.files.Received(len(content), uploads.files.digest(incoming.package))
        version = uploads.complete(store, OWNER, incoming, received)
    return store.layout.package(version.developer_id, app_id, code)


def change(store: Store, app_id: str, code: int, action: str, reason: str = "") -> None:
    with store.db.write() as tx:
        versions.change(tx, audit.OPERATOR, apps.get(tx, app_id), code, action, reason)


def delete_app(store: Store, app_id: str) -> None:
    deletion.delete_app(store, audit.OPERATOR, app_id, "By order of a court.")


def illustrate(store: Store, app_id: str, screenshots: int = 2) -> None:
    """Give the app an icon and screenshots."""
    app = apps.get(store.db.read(), app_id)
    assets.put_icon(store, OWNER, app, {edge: png(edge, edge) for edge in (32, 64, 128)})
    for _ in range(screenshots):
        assets.add_screenshot(store, OWNER, app, png(1280, 720))


def png(width: int, height: int) -> bytes:
    out = BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(out, "PNG")
    return out.getvalue()
