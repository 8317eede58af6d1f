"""A store with something to look at: apps with pictures and notes, and a version in every state."""

import colorsys
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageDraw

from portal.store import apps, assets, files, previews, uploads, versions
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.store import Store
from tests.support import histories, publishing
from tests.support.portal import add_developer

RICH = "org.acme.notes"
"""The app that has a version in every state."""

DRAFT = 5
"""The version code of its draft."""

COMMON = {
    "changelog": "- *New*: a timeline of everything that you wrote\n- Search finds parts of words\n- Fewer crashes",
    "license": "MIT",
    "author": "Acme Apps",
    "homepage": "https://acme.example/",
}
SHOWN = {
    RICH: ("Notes", "Keeps what you write, on your own device."),
    "org.acme.weather": ("Weather Station", "Temperature, wind and rain of the sensor in your garden."),
    "org.acme.frame": ("Photo Frame", "Shows the pictures of a folder, one after another, on the screen in the hall."),
    "org.acme.radio": ("Radio", "Stations of the whole world, without an account."),
    "org.acme.timer": ("Timer", "Several at once, each with a name."),
    "org.acme.recipes": ("Recipes", "Your own cookbook: scales amounts, keeps the screen on."),
    "org.acme.birds": ("Birds", "Recognises birds by their song, without a network."),
    "org.acme.chess": ("Chess", "Against the machine, or across the table."),
}


@dataclass(frozen=True)
class Demo:
    """Tokens, by whom they are for, and the address of a preview of a draft."""

    developer: str
    reviewer: str
    admin: str
    preview: str


def fill(store: Store) -> Demo:
    """Fill an empty store."""
    developer = add_developer(store, "acme")
    for number, (app_id, (name, about)) in enumerate(SHOWN.items()):
        publishing.add_app(store, app_id)
        _illustrate(store, app_id, number)
        _publish(store, app_id, 1, name, about, ["storage.read"])
        _publish(store, app_id, 2, name, about, ["storage.read", "network"])
        with store.db.write() as tx:
            tx.execute("INSERT INTO downloads VALUES (?, 2, ?, ?)", (app_id, now() // 86_400, 7 * number % 23 + 3))
    _every_state(store)
    histories.quarter(store.layout)
    with store.db.write() as tx:
        preview = previews.add(tx, publishing.OWNER, versions.get(tx, RICH, DRAFT), 7)[1]
    reviewer, admin = add_developer(store, "rita", None, "reviewer"), add_developer(store, "olga", None, "admin")
    # With another reviewer than its owner, what changes in images waits for a review.
    assets.add_screenshot(store, publishing.OWNER, apps.get(store.db.read(), RICH), _screen(0, 2))
    return Demo(developer, reviewer, admin, f"/preview/{preview}")


def _publish(store: Store, app_id: str, code: int, name: str, about: str, permissions: list[str]) -> None:
    described = {"name": name, "description": about, "permissions": permissions, **COMMON}
    publishing.publish(store, app_id, code, version_name=f"1.{code}.0", **described)


def _every_state(store: Store) -> None:
    """Of the rich app, beside what is published: withdrawn, rejected, in review, a draft, and a failed try."""
    publishing.change(store, RICH, 1, "yank", "It lost notes that were written at midnight.")
    for code, steps in (
        (3, (("submit", ""), ("reject", "It asks for the microphone, and nothing in it needs one."))),
        (4, (("submit", "Please look at the new permission: it is for the timeline."),)),
        (DRAFT, ()),
    ):
        described = dict(zip(("name", "description"), SHOWN[RICH], strict=True)) | COMMON
        publishing.upload(
            store, RICH, code, version_name=f"1.{code}.0", payload_bytes=40_000,
            permissions=["storage.read", "network", "calendar.read"], **described,
        )  # fmt: skip
        for action, reason in steps:
            publishing.change(store, RICH, code, action, reason)
    with suppress(Refused), uploads.receiving(store, apps.get(store.db.read(), RICH)) as broken:
        broken.package.write_bytes(b"no package")
        received = files.Received(10, files.digest(broken.package))
        uploads.complete(store, publishing.OWNER, broken, received)


def _illustrate(store: Store, app_id: str, number: int) -> None:
    app = apps.get(store.db.read(), app_id)
    assets.put_icon(store, publishing.OWNER, app, {edge: _icon(number, edge) for edge in (32, 64, 128)})
    for view in range(2):
        assets.add_screenshot(store, publishing.OWNER, app, _screen(number, view))


def _colour(number: int, brightness: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(0.47 + number / len(SHOWN), 0.45, brightness)
    return int(255 * red), int(255 * green), int(255 * blue)


def _icon(number: int, edge: int) -> bytes:
    """A square with as many bars as its number says."""
    picture = Image.new("RGB", (edge, edge), _colour(number, 0.5))
    draw, bars = ImageDraw.Draw(picture), number % 4 + 2
    for bar in range(bars):
        left, height = edge * (0.2 + 0.6 * bar / bars), edge * (0.2 + 0.4 * ((bar * 3 + number) % 5) / 4)
        draw.rectangle((left, 0.8 * edge - height, left + 0.4 * edge / bars, 0.8 * edge), fill=_colour(number, 1))
    return _png(picture)


def _screen(number: int, view: int) -> bytes:
    """A window with lines, as an app might have."""
    picture = Image.new("RGB", (1280, 720), _colour(number, 0.75))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 1280, 96), fill=_colour(number, 0.5))
    for row in range(5):
        top = 140 + row * 110
        draw.rounded_rectangle((60, top, 1220 - 90 * ((row * 2 + view) % 5), top + 70), 20, fill=(255, 255, 255))
    return _png(picture)


def _png(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
