"""What an operator sees at a glance."""

import re
import sqlite3
import time
from contextlib import closing

import httpx
import pytest
from playwright.sync_api import Page, expect

from portal.jobs import status, table
from portal.server import sampling
from portal.store import job_runs
from portal.store.history import Measured
from portal.store.store import Store
from tests.support import histories
from tests.support.in_process import calling
from tests.support.portal import Portal, add_developer
from tests.web.conftest import Visit, Visiting

DAY = histories.DAY


@pytest.fixture(scope="session")
def operator(site: Portal) -> str:
    return add_developer(site.store, "page-operator", key=None, scope="admin")


@pytest.fixture(scope="session")
def past(site: Portal) -> None:
    """Ninety days, with a gap."""
    histories.quarter(site.store.layout)


def signed_in(visit: Visiting, token: str, **options: object) -> Visit:
    shown = visit("/sign-in", **options)
    shown.page.get_by_label("Token").fill(token)
    shown.page.keyboard.press("Enter")
    shown.page.wait_for_url("**/console")
    return shown


def text(page: Page) -> str:
    return page.locator("main").inner_text()


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_an_operator_sees_the_figures_of_90_days(operator: str, visit: Visiting, width: int, scheme: str) -> None:
    shown = signed_in(visit, operator, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = shown.page
    page.get_by_role("link", name="Status").click()
    page.get_by_role("link", name="90 days").click()
    expect(page.get_by_role("link", name="90 days")).to_have_attribute("aria-current", "page")
    assert re.search(
        r"[\d.]+ GB of 107 GB in use\. At the growth of the last 14 days \([\d.]+ MB a day\), the budget is spent in",
        text(page),
    ), text(page)
    pictures = page.get_by_role("img")
    assert pictures.count() == 8
    expect(page.get_by_role("img", name="Requests per minute")).to_be_visible()
    page.get_by_text("90 days as a table").click()
    assert page.get_by_role("row").count() > 20
    shown.accessible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_others_see_nothing_of_it(site: Portal, front: str) -> None:
    """A browser without a session is sent to sign in, and comes back."""
    browser = {"Accept": "text/html"}
    answer = httpx.get(f"{front}/status?view=week", headers=browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fstatus")
    for scope in ("developer", "reviewer"):
        token = add_developer(site.store, f"page-no-{scope}", key=None, scope=scope)
        answer = httpx.get(f"{front}/status", headers=browser | {"Authorization": f"Bearer {token}"})
        assert (answer.status_code, "Storage" in answer.text) == (403, False)
        inside = httpx.get(f"{front}/console/tokens", headers=browser | {"Authorization": f"Bearer {token}"})
        assert "Sign out" in inside.text and "/status" not in inside.text


def page_of(store: Store, query: str = "") -> str:
    """The page as text, from an application of the test's own."""
    token = add_developer(store, f"operator{len(query)}", key=None, scope="admin")
    with calling(store, token) as client:
        answer = client.get(f"/status{query}")
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


def test_the_first_hour_has_a_page_too(store: Store) -> None:
    """Before the first sample, and with one, which has no counts yet."""
    assert "There are no figures yet" in page_of(store)
    sampling.take(store)
    shown = page_of(store, "?view=week")
    assert "A forecast needs the figures of a day." in shown
    assert shown.count("No figures for this period.") == 6, "only storage is known"
    assert "no figures yet" not in shown
    assert "withdrawn" in shown and "yanked" not in shown, "the word of the other pages"


def test_a_view_that_does_not_exist_is_that_of_a_day(store: Store) -> None:
    assert "24 hours" in page_of(store, "?view=century")


def test_jobs_have_the_verdicts_of_mosis_status(store: Store) -> None:
    with pytest.raises(OSError, match="drive"), job_runs.recorded(store.db, "scrub"):
        raise OSError("The drive does not answer.")
    with job_runs.recorded(store.db, "drill"):
        pass
    shown, names = page_of(store), {job.name for job in table.expected(store.settings)}
    lines = {line.name: line for line in status.status(store.settings) if line.name in names}
    for name, line in lines.items():
        verdict = "on time" if line.ok else "needs attention"
        assert f" {name} {verdict} {line.text} " in shown
    assert not lines["scrub"].ok
    assert "1 item needs attention: scrub : last success never; failed" in shown


def test_old_figures_are_called_old(store: Store) -> None:
    histories.write(store.layout, histories.busy([int(time.time()) - DAY // 2]))
    assert "There have been no figures since" in page_of(store)


def test_a_history_that_is_damaged_inside_is_begun_anew(store: Store) -> None:
    """Opening it does not notice."""
    histories.full(store.layout)
    path = store.layout.history
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    assert "There are no figures yet" in page_of(store)
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        sampling.take(store)
    sampling.take(store)
    assert "The figures are of" in page_of(store, "?view=week")


@pytest.mark.parametrize("table", ["samples", "counters"])
@pytest.mark.parametrize("text", ["'{\"reque'", "cast(x'7bff7d' AS TEXT)"], ids=["no JSON", "no UTF-8"])
def test_a_history_whose_text_is_damaged_is_begun_anew(store: Store, table: str, text: str) -> None:
    """SQLite has no checksums: only who reads the text notices."""
    sampling.take(store)
    with closing(sqlite3.connect(store.layout.history, isolation_level=None)) as db:
        db.execute(f"UPDATE {table} SET counted = {text}")
        db.execute("UPDATE counters SET at = at + 1000")  # so that the next sample is not too early
    assert "On the host" in page_of(store)
    with pytest.raises(sqlite3.DatabaseError):
        sampling.take(store)
    sampling.take(store)
    assert "The figures are of" in page_of(store, "?view=week")


def test_storage_above_its_budget_needs_attention(store: Store) -> None:
    used = Measured({}, {"storage": {"packages": store.settings.storage_budget_bytes * 9 // 10}})
    histories.write(store.layout, [(int(time.time()), used)])
    assert "1 item needs attention: storage : 96.6 GB of 107 GB in use" in page_of(store)
