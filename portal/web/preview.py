"""What a preview link opens: the page that the app would have with a version, its images and its package.

A link that is unknown, expired or revoked, or whose version was rejected or deleted, answers like one that never was.
"""

from bottle import HTTPResponse

from portal.http.routes.store import PACKAGE_TYPE, UNPUBLISHED_CACHE, send_image, send_package
from portal.http.routing import ANYONE, Operation, PublicCall, Routes
from portal.packages.identifiers import LARGEST_INTEGER
from portal.store import apps, assets, previews, storefront, tokens, versions
from portal.store.errors import Refused
from portal.store.versions import PlacedVersion
from portal.web import rendering
from portal.web.sign_in import redirect
from portal.web.storefront import VERSIONS, about

PATH = f"/preview/<link:re:{tokens.PATTERN.pattern.replace('(', '(?:')}>"
UNLISTED = {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}

routes = Routes()


@routes.add(Operation("GET", PATH, "Preview a version", ANYONE, media_type="text/html"))
def show(call: PublicCall, link: str) -> HTTPResponse:
    version = previews.version_of(call.db.read(), link)
    if version is not None and version.published_at is not None:
        return redirect(f"/apps/{version.app_id}")
    return _page(call, link, _shown(version))


@routes.add(Operation("GET", f"{PATH}/package.mosis", "Download a previewed version", ANYONE, media_type=PACKAGE_TYPE))
def download(call: PublicCall, link: str) -> HTTPResponse:
    return send_package(call, _shown(previews.version_of(call.db.read(), link)), UNPUBLISHED_CACHE)


@routes.add(
    Operation(
        "GET", f"{PATH}/assets/<app_id>/<name:re:{assets.NAMES}>", "Get an image of a previewed app", ANYONE,
        media_type="image/png",
    )
)  # fmt: skip
def image(call: PublicCall, link: str, app_id: str, name: str) -> HTTPResponse:
    if _shown(previews.version_of(call.db.read(), link)).app_id != app_id:
        raise apps.not_found(app_id)
    return send_image(call, app_id, name, UNPUBLISHED_CACHE)


def _shown(version: PlacedVersion | None) -> PlacedVersion:
    if version is None or version.status not in previews.SHOWN:
        raise Refused("NOT_FOUND", "This link is unknown, or it has expired or was revoked: ask for a new one.")
    return version


def _page(call: PublicCall, link: str, version: PlacedVersion) -> HTTPResponse:
    db = call.db.read()
    app = versions.as_published(apps.get(db, version.app_id), version)
    older = storefront.history(db, app.app_id, before=LARGEST_INTEGER + 1, limit=VERSIONS)
    return rendering.html(
        "preview.html", headers=UNLISTED, first=True, base=f"/preview/{link}", **about(db, app, [version, *older])
    )  # fmt: skip
