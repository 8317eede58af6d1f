"""`make screenshots`: pictures of the pages, of a real store with the apps of tests/support/demo.py.

Usage: python -m docs.pictures DIRECTORY [NAME …]. The names are those of PICTURES; without any, all are taken.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

from portal.store.clock import now
from portal.store.store import Store
from tests.packages.samples import make_package
from tests.support import demo, histories
from tests.support.browsing import CHROMIUM, PATIENCE, launched, sign_in
from tests.support.nginx import NGINX, nginx_before
from tests.support.portal import Portal, free_port, make_store

WIDE, PHONE = (1120, 760), (360, 720)
QUALITY = 72  # of WebP: text stays sharp, a page takes 20 to 50 kB
PACKAGE_BYTES = 6_000_000  # of the upload that is caught in progress
UPLOAD_RATE = 400_000  # bytes per second that the browser is held to meanwhile


@dataclass(frozen=True)
class Picture:
    """A page as `reader` sees it (a name of Demo's, or nobody's), in a window of `size` pixels."""

    path: str
    reader: str = ""
    size: tuple[int, int] = WIDE
    scheme: str = "light"


PICTURES = {
    "store": Picture("/"),
    "app": Picture(f"/apps/{demo.RICH}"),
    "app-phone": Picture(f"/apps/{demo.RICH}", size=PHONE, scheme="dark"),
    "console": Picture(f"/console/apps/{demo.RICH}", reader="developer"),
    "upload": Picture(f"/console/apps/{demo.RICH}", reader="developer", scheme="dark"),
    "status": Picture("/status?view=quarter", reader="admin"),
    "review": Picture(f"/review/{demo.RICH}/4", reader="reviewer"),
}


def take(directory: Path, names: Sequence[str] = ()) -> None:
    """Take the pictures of these names, or all, into `directory` as WebP. Raises KeyError for an unknown name."""
    wanted = {name: PICTURES[name] for name in names or PICTURES}
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, _store(Path(place)) as (url, filled), launched() as browser:
        package = Path(place) / "notes.mosis"
        make_package(package, app_id=demo.RICH, version_code=6, version_name="1.6.0", payload_bytes=PACKAGE_BYTES)
        for name, picture in wanted.items():
            page = _opened(browser, url, picture, getattr(filled, picture.reader, ""))
            if name == "upload":
                _start_upload(page, package)
            _save(page.screenshot(), directory / f"{name}.webp")
            page.context.close()


@contextmanager
def _store(root: Path) -> Iterator[tuple[str, demo.Demo]]:
    """The URL of a store with apps, and tokens for it."""
    behind_nginx = {"accel": True, "proxied": True, "public_url": "https://store.example.org"}
    store = make_store(root / "store", port=free_port(), workers=1, **behind_nginx)
    filled = demo.fill(store)
    portal = Portal(store).start()
    try:
        _remember(store)
        with nginx_before(portal) as url:
            yield url, filled
    finally:
        portal.stop()


def _remember(store: Store) -> None:
    """Ninety days of a busy store; the portal has taken its own first sample, which the newest one replaces."""
    newest = now()
    histories.write(store.layout, histories.busy(range(newest - 90 * histories.DAY, newest + 1, 21_600)))


def _opened(browser: Browser, url: str, picture: Picture, token: str) -> Page:
    width, height = picture.size
    look = {"viewport": {"width": width, "height": height}, "color_scheme": picture.scheme}
    page = browser.new_context(base_url=url, reduced_motion="reduce", **look).new_page()
    page.set_default_timeout(PATIENCE)
    if token:
        sign_in(page, token)
    page.goto(picture.path, wait_until="networkidle")
    return page


def _start_upload(page: Page, package: Path) -> None:
    """Send a package so slowly that the page shows how far it is."""
    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": UPLOAD_RATE}
    network.send("Network.emulateNetworkConditions", slow)
    page.get_by_label("Package (.mosis)").set_input_files(package)
    page.get_by_role("button", name="Upload").click()
    page.locator("#transfer-figures", has_text="left").wait_for()


def _save(png: bytes, path: Path) -> None:
    Image.open(BytesIO(png)).convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)


def main(arguments: Sequence[str]) -> None:
    if missing := [name for name, path in (("chromium", CHROMIUM), ("nginx", NGINX)) if path is None]:
        raise SystemExit(f"make screenshots needs {' and '.join(missing)}; CONTRIBUTING.md says how to install it.")
    take(Path(arguments[0]), arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
