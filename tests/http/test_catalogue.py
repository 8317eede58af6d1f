"""The signed catalogue over HTTP: the files of a job, and what caches and devices need to know of each."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

from portal.store.catalogue_files import PATTERN
from tests.http.test_openapi import check
from tests.support.catalogues import SignedCatalogue
from tests.support.nginx import NGINX, nginx_before
from tests.support.portal import Portal, free_port, make_store, problem

ROUTE = "/catalogue/{path}"
APP = "org.example.reader"
TIMESTAMP = "metadata/timestamp.json"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    store = make_store(tmp_path_factory.mktemp("served") / "store", port=free_port(), accel=True, proxied=True)
    with Portal(store) as running:
        yield running


@pytest.fixture(scope="module", params=["portal", "nginx"])
def url(served: Portal, request: pytest.FixtureRequest) -> Iterator[str]:
    """The store, without and with nginx in front of it."""
    if request.param == "portal":
        yield served.url
    elif NGINX is None:
        pytest.skip("nginx is not installed")
    else:
        with nginx_before(served) as front:
            yield front


@pytest.fixture
def catalogue(served: Portal) -> Iterator[SignedCatalogue]:
    made = SignedCatalogue(served.store.layout.root)
    made.publish({APP: {"app_id": APP, "description": "word " * 500, "releases": []}})
    yield made
    shutil.rmtree(made.place)


def get(url: str, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{url}/catalogue/{path}", headers={"Accept-Encoding": "identity"} | headers)


def test_every_file_is_served_as_the_job_wrote_it(url: str, catalogue: SignedCatalogue) -> None:
    files = {str(path.relative_to(catalogue.place)): path for path in catalogue.place.rglob("*.json")}
    assert len(files) > 8
    for name, path in files.items():
        answer = get(url, name)
        cache = "public, max-age=60" if name == TIMESTAMP else "public, max-age=31536000, immutable"
        assert (answer.status_code, answer.content) == (200, path.read_bytes())
        assert (answer.headers["cache-control"], answer.headers["content-type"]) == (cache, "application/json")


def test_what_a_device_has_already_is_not_sent_again(url: str, catalogue: SignedCatalogue) -> None:
    tag = get(url, TIMESTAMP).headers["etag"]
    unchanged = get(url, TIMESTAMP, **{"If-None-Match": f'"other", {tag}'})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tag)
    catalogue.publish({})
    changed = get(url, TIMESTAMP, **{"If-None-Match": tag})
    assert (changed.status_code, changed.content) == (200, (catalogue.place / TIMESTAMP).read_bytes())
    assert changed.headers["etag"] != tag, "in the same second, and of the same size"
    assert get(url, TIMESTAMP, **{"If-Match": tag}).status_code == 412


def test_a_root_that_is_not_there_yet_is_never_cached(url: str, catalogue: SignedCatalogue) -> None:
    missing = get(url, "metadata/2.root.json")
    problem(missing, 404, "NOT_FOUND")
    assert missing.headers["cache-control"] == "no-store"
    catalogue.rotate()
    assert get(url, "metadata/2.root.json").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["", "metadata", "metadata/", "metadata/timestamp.json.new", "metadata/0.root.json", "metadata/1.ROOT.json",
     "targets/apps/", "../data/portal.db", "%2e%2e/secrets/presign-keys", "metadata/%2e%2e/%2e%2e/data/portal.db",
     "targets/apps/..%2f..%2f..%2fdata%2fportal.db", f"targets/apps/{'0' * 64}.%2e%2e%2fx.json",
     "metadata/1.root.json%00"],
)  # fmt: skip
def test_nothing_else_is_served(url: str, catalogue: SignedCatalogue, path: str) -> None:
    (catalogue.place / "metadata/timestamp.json.new").write_bytes(b"not yet")
    assert get(url, path).status_code in (400, 404)


def test_a_store_without_a_catalogue_says_so(url: str) -> None:
    problem(get(url, TIMESTAMP), 404, "NOT_FOUND")


def test_answers_are_as_described(url: str, catalogue: SignedCatalogue) -> None:
    described = httpx.get(f"{url}/openapi.json").json()
    [route] = [path for path in described["paths"] if path.startswith("/catalogue/")]
    [path] = [one for one in described["paths"][route]["get"]["parameters"] if one["in"] == "path"]
    assert path["schema"]["pattern"] == f"^(?:{PATTERN})$"
    whole = check(described, route, get(url, TIMESTAMP))
    for headers in ({"If-None-Match": whole.headers["etag"]}, {"If-Match": '"another"'}):
        check(described, route, get(url, TIMESTAMP, **headers))
    check(described, route, get(url, "metadata/9.root.json"))


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_nginx_compresses_it_and_still_knows_it_again(served: Portal, catalogue: SignedCatalogue) -> None:
    [document] = (catalogue.place / "targets/apps").iterdir()
    with nginx_before(served) as front:
        name = f"targets/apps/{document.name}"
        packed = get(front, name, **{"Accept-Encoding": "gzip", "Via": "1.1 cdn"})
        assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("gzip", "Accept-Encoding")
        assert packed.content == document.read_bytes()
        assert packed.num_bytes_downloaded < len(packed.content) / 5
        again = get(front, name, **{"Accept-Encoding": "gzip", "If-None-Match": packed.headers["etag"]})
        assert again.status_code == 304


class Fetcher(FetcherInterface):
    def _fetch(self, url: str) -> Iterator[bytes]:
        answer = httpx.get(url)
        if answer.status_code != 200:
            raise DownloadHTTPError(answer.text, answer.status_code)
        yield answer.content


def test_a_tuf_client_finds_an_app(url: str, catalogue: SignedCatalogue, tmp_path: Path) -> None:
    catalogue.rotate()
    updater = Updater(
        str(tmp_path), f"{url}/catalogue/metadata/", str(tmp_path), f"{url}/catalogue/targets/",
        fetcher=Fetcher(), bootstrap=catalogue.first_root,
    )  # fmt: skip
    updater.refresh()
    found = updater.get_targetinfo(f"apps/{APP}.json")
    assert found and found.custom == {"c": 0}
    updater.download_target(found, str(tmp_path / "document"))
    assert (tmp_path / "document").read_bytes() == catalogue.documents[APP]
