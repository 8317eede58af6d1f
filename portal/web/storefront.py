"""The store as everybody sees it: apps, search, one app with its versions, feeds."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

import segno
from bottle import HTTPResponse

from portal.http.routes.store import PAGE, QUERY_MAX
from portal.http.routing import ANYONE, Operation, PublicCall, Routes
from portal.http.schemas import DESCRIBED, download_path
from portal.packages.identifiers import LARGEST_INTEGER, valid_app_id
from portal.store import app_keys, apps, asset_rows, developers, downloads, storefront
from portal.store.apps import App
from portal.store.clock import now
from portal.store.database import Database
from portal.store.errors import Refused
from portal.store.versions import PlacedVersion
from portal.web import rendering, static

FEATURED = 6  # apps that are new, and that are downloaded most
POPULAR_DAYS = 30
POPULAR_SECONDS = 300  # for which the numbers of all apps and days are not added up again
VERSIONS = 20  # of an app, on a page
FEED = 30  # versions in a feed

routes = Routes()


@dataclass(frozen=True)
class Listed:
    """A version on the page of its app; `added` are permissions that the published version before it had not."""

    version: PlacedVersion
    manifest: dict[str, Any]
    added: frozenset[str]

    @property
    def path(self) -> str:
        return download_path(self.version)


@routes.add(Operation("GET", "/", "The store", ANYONE, query=("q", "cursor"), media_type="text/html"))
def home(call: PublicCall) -> HTTPResponse:
    query, after = call.request.query.q.strip(), call.request.query.cursor
    if len(query) > QUERY_MAX:
        raise Refused("INVALID_REQUEST", f"A search must not be longer than {QUERY_MAX} characters.")
    if after and not valid_app_id(after):
        raise Refused("INVALID_REQUEST", "This page of the list does not exist; start again from the first one.")
    db = call.db.read()
    found = [app.app_id for app in apps.published(db, query=query, after=after, limit=PAGE + 1)]
    featured = not query and not after and len(found) > FEATURED
    newest = storefront.newest(db, FEATURED) if featured else []
    popular = _most_downloaded(call.db, now() // POPULAR_SECONDS) if featured else ()
    following = urlencode({**({"q": query} if query else {}), "cursor": found[PAGE - 1]}) if found[PAGE:] else None
    return rendering.public(
        call, "home.html",
        query=query, first=not after, newest=storefront.entries(db, newest), popular=storefront.entries(db, popular),
        found=storefront.entries(db, found[:PAGE]), following=following,
    )  # fmt: skip


@routes.add(Operation("GET", "/apps/<app_id>", "An app", ANYONE, query=("before",), media_type="text/html"))
def app(call: PublicCall, app_id: str) -> HTTPResponse:
    before = _code(call.request.query.before)
    db, found = call.db.read(), apps.get(call.db.read(), app_id)
    versions = storefront.history(db, app_id, before=before, limit=VERSIONS + 2)
    if not versions:
        raise apps.hidden(call.db.read(), app_id)
    return rendering.public(call, "app.html", first=before > LARGEST_INTEGER, base="", **about(db, found, versions))


def about(db: sqlite3.Connection, app: App, versions: list[PlacedVersion]) -> dict[str, Any]:
    """What the page of an app shows of these versions, the highest code first, of which it lists VERSIONS."""
    shown = listed(versions[: VERSIONS + 1])[:VERSIONS]
    public = asset_rows.of_app(db, app.app_id) if app.published_code is not None else []  # the others answer 404
    images = {asset.name: asset.file_name for asset in public}
    return {
        "app": app,
        "developer": developers.get(db, app.developer_id),
        "versions": shown,
        "current": next((each for each in shown if each.version.version_code == app.published_code), None),
        "older": shown[-1].version.version_code if len(versions) > VERSIONS else None,
        "icon": images.get("icon-128.png"),
        "screenshots": [name for plain, name in images.items() if plain.startswith("screenshots/")],
        "downloads": sum(downloads.totals(db, app.app_id).values()),
        "signing": app_keys.history(db, app.app_id),
        "recovery": app_keys.pending(db, app.app_id),
    }


@routes.add(Operation("GET", "/apps/<app_id>/qr.svg", "A QR code of the page", ANYONE, media_type="image/svg+xml"))
def qr(call: PublicCall, app_id: str) -> HTTPResponse:
    if apps.get(call.db.read(), app_id).published_code is None:
        raise apps.hidden(call.db.read(), app_id)
    fields = {
        "Content-Type": static.TYPES["svg"],
        "Cache-Control": rendering.PUBLIC if call.settings.public_url else rendering.OF_HOST,
    }
    return HTTPResponse(_qr(f"{rendering.origin(call)}/apps/{quote(app_id)}"), 200, fields)


@routes.add(Operation("GET", "/feed.atom", "New versions of all apps", ANYONE, media_type=rendering.ATOM))
def feed(call: PublicCall) -> HTTPResponse:
    found = storefront.latest_releases(call.db.read(), FEED)
    return _feed(call, "/", "New in the store", ((each.app_name, each.version) for each in found))


@routes.add(Operation("GET", "/apps/<app_id>/feed.atom", "New versions of an app", ANYONE, media_type=rendering.ATOM))
def app_feed(call: PublicCall, app_id: str) -> HTTPResponse:
    found = apps.get(call.db.read(), app_id)
    versions = storefront.history(call.db.read(), app_id, before=LARGEST_INTEGER + 1, limit=FEED)
    if not versions:
        raise apps.hidden(call.db.read(), app_id)
    return _feed(call, f"/apps/{app_id}", found.name, ((found.name, version) for version in versions))


def listed(versions: list[PlacedVersion]) -> list[Listed]:
    """Versions, the highest code first, with what their manifests say and which permissions are new."""
    manifests = [described(version) for version in versions]
    earlier = [frozenset(manifest["permissions"] or ()) for manifest in manifests]
    before = [*earlier[1:], None]  # the first version has nothing to be compared with
    return [
        Listed(version, manifest, frozenset() if old is None else own - old)
        for version, manifest, own, old in zip(versions, manifests, earlier, before, strict=True)
    ]


def described(version: PlacedVersion) -> dict[str, Any]:
    """What the manifest says for people; None where it says nothing."""
    manifest = json.loads(version.manifest)
    return {name: manifest.get(name) for name in DESCRIBED}


def _feed(call: PublicCall, path: str, title: str, found: Iterable[tuple[str, PlacedVersion]]) -> HTTPResponse:
    entries = [(name, version, described(version)["changelog"]) for name, version in found]
    updated = max((version.status_at for _, version, _ in entries), default=0)
    return rendering.public(call, "feed.xml", rendering.ATOM, path=path, title=title, entries=entries, updated=updated)


@lru_cache(maxsize=2)
def _most_downloaded(db: Database, period: int) -> tuple[str, ...]:
    """IDs of apps; another period is counted anew."""
    return tuple(downloads.most(db.read(), POPULAR_DAYS, FEATURED))


@lru_cache(maxsize=512)
def _qr(url: str) -> str:
    code: str = segno.make(url, error="m", micro=False).svg_inline(omitsize=True, light="white", border=3)
    return code.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def _code(text: str) -> int:
    if not text:
        return LARGEST_INTEGER + 1
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_INTEGER))):
        raise Refused("INVALID_REQUEST", "This page of versions does not exist; start again from the first one.")
    return int(text)
