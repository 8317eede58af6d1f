"""For devices: the list of apps, an app, its package, its icons."""

import base64
from collections.abc import Callable
from urllib.parse import quote, urlencode

from bottle import HTTPResponse

from portal.http import access, caching, headers, paging, schemas
from portal.http.files import Representation, respond
from portal.http.responses import Answer
from portal.http.routing import ANYONE, MEMBER, STARTED, Call, Operation, PublicCall, Routes
from portal.mirror import offload
from portal.packages.identifiers import valid_app_id
from portal.store import apps, asset_rows, assets, audit, keys, presign, proposals, tokens, versions
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.layout import plain_name
from portal.store.versions import PlacedVersion

PAGE = 50
QUERY_MAX = 200  # characters; each word is a search term
PACKAGE_TYPE = "application/octet-stream"
INFO_CACHE = {"Cache-Control": caching.CURRENT}
IMAGE_CACHE = "public, max-age=31536000, immutable, s-maxage=10, stale-while-revalidate=50, stale-if-error=86400"
ASSET_CACHE = caching.CURRENT  # another image gets the same plain name
LATEST_CACHE = "public, no-cache"  # the next publish changes the file at this URL: revalidate each time
IMMUTABLE_CACHE = "public, max-age=86400, immutable"
REDIRECT_CACHE = "public, max-age=60"  # a yank must be noticed
UNPUBLISHED_CACHE = "private, no-store"

STORE_PATH = "/api/store/apps"
FILE_PROBLEMS = ("NOT_FOUND", "FILE_NOT_FOUND", "PRECONDITION_FAILED", "RANGE_NOT_SATISFIABLE")
MUTABLE_PROBLEMS = (*FILE_PROBLEMS, "PRECONDITION_REQUIRED")

routes = Routes()


@routes.add(
    Operation("GET", STORE_PATH, "List and search published apps", ANYONE, query=("q", "cursor"), revalidated=True)
)
def list_apps(call: PublicCall) -> Answer[schemas.StorePage]:
    query, after = call.request.query.q, call.request.query.cursor
    if len(query) > QUERY_MAX:
        raise Refused("INVALID_REQUEST", f"q must not be longer than {QUERY_MAX} characters.")
    if after and not valid_app_id(after):
        raise Refused("INVALID_REQUEST", paging.INVALID)
    found = apps.published(call.db.read(), query=query, after=after, limit=PAGE + 1)
    entries = [schemas.StoreEntry.of(app, call.settings.public_url) for app in found[:PAGE]]
    cursor = entries[-1].app_id if len(found) > PAGE else None
    return Answer(schemas.StorePage(apps=entries, cursor=cursor), INFO_CACHE)


@routes.add(
    Operation(
        "GET", f"{STORE_PATH}/<app_id>", "Get the current version of an app", ANYONE,
        revalidated=True, problems=("YANKED",),
    )
)  # fmt: skip
def show_app(call: PublicCall, app_id: str) -> Answer[schemas.StoreApp]:
    db, base = call.db.read(), call.settings.public_url
    app = apps.get(db, app_id)
    version = versions.current(db, app)
    info = schemas.StoreApp.model_validate(
        {
            **schemas.release(version, base),
            "name": app.name,
            "description": app.description,
            "homepage": app.homepage,
            "public_key": base64.b64encode(keys.get(db, version.key_id).public_key).decode(),
            "assets": [schemas.Asset.of(asset, base) for asset in asset_rows.of_app(db, app_id)],
            "signing": schemas.AppKeys.of(db, app_id),
        }
    )
    return Answer(info, INFO_CACHE)


@routes.add(
    Operation(
        "GET", f"{STORE_PATH}/<app_id>/download", "Download the current version of an app", ANYONE,
        media_type=PACKAGE_TYPE, supports_ranges=True, response_headers=headers.PACKAGE,
        problems=(*MUTABLE_PROBLEMS, "YANKED"), redirects=True,
    )
)  # fmt: skip
def download_latest(call: PublicCall, app_id: str) -> HTTPResponse:
    version = versions.current(call.db.read(), apps.get(call.db.read(), app_id))
    return send_package(call, version, LATEST_CACHE, mutable=True)


@routes.add(
    Operation(
        "GET", "/downloads/<developer_id>/<app_id>/<version_code:code>/package.mosis",
        "Download a version; an unpublished one requires the owner's or a reviewer's token, or a signed URL", ANYONE,
        query=tuple(presign.QUERY), media_type=PACKAGE_TYPE, supports_ranges=True, response_headers=headers.PACKAGE,
        problems=(*FILE_PROBLEMS, "URL_EXPIRED", "YANKED"), redirects=True,
    )
)  # fmt: skip
def download(call: PublicCall, developer_id: str, app_id: str, version_code: int) -> HTTPResponse:
    version = versions.get(call.db.read(), app_id, version_code)
    if version.developer_id != developer_id:
        raise versions.not_found(app_id, version_code)
    shown = version.status == "published" or access.is_insider(
        call.actor, apps.get(call.db.read(), app_id).developer_id
    )
    if not (shown or _holds_url(call, version)):
        raise versions.yanked(version) if version.status == "yanked" else versions.not_found(app_id, version_code)
    return send_package(call, version, IMMUTABLE_CACHE if version.status == "published" else UNPUBLISHED_CACHE)


@routes.add(
    Operation(
        "POST", "/api/apps/<app_id>/versions/<version_code:code>/download-url",
        "Create a temporary URL that downloads the version, in any status, without a token", MEMBER, status=201,
    )
)  # fmt: skip
def sign_download(call: Call, app_id: str, version_code: int) -> schemas.SignedDownload:
    expires_at = now() + call.settings.upload_url_seconds
    with call.db.write() as tx:
        tokens.require_valid(tx, call.actor.token_id)
        app = access.visible(tx, call.actor, app_id)
        version = versions.get(tx, app.app_id, version_code)
        audit.append(tx, call.actor, "version.sign-url", f"{app.app_id}/{version_code}", expires_at=expires_at)
    path = schemas.download_path(version)
    grant = presign.Grant("GET", path, version.size, version.sha256, expires_at, version.version_id)
    query = urlencode(presign.sign(presign.load(call.store.layout.presign_keys), grant))
    return schemas.SignedDownload(url=f"{call.settings.public_url}{path}?{query}", expires_at=expires_at)


@routes.add(
    Operation(
        "GET", f"/assets/<app_id>/<name:re:{assets.NAMES}>",
        "Get an icon or screenshot; an unpublished app requires the owner's or a reviewer's token", ANYONE,
        media_type="image/png", supports_ranges=True, problems=MUTABLE_PROBLEMS,
    )
)  # fmt: skip
def asset(call: PublicCall, app_id: str, name: str) -> HTTPResponse:
    app = apps.get(call.db.read(), app_id)
    insider = access.is_insider(call.actor, app.developer_id)
    if app.published_code is None and not insider:
        known = assets.has(call.db.read(), app_id, name)
        raise apps.hidden(call.db.read(), app_id) if known else apps.not_found(app_id)
    if app.published_code is None or (insider and proposals.located(call.db.read(), call.store.layout, app_id, name)):
        return send_image(call, app_id, name, UNPUBLISHED_CACHE)
    return send_image(call, app_id, name, ASSET_CACHE if name == plain_name(name) else IMAGE_CACHE)


def send_image(call: PublicCall, app_id: str, name: str, cache_control: str) -> HTTPResponse:
    """An image of an app; the caller has checked who may see it. Raises Refused (NOT_FOUND)."""
    mutable = name == plain_name(name)

    def image() -> Representation:
        # Without X-Accel-Redirect: nginx caches the answer itself, with its entity tag, for the next client.
        db, layout = call.db.read(), call.store.layout
        waits = proposals.located(db, layout, app_id, name) if cache_control == UNPUBLISHED_CACHE else None
        found, path = waits or assets.located(db, layout, app_id, name)
        return Representation(
            path, found.size, found.sha256, found.updated_at, "image/png", cache_control, mutable=mutable,
            lasting=schemas.Asset.of(found, call.settings.public_url).url, checked=True,
        )  # fmt: skip

    return _send(call, "asset", image)


def send_package(
    call: PublicCall, version: PlacedVersion, cache_control: str, *, mutable: bool = False
) -> HTTPResponse:
    """The package of a version; the caller has checked who may download it."""
    response = _package_response(call, version, cache_control, mutable=mutable)
    if version.status == "published" and call.request.method == "GET" and _begins(response):
        call.services.downloads.add(version.app_id, version.version_code)
    return response


def _begins(response: HTTPResponse) -> bool:
    """Whether a download begins with this answer: of the parts of one, the first."""
    part = str(response.get_header("Content-Range", ""))
    return response.status_code in (200, 302) or (response.status_code == 206 and part.startswith("bytes 0-"))


def _package_response(
    call: PublicCall, version: PlacedVersion, cache_control: str, *, mutable: bool
) -> HTTPResponse:  # fmt: skip
    if url := _mirrored(call, version):
        return _redirect(call, version, url)
    representation = Representation(
        call.store.layout.package(version.developer_id, version.app_id, version.version_code),
        version.size,
        version.sha256,
        version.created_at,
        PACKAGE_TYPE,
        cache_control,
        filename=f"{version.app_id}-{version.version_name}.mosis",
        headers={"X-Mosis-Version": version.version_name, "X-Mosis-Signature": version.signature},
        accel=_accel(version) if call.settings.accel else None,
        mutable=mutable,
        lasting=schemas.download_url(version, call.settings.public_url),
    )
    return _send(call, "package", lambda: representation)


def _mirrored(call: PublicCall, version: PlacedVersion) -> str | None:
    """Where the mirror has the package; None for a request whose conditions name the entity tag of this store."""
    conditions = (call.request.get_header(name, "") for name in ("If-Match", "If-None-Match", "If-Range"))
    return None if any(version.sha256 in value for value in conditions) else offload.package_url(call.store, version)


def _redirect(call: PublicCall, version: PlacedVersion, url: str) -> HTTPResponse:
    fields = {"X-Mosis-Version": version.version_name, "X-Mosis-Signature": version.signature}
    with call.metrics.download("package", call.request.environ[STARTED]) as measured:
        measured.status = 302
        return HTTPResponse(status=302, headers={"Location": url, "Cache-Control": REDIRECT_CACHE, **fields})


def _send(call: PublicCall, kind: str, find: Callable[[], Representation]) -> HTTPResponse:
    representation = find()
    with call.metrics.download(kind, call.request.environ[STARTED]) as measured:
        try:
            response = respond(call.request, representation)
        except FileNotFoundError:
            response = _respond_again(call, find)
        measured.status, measured.bytes = response.status_code, _body_bytes(response)
        return response


def _respond_again(call: PublicCall, find: Callable[[], Representation]) -> HTTPResponse:
    """Once more, because the file may have been replaced just before it was opened."""
    try:
        return respond(call.request, find())
    except FileNotFoundError:
        raise Refused("FILE_NOT_FOUND", "The file is missing on the disk of the store.") from None


def _holds_url(call: PublicCall, version: PlacedVersion) -> bool:
    query = {name: call.request.query.getall(name) for name in call.request.query}
    signing_keys, path = presign.load(call.store.layout.presign_keys), schemas.download_path(version)
    try:
        presign.verify(signing_keys, "GET", path, version.version_id, query)
    except Refused as refused:
        if refused.code == "URL_EXPIRED":  # its signature is valid: the client knows of the version
            raise
        return False
    return True


def _accel(version: PlacedVersion) -> str:
    segments = ("packages", version.developer_id, version.app_id, str(version.version_code), "package.mosis")
    return "/_files/" + "/".join(map(quote, segments))


def _body_bytes(response: HTTPResponse) -> int:
    """Bytes of the body, whether the portal or nginx sends it."""
    if response.status_code not in (200, 206):
        return 0
    return int(response.get_header("Content-Length") or response.get_header("X-File-Content-Length"))
