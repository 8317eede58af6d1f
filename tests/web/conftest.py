"""A real portal behind a real nginx, looked at with a real browser: one of each per test process."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser

from tests.support import publishing
from tests.support.browsing import CHROMIUM, PATIENCE, Visit, launched
from tests.support.nginx import NGINX, nginx_before
from tests.support.portal import Portal, add_developer, free_port, make_store


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal as it is set up behind nginx; tests use apps of their own."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    root = tmp_path_factory.mktemp("site") / "store"
    behind_nginx = {"accel": True, "proxied": True, "public_url": "https://store.test"}
    store = make_store(root, port=free_port(), workers=1, threads=16, **behind_nginx)
    add_developer(store, publishing.OWNER.developer_id)
    with Portal(store) as running:
        yield running


@pytest.fixture(scope="session")
def front(site: Portal) -> Iterator[str]:
    """The URL at which nginx answers."""
    with nginx_before(site) as url:
        yield url


@pytest.fixture
def app_id(site: Portal, request: pytest.FixtureRequest) -> str:
    """An app of the test's own, without versions."""
    name = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")
    made = f"org.example.{name[:60].strip('-')}"
    publishing.add_app(site.store, made)
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not of the session: while Playwright runs, no test of the same process can run an event loop of its own."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with launched() as browser:
        yield browser


Visiting = Callable[..., Visit]


@pytest.fixture
def visit(browser: Browser, front: str) -> Iterator[Visiting]:
    """Open a page of the store in a new context; what all of them did is checked at the end unless `faulty`."""
    with ExitStack() as stack:
        visits: list[Visit] = []

        def open_page(path: str, *, base: str = front, faulty: bool = False, **options: object) -> Visit:
            context = browser.new_context(base_url=base, **options)
            stack.callback(context.close)
            context.set_default_timeout(PATIENCE)
            visited = Visit(context.new_page())
            visits.extend([] if faulty else [visited])
            visited.page.goto(path)
            return visited

        yield open_page
        for visited in visits:
            visited.check()
