"""Errors that people see, of the portal and of nginx in front of a portal that is down."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.nginx import NGINX, nginx_before
from tests.support.portal import Portal, free_port, make_store
from tests.web.conftest import Visiting


@pytest.fixture
def down(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of nginx in front of a portal that is not running."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    with nginx_before(Portal(make_store(tmp_path_factory.mktemp("down") / "store", port=free_port()))) as url:
        yield url


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_store_that_is_down_says_so_in_a_page(down: str, visit: Visiting, scheme: str) -> None:
    options = {"color_scheme": scheme, "viewport": {"width": 360, "height": 640}}
    visited = visit("/apps/org.example.app", base=down, faulty=True, **options)
    shown = visited.page
    assert [fault for fault in visited.faults if "503" not in fault] == [], "the style and the icon are allowed"
    assert shown.get_by_role("heading").inner_text() == "Service unavailable"
    assert shown.evaluate("document.documentElement.scrollWidth") <= 360
    paper = shown.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert paper == {"light": "rgb(250, 249, 246)", "dark": "rgb(22, 21, 19)"}[scheme]
    visited.accessible()
    with shown.expect_navigation():
        shown.get_by_role("link", name="Try again").click()
    assert shown.url == f"{down}/apps/org.example.app"


def test_a_head_has_the_header_of_the_page(front: str) -> None:
    for path in ("/nothing", "/apps/org.example.none"):
        get, head = (httpx.request(method, front + path, headers={"Accept": "text/html"}) for method in ("GET", "HEAD"))
        for name in ("content-type", "cache-control", "vary", "content-security-policy"):
            assert head.headers[name] == get.headers[name]
        assert (head.status_code, head.content) == (get.status_code, b"")
    assert httpx.head(f"{front}/console", headers={"Accept": "text/html"}).status_code == 303
