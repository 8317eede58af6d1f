"""What devices read: the list of apps, an app, its package, its icons."""

import base64
from urllib.parse import quote, urlencode

from bottle import HTTPResponse

from portal.http import access, headers, schemas
from portal.http.api import ANYONE, MEMBER, STARTED, Api, Call, Operation
from portal.http.files import Representation, respond
from portal.http.responses import json_response
from portal.metrics import Metrics
from portal.packages.identifiers import valid_app_id
from portal.store import apps, assets, keys, presign, versions
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.versions import Version

PAGE = 50
QUERY_MAX = 200  # characters; each word of it is looked up
PACKAGE_TYPE = "application/octet-stream"
# Shared caches, our nginx first, ask again after s-maxage, and give out what they have meanwhile or while the portal is
# down (RFC 5861). A publish shows after s-maxage plus stale-while-revalidate at the latest.
INFO_CACHE = "public, max-age=60, s-maxage=1, stale-while-revalidate=4, stale-if-error=86400"
ASSET_CACHE = "public, max-age=86400, s-maxage=10, stale-while-revalidate=50, stale-if-error=86400"
LATEST_CACHE = "public, no-cache"  # the address of another file after the next publish: ask each time
IMMUTABLE_CACHE = "public, max-age=86400, immutable"
UNPUBLISHED_CACHE = "private, no-store"


def add(api: Api, metrics: Metrics) -> None:
    """Declare the routes."""
    store, db, base = api.store, api.store.db, api.store.settings.public_url

    def list_apps(call: Call) -> HTTPResponse:
        after = call.request.query.cursor
        if len(call.request.query.q) > QUERY_MAX:
            raise Refused("INVALID_REQUEST", f"q is longer than {QUERY_MAX} characters.")
        if after and not valid_app_id(after):
            raise Refused("INVALID_REQUEST", "The cursor is not one that this list gave.")
        found = apps.published(db.read(), query=call.request.query.q, after=after, limit=PAGE + 1)
        cursor = found[PAGE - 1].app_id if len(found) > PAGE else None
        page = schemas.StorePage(apps=[schemas.StoreEntry.of(app, base) for app in found[:PAGE]], cursor=cursor)
        return json_response(page, cache_control=INFO_CACHE)

    def show_app(call: Call, app_id: str) -> HTTPResponse:
        app = apps.get(db.read(), app_id)
        version = versions.current(db.read(), app)
        key = keys.get(db.read(), version.key_id)
        info = schemas.StoreApp(
            app_id=app.app_id,
            developer_id=app.developer_id,
            name=app.name,
            description=app.description,
            version=version.version_name,
            version_code=version.version_code,
            size=version.size,
            sha256=version.sha256,
            signature=version.signature,
            key_id=version.key_id,
            public_key=base64.b64encode(key.public_key).decode(),
            published_at=version.published_at,
            download_url=schemas.download_url(version, base),
            assets=[schemas.Asset.of(asset, base) for asset in assets.of_app(db.read(), app_id)],
            signing=schemas.AppKeys.of(db.read(), app_id),
        )
        return json_response(info, cache_control=INFO_CACHE)

    def send(kind: str, call: Call, representation: Representation) -> HTTPResponse:
        with metrics.download(kind, call.request.environ[STARTED]) as measured:
            try:
                response = respond(call.request, representation)
            except FileNotFoundError:
                raise Refused("FILE_NOT_FOUND", "The file is not available.") from None
            measured.status, measured.bytes = response.status_code, _body_bytes(response)
            return response

    def send_package(call: Call, version: Version, cache_control: str, *, mutable: bool = False) -> HTTPResponse:
        path = store.layout.package(version.developer_id, version.app_id, version.version_code)
        representation = Representation(
            path,
            version.size,
            version.sha256,
            version.created_at,
            PACKAGE_TYPE,
            cache_control,
            filename=f"{version.app_id}-{version.version_name}.mosis",
            headers={"X-Mosis-Version": version.version_name, "X-Mosis-Signature": version.signature},
            accel=_accel(api, "packages", version.developer_id, version.app_id, str(version.version_code),
                         "package.mosis"),
            mutable=mutable,
        )  # fmt: skip
        return send("package", call, representation)

    def download_latest(call: Call, app_id: str) -> HTTPResponse:
        return send_package(call, versions.current(db.read(), apps.get(db.read(), app_id)), LATEST_CACHE, mutable=True)

    def download(call: Call, developer_id: str, app_id: str, version_code: int) -> HTTPResponse:
        version = versions.get(db.read(), app_id, version_code)
        shown = version.status == "published" or access.is_insider(call.actor, version.developer_id)
        if version.developer_id != developer_id or not (shown or holds_url(call, version)):
            raise versions.not_found(app_id, version_code)
        return send_package(call, version, IMMUTABLE_CACHE if version.status == "published" else UNPUBLISHED_CACHE)

    def holds_url(call: Call, version: Version) -> bool:
        query = {name: call.request.query.getall(name) for name in call.request.query}
        try:
            presign.verify(
                presign.load(store.layout.presign_keys),
                "GET",
                schemas.download_path(version),
                version.version_id,
                query,
            )
        except Refused as refused:
            if refused.code == "URL_EXPIRED":  # its signature is good: whoever asks knows of the version
                raise
            return False
        return True

    def sign_download(call: Call, app_id: str, version_code: int) -> schemas.SignedDownload:
        app = access.visible(db.read(), call.actor, app_id)
        version = versions.get(db.read(), app.app_id, version_code)
        path, expires_at = schemas.download_path(version), now() + store.settings.upload_url_seconds
        grant = presign.Grant("GET", path, version.size, version.sha256, expires_at, version.version_id)
        query = urlencode(presign.sign(presign.load(store.layout.presign_keys), grant))
        return schemas.SignedDownload(url=f"{base}{path}?{query}", expires_at=expires_at)

    def asset(call: Call, app_id: str, name: str) -> HTTPResponse:
        app = apps.get(db.read(), app_id)
        if app.published_code is None and not access.is_insider(call.actor, app.developer_id):
            raise apps.not_found(app_id)
        found = assets.get(db.read(), app_id, name)
        cache_control = UNPUBLISHED_CACHE if app.published_code is None else ASSET_CACHE
        # Not by X-Accel-Redirect: nginx keeps the answer itself, with its entity tag, for whoever asks next.
        representation = Representation(
            store.layout.asset(app_id, name), found.size, found.sha256, found.updated_at, "image/png", cache_control,
            mutable=True,
        )  # fmt: skip
        return send("asset", call, representation)

    file_problems = ("NOT_FOUND", "FILE_NOT_FOUND", "PRECONDITION_FAILED", "RANGE_NOT_SATISFIABLE")
    mutable_problems = (*file_problems, "PRECONDITION_REQUIRED")
    for operation in (
        Operation("GET", "/api/store/apps", list_apps, "List and search published apps", ANYONE,
                  query=("q", "cursor"), answer=schemas.StorePage, problems=("INVALID_REQUEST",)),
        Operation("GET", "/api/store/apps/<app_id>", show_app, "Show an app's current version", ANYONE,
                  answer=schemas.StoreApp, problems=("NOT_FOUND",)),
        Operation("GET", "/api/store/apps/<app_id>/download", download_latest, "Download the current version", ANYONE,
                  media_type=PACKAGE_TYPE, ranges=True, gives=headers.PACKAGE, problems=mutable_problems),
        Operation("GET", "/downloads/<developer_id>/<app_id>/<version_code:code>/package.mosis", download,
                  "Download one version; one not published needs the owner's or a reviewer's token, or a signed URL",
                  ANYONE, query=tuple(presign.QUERY),
                  media_type=PACKAGE_TYPE, ranges=True, gives=headers.PACKAGE,
                  problems=(*file_problems, "URL_EXPIRED")),
        Operation("POST", "/api/apps/<app_id>/versions/<version_code:code>/download-url", sign_download,
                  "Sign a URL by which anyone can download the version for a while, whatever its status", MEMBER,
                  status=201, answer=schemas.SignedDownload, problems=("NOT_FOUND",)),
        Operation("GET", "/assets/<app_id>/<name:re:icon-(?:32|64|128)\\.png|screenshots/[1-5]\\.png>", asset,
                  "An icon or screenshot; of an app not published it needs the owner's or a reviewer's token", ANYONE,
                  media_type="image/png", ranges=True, problems=mutable_problems),
    ):  # fmt: skip
        api.add(operation)


def _accel(api: Api, *segments: str) -> str | None:
    return "/_files/" + "/".join(map(quote, segments)) if api.store.settings.accel else None


def _body_bytes(response: HTTPResponse) -> int:
    """What the body will have, whether the portal sends it or nginx does."""
    if response.status_code not in (200, 206):
        return 0
    return int(response.get_header("Content-Length") or response.get_header("X-File-Content-Length"))
