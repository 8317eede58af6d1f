"""A real browser, and what goes wrong in the pages that it opens."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
PATIENCE = 60_000  # milliseconds until a step gives up


@contextmanager
def launched() -> Iterator[Browser]:
    """Debian's chromium, which finds every host below `.test` on this machine."""
    with sync_playwright() as playwright:
        names = "--host-resolver-rules=MAP *.test 127.0.0.1"  # a store at home is reached by name, over plain http
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", names])
        yield browser
        browser.close()


def sign_in(page: Page, token: str) -> None:
    """Start a session, which leads to what its reader does: the console, or the queue."""
    page.goto("/sign-in")
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/(console|review)$"))


class Visit:
    """A page in a context of its own, and what went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        self._hosts: set[str] = set()
        page.context.on("console", lambda m: m.type in ("error", "warning") and self.faults.append(m.text))
        page.context.on("weberror", lambda error: self.faults.append(str(error.error)))
        page.context.on("request", lambda request: self._requested(request.url))

    def _requested(self, url: str) -> None:
        if "csp-report" in url:
            self.faults.append(url)
        if not url.startswith(("data:", "blob:")):
            self._hosts.add(url.split("/")[2])

    def check(self) -> None:
        """Nothing failed in the page, and no other host than the store was asked for anything."""
        assert self.faults == []
        assert len(self._hosts) <= 1, self._hosts

    def accessible(self) -> None:
        """axe finds neither a fault nor what it cannot decide."""
        found = Axe().run(self.page, options={"resultTypes": ["violations", "incomplete"]}).response
        faults = [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]]
        unclear = [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["incomplete"]]
        assert (faults, unclear) == ([], [])
