"""nginx with the configuration of docs/cdn.md as the CDN of a real bucket: what it keeps, and what it must not keep."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from portal.jobs import mirror
from portal.mirror.client import Bucket
from portal.settings import S3
from portal.store.store import Store
from tests.mirror.seaweed import running_seaweed
from tests.support.catalogues import SignedCatalogue, documents_of
from tests.support.cdn import cdn_before, make_public
from tests.support.many import fill
from tests.support.nginx import NGINX
from tests.support.portal import make_store

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

TIMESTAMP = "catalogue/metadata/timestamp.json"
ROOT = "catalogue/metadata/1.root.json"
PACKAGE = "packages/acme/org.example.app0/1/package.mosis"


@pytest.fixture
def mirrored(tmp_path: Path, empty: S3) -> Iterator[Store]:
    """A store whose public bucket has its files and its catalogue."""
    store = make_store(tmp_path / "store", mirror=empty.model_dump(mode="json"))
    fill(store, 2, 2)
    SignedCatalogue(store.layout.root).publish(documents_of(store))
    mirror.mirror(store)
    make_public(empty)
    yield store
    store.db.close()


@pytest.fixture
def cdn(mirrored: Store, empty: S3, tmp_path: Path) -> Iterator[str]:
    with cdn_before(empty, tmp_path / "cdn") as url:
        yield url


def get(cdn: str, key: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{cdn}/{key}", headers={"Accept-Encoding": "identity"} | headers)


@pytest.mark.parametrize(
    ("key", "cache_control"),
    [
        (TIMESTAMP, "public, max-age=60"),
        (ROOT, "public, max-age=31536000, immutable"),
        (PACKAGE, "public, max-age=86400, immutable"),
    ],
)
def test_what_the_bucket_has_is_kept_as_its_headers_say(
    cdn: str, mirrored: Store, key: str, cache_control: str
) -> None:  # fmt: skip
    content = (mirrored.layout.root / key).read_bytes()
    for status in ("MISS", "HIT"):
        answer = get(cdn, key)
        assert (answer.status_code, answer.content) == (200, content)
        assert (answer.headers["cache-control"], answer.headers["x-cache-status"]) == (cache_control, status)
    unchanged = get(cdn, key, **{"If-None-Match": answer.headers["etag"]})
    assert (unchanged.status_code, unchanged.headers["x-cache-status"]) == (304, "HIT")


def test_a_root_appears_at_once_although_devices_have_asked_for_it(cdn: str, mirrored: Store, empty: S3) -> None:
    following = "catalogue/metadata/2.root.json"
    assert get(cdn, following).status_code == 404
    Bucket(empty).call("put_object", Key=following, Body=b"{}")
    assert get(cdn, following).status_code == 200


def test_a_cdn_that_keeps_404_hides_a_root(mirrored: Store, empty: S3, tmp_path: Path) -> None:
    """What the rule of the page is for: without it a CDN behaves like this."""
    following = "catalogue/metadata/2.root.json"
    with cdn_before(empty, tmp_path / "keeps", extra="proxy_cache_valid 404 3m;") as url:
        assert get(url, following).status_code == 404
        Bucket(empty).call("put_object", Key=following, Body=b"{}")
        assert get(url, following).status_code == 404


def test_json_is_compressed_and_packages_are_continued(cdn: str, mirrored: Store) -> None:
    targets = "catalogue/metadata/1.targets.json"
    packed = get(cdn, targets, **{"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == (mirrored.layout.root / targets).read_bytes()
    content = (mirrored.layout.root / PACKAGE).read_bytes()
    for _ in range(2):
        rest = get(cdn, PACKAGE, Range="bytes=100-")
        assert (rest.status_code, rest.content) == (206, content[100:])
    tag = rest.headers["etag"]
    rest = get(cdn, PACKAGE, **{"Range": "bytes=100-", "If-Range": tag})
    assert (rest.status_code, rest.content) == (206, content[100:])


def test_nobody_writes_through_the_cdn(cdn: str, mirrored: Store) -> None:
    for method in ("PUT", "DELETE", "POST"):
        assert httpx.request(method, f"{cdn}/{PACKAGE}", content=b"x").status_code == 403
    assert get(cdn, PACKAGE).content == (mirrored.layout.root / PACKAGE).read_bytes()


def test_what_it_has_is_served_while_the_bucket_is_away(tmp_path: Path) -> None:
    with running_seaweed() as running:
        store = make_store(tmp_path / "store", mirror=running.engine.model_dump(mode="json"))
        fill(store, 1, 1)
        mirror.mirror(store)
        make_public(running.engine)
        with cdn_before(running.engine, tmp_path / "cdn") as url:
            content = get(url, PACKAGE).content
            running.kill()
            assert get(url, PACKAGE).content == content == (store.layout.root / PACKAGE).read_bytes()
            assert get(url, TIMESTAMP).status_code == 502
        store.db.close()
