"""Uploads by signed URL: in one PUT, or in pieces by tus 1.0 on the same URL, then completed by their owner."""

from collections.abc import Iterator
from urllib.parse import urlencode

from bottle import BaseRequest, HTTPResponse
from pydantic import BaseModel, Field

from portal.http import digests, headers, schemas, tus
from portal.http.api import ANYONE, DEVELOPER, Api, Call, Operation
from portal.http.forms import CHUNK
from portal.http.responses import json_response
from portal.metrics import Metrics
from portal.store import apps, presign, signed_uploads
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.signed_uploads import Transfer
from portal.store.versions import Version

MEDIA_TYPE = "application/octet-stream"


class NewUpload(schemas.Body):
    size: int | None = Field(None, ge=1, description="bytes of the package; a tus client says Upload-Length instead")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="of the package, in hex")


class SignedUpload(BaseModel):
    upload_id: str
    method: str = Field(description="how to send the body in one piece; tus works on the same URL")
    url: str
    headers: dict[str, str] = Field(description="to send with it")
    expires_at: schemas.Time


def add(api: Api, metrics: Metrics) -> None:
    """Declare the routes."""
    store, settings = api.store, api.store.settings

    def issue(call: Call, app_id: str) -> HTTPResponse:
        app = apps.owned(store.db.read(), app_id, call.actor.developer_id)
        size, sha256 = call.body.size, call.body.sha256
        if tus.spoken(call.request):
            tus.require_version(call.request)
            size, sha256 = tus.number(call.request, "Upload-Length"), tus.announced_sha256(call.request)
        if not size:
            raise Refused("VALIDATION_ERROR", "The body does not fit.", ["size: how many bytes, 1 or more."])
        return with_url(signed_uploads.issue(store, app, size, sha256))

    def renew(call: Call, upload_id: str) -> HTTPResponse:
        owned(call, upload_id)
        return with_url(signed_uploads.renew(store, upload_id))

    def with_url(transfer: Transfer) -> HTTPResponse:
        grant = _grant(transfer)
        url = f"{settings.public_url}{grant.path}?{urlencode(presign.sign(presign.load(keys_path), grant))}"
        headers = {"Content-Type": MEDIA_TYPE}
        answer = json_response(
            SignedUpload(upload_id=transfer.upload_id, method=grant.method, url=url, headers=headers,
                         expires_at=transfer.expires_at),
            201,
        )  # fmt: skip
        for name, value in {"Location": url, **tus.state(transfer)}.items():
            answer.set_header(name, value)
        return answer

    def put(call: Call, upload_id: str) -> HTTPResponse:
        require_grant(call.request, upload_id)
        length = call.request.content_length
        with metrics.upload_part("package"), signed_uploads.held(store, upload_id) as upload:
            if upload.transfer.whole:
                raise Refused("UPLOAD_USED", "The body is here already: complete the upload.")
            _require_plain(call.request)
            if length > upload.transfer.size:
                raise signed_uploads.too_large(upload.transfer)
            if 0 <= length < upload.transfer.size:
                raise Refused(
                    "INVALID_REQUEST", f"The URL is for {upload.transfer.size} bytes, the body has only {length}."
                )
            upload.restart()
            upload.append(_chunks(call.request), atomic=digests.is_checked(call.request))
            if not upload.transfer.whole:
                raise _cut_short(upload.transfer)
            return HTTPResponse(status=204, headers=tus.state(upload.transfer))

    def patch(call: Call, upload_id: str) -> HTTPResponse:
        tus.require_version(call.request)
        require_grant(call.request, upload_id)
        if call.request.get_header("Content-Type") != tus.CONTENT_TYPE:
            raise Refused("UNSUPPORTED_MEDIA_TYPE", f"The body must be {tus.CONTENT_TYPE}.")
        _require_plain(call.request)
        offset, length = tus.number(call.request, "Upload-Offset"), call.request.content_length
        with metrics.upload_part("package"), signed_uploads.held(store, upload_id) as upload:
            transfer = upload.transfer
            if offset != transfer.received:
                raise Refused(
                    "OFFSET_CONFLICT", f"The upload has {transfer.received} bytes, the body begins at {offset}."
                )
            if offset + length > transfer.size:
                raise signed_uploads.too_large(transfer)
            if checks := tus.checksum(call.request):
                digests.check_body(call.request, checks)
            upload.append(_chunks(call.request), atomic=digests.is_checked(call.request))
            if upload.transfer.received < offset + length:
                raise _cut_short(upload.transfer)
            return HTTPResponse(status=204, headers=tus.state(upload.transfer))

    def head(call: Call, upload_id: str) -> HTTPResponse:
        tus.require_version(call.request)
        require_grant(call.request, upload_id)
        with signed_uploads.held(store, upload_id) as upload:
            return HTTPResponse(status=200, headers=tus.state(upload.transfer))

    def delete(call: Call, upload_id: str) -> None:
        tus.require_version(call.request)
        require_grant(call.request, upload_id)
        signed_uploads.terminate(store, upload_id)

    def post(call: Call, upload_id: str) -> HTTPResponse | None:
        return {"PATCH": patch, "DELETE": delete}[tus.overridden(call.request)](call, upload_id)

    def options(call: Call, **_: str) -> HTTPResponse:
        return tus.capabilities(settings.package_max_bytes)

    def complete(call: Call, upload_id: str) -> schemas.Version:
        version = owned(call, upload_id)
        if version.status == "uploading":
            with metrics.upload("package", seconds=now() - version.created_at) as measured:
                version = signed_uploads.complete(store, call.actor, upload_id)
                measured.bytes = version.size
        return schemas.Version.of(version, settings.public_url)

    def owned(call: Call, upload_id: str) -> Version:
        version = signed_uploads.owned(store.db.read(), upload_id, call.actor.developer_id)
        if version.status == "failed":
            raise Refused("UPLOAD_USED", "The upload was refused; its version has the reasons.")
        return version

    def require_grant(request: BaseRequest, upload_id: str) -> None:
        query = {name: request.query.getall(name) for name in request.query}
        presign.verify(presign.load(keys_path), "PUT", f"/api/uploads/{upload_id}", upload_id, query)

    keys_path = store.layout.presign_keys
    create, upload = "/api/apps/<app_id>/uploads", "/api/uploads/<upload_id:re:[0-9a-f]{32}>"
    query, spoken = tuple(presign.QUERY), ("Tus-Resumable",)
    signed = ("URL_INVALID", "URL_EXPIRED", "NOT_FOUND", "UPLOAD_USED", "UPLOAD_LOCKED")
    body = (*signed, "INVALID_REQUEST", "FILE_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "DIGEST_MISMATCH", "UPLOAD_EXPIRED")
    piece = (*body, "TUS_VERSION", "OFFSET_CONFLICT", "CHECKSUM_MISMATCH")
    api.app.add_hook("after_request", tus.mark)
    for operation in (
        Operation("POST", create, issue, "Open an upload: a signed URL for one package, also by tus", DEVELOPER,
                  body=NewUpload, takes=("Upload-Length", "Upload-Metadata"), status=201, answer=SignedUpload,
                  gives=("Location", *headers.UPLOAD), upload=True,
                  problems=("NOT_FOUND", "QUOTA_EXCEEDED", "TUS_VERSION")),
        Operation("OPTIONS", create, options, "What of tus is spoken", ANYONE, status=204,
                  gives=headers.CAPABILITIES),
        Operation("OPTIONS", upload, options, "What of tus is spoken here", ANYONE, status=204,
                  gives=headers.CAPABILITIES),
        Operation("PUT", upload, put, "Send the body to its signed URL", ANYONE,
                  query=query, content=MEDIA_TYPE, status=204, gives=headers.UPLOAD, problems=body),
        Operation("PATCH", upload, patch, "Send the next piece of the body to its signed URL (tus)", ANYONE,
                  query=query, content=tus.CONTENT_TYPE, takes=(*spoken, "Upload-Offset", "Upload-Checksum"),
                  status=204, gives=headers.UPLOAD, problems=piece),
        Operation("HEAD", upload, head, "How much of the body is here (tus)", ANYONE,
                  query=query, takes=spoken, media_type=MEDIA_TYPE, gives=headers.UPLOAD,
                  problems=(*signed, "TUS_VERSION")),
        Operation("DELETE", upload, delete, "Give an upload up (tus)", ANYONE,
                  query=query, takes=spoken, status=204, problems=(*signed, "TUS_VERSION")),
        Operation("POST", upload, post, "PATCH or DELETE by X-HTTP-Method-Override (tus)", ANYONE,
                  query=query, content=tus.CONTENT_TYPE, takes=(*spoken, "X-HTTP-Method-Override", "Upload-Checksum"),
                  status=204, may_give=headers.UPLOAD, problems=piece),
        Operation("POST", f"{upload}/url", renew, "Sign another URL for an upload, to go on with it", DEVELOPER,
                  status=201, answer=SignedUpload, gives=("Location", *headers.UPLOAD),
                  problems=("NOT_FOUND", "UPLOAD_USED", "UPLOAD_EXPIRED")),
        Operation("POST", f"{upload}/complete", complete, "Make the upload a version", DEVELOPER,
                  status=201, answer=schemas.Version,
                  problems=("NOT_FOUND", "UPLOAD_INCOMPLETE", "UPLOAD_USED", "UPLOAD_LOCKED", "UPLOAD_EXPIRED",
                            "VALIDATION_ERROR", "DIGEST_MISMATCH", "VERSION_EXISTS", "VERSION_CONFLICT")),
    ):  # fmt: skip
        api.add(operation)


def _grant(transfer: Transfer) -> presign.Grant:
    path = f"/api/uploads/{transfer.upload_id}"
    return presign.Grant("PUT", path, transfer.size, transfer.sha256, transfer.expires_at, transfer.upload_id)


def _chunks(request: BaseRequest) -> Iterator[bytes]:
    """The body as far as it comes; a connection that is cut ends it like any other end."""
    source = request.environ["wsgi.input"]
    left = request.content_length
    while left != 0 and (chunk := source.read(CHUNK if left < 0 else min(CHUNK, left))):
        left -= len(chunk) if left > 0 else 0
        yield chunk


def _require_plain(request: BaseRequest) -> None:
    if request.get_header("Content-Encoding", "identity") != "identity":
        raise Refused("UNSUPPORTED_MEDIA_TYPE", "The body must come without a content coding.")
    if request.get_header("Content-Range") is not None:  # RFC 9110 section 14.5
        raise Refused("INVALID_REQUEST", "A PUT is of the whole body; parts go by tus.")


def _cut_short(transfer: Transfer) -> Refused:
    return Refused("INVALID_REQUEST", f"The body was cut short; {transfer.received} of {transfer.size} bytes are here.")
