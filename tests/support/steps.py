"""Steps in a browser, worded as in README.md: `python -m tests.support.steps FILE`, where the files are."""

import re
import sys
from pathlib import Path

from playwright.sync_api import Locator, Page

from tests.support.browsing import PATIENCE, launched

STEP = re.compile(
    r"[Oo]pen `(?P<address>[^`]+)`"
    r"|(?:[Ff]ill|and) \*\*(?P<field>[^*]+)\*\* with (?P<within>what is in )?`(?P<value>[^`]+)`"
    r"|[Cc]hoose `(?P<file>[^`]+)` as \*\*(?P<chooser>[^*]+)\*\*"
    r"|[Ff]ollow \*\*(?P<link>[^*]+)\*\*"
    r"|[Pp]ress \*\*(?P<button>[^*]+)\*\*"
)


def follow(page: Page, text: str) -> None:
    """Do each step of the text. Raises AssertionError if it names something that no step uses."""
    text = " ".join(text.split())
    left = STEP.sub("", text)
    assert "**" not in left and "`" not in left, f"no step, or not in words that are known: {left}"
    for step in STEP.finditer(text):
        _do(page, step)


def _do(page: Page, step: re.Match[str]) -> None:
    if step["address"]:
        page.goto(step["address"])
    elif step["field"]:
        value = Path(step["value"]).read_text().strip() if step["within"] else step["value"]
        page.get_by_label(step["field"], exact=True).fill(value)
    elif step["file"]:
        page.get_by_label(step["chooser"]).set_input_files(step["file"])
    elif step["link"]:
        _leave(page, page.get_by_role("link", name=step["link"]))
    else:
        _leave(page, page.get_by_role("button", name=step["button"]))


def _leave(page: Page, where: Locator) -> None:
    """Click, and wait for the page that follows: an upload takes its time."""
    with page.expect_navigation():
        where.click()


if __name__ == "__main__":
    with launched() as browser:
        opened = browser.new_page()
        opened.set_default_timeout(PATIENCE)
        follow(opened, Path(sys.argv[1]).read_text())
