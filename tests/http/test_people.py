"""Who gets a page instead of a problem, and what it advises."""

import pytest

from portal.http import people, problems

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "path", "page"),
    [
        (BROWSER, "/apps/org.example.app", True),
        (BROWSER, "/downloads/acme/org.example.app/1/package.mosis", True),
        (BROWSER, "/apiary", True),
        (BROWSER, "/api/me", False),
        (BROWSER, "/catalogue/metadata/timestamp.json", False),
        ("*/*", "/apps/org.example.app", False),
        ("", "/", False),
    ],
)
def test_a_page_is_for_browsers_where_addresses_are_not_for_programs(accept: str, path: str, page: bool) -> None:
    assert people.reads_pages(accept, path) == page


def test_every_hint_is_one_of_a_problem() -> None:
    assert people.HINTS.keys() <= problems.KINDS.keys()
