"""What a signed URL of an upload answers, without a token: one PUT of the whole package, or chunks by tus 1.0."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from bottle import BaseRequest, HTTPResponse

from portal.http import digests, headers, tus
from portal.http.forms import CHUNK
from portal.http.routes.uploads import MEDIA_TYPE, UPLOAD_PATH, place
from portal.http.routing import ANYONE, Operation, PublicCall, Routes
from portal.store import presign, signed_uploads
from portal.store.errors import Refused
from portal.store.rate_limit import rate_limit
from portal.store.signed_uploads import Transfer

QUERY = tuple(presign.QUERY)
TUS = ("Tus-Resumable",)
SIGNED_PROBLEMS = ("URL_INVALID", "URL_EXPIRED", "NOT_FOUND", "UPLOAD_USED", "UPLOAD_LOCKED")
BODY_PROBLEMS = (
    *SIGNED_PROBLEMS, "INVALID_REQUEST", "FILE_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "DIGEST_MISMATCH",
    "UPLOAD_EXPIRED",
)  # fmt: skip
CHUNK_PROBLEMS = (*BODY_PROBLEMS, "TUS_VERSION", "OFFSET_CONFLICT", "CHECKSUM_MISMATCH")

routes = Routes()


@routes.add(
    Operation(
        "OPTIONS", UPLOAD_PATH, "Discover tus capabilities of an upload", ANYONE,
        status=204, response_headers=headers.CAPABILITIES,
    )
)  # fmt: skip
def options(call: PublicCall, upload_id: str) -> HTTPResponse:
    return tus.capabilities(call.settings.package_max_bytes)


@routes.add(
    Operation(
        "PUT", UPLOAD_PATH, "Upload the whole package to the signed URL", ANYONE,
        query=QUERY, request_media_type=MEDIA_TYPE, status=204, response_headers=headers.UPLOAD, problems=BODY_PROBLEMS,
    )
)  # fmt: skip
def put(call: PublicCall, upload_id: str) -> HTTPResponse:
    _require_grant(call, upload_id)
    length = call.request.content_length
    with call.metrics.upload_part("package"), _held(call, upload_id) as upload:
        if upload.transfer.whole:
            raise Refused("UPLOAD_USED", "The body is already uploaded: complete the upload.")
        _require_plain(call.request)
        if length > upload.transfer.size:
            raise signed_uploads.too_large(upload.transfer)
        if 0 <= length < upload.transfer.size:
            raise Refused(
                "INVALID_REQUEST", f"The URL is signed for {upload.transfer.size} bytes; the body has only {length}."
            )
        upload.restart()
        upload.append(_chunks(call.request), atomic=digests.is_checked(call.request))
        if not upload.transfer.whole:
            raise _cut_short(upload.transfer)
        return HTTPResponse(status=204, headers=tus.state(upload.transfer))


@routes.add(
    Operation(
        "PATCH", UPLOAD_PATH, "Append a chunk to the upload (tus)", ANYONE,
        query=QUERY, request_media_type=tus.CONTENT_TYPE,
        request_headers=(*TUS, "Upload-Offset", "Upload-Checksum"),
        status=204, response_headers=headers.UPLOAD, problems=CHUNK_PROBLEMS,
    )
)  # fmt: skip
def patch(call: PublicCall, upload_id: str) -> HTTPResponse:
    tus.require_version(call.request)
    _require_grant(call, upload_id)
    if call.request.get_header("Content-Type") != tus.CONTENT_TYPE:
        raise Refused("UNSUPPORTED_MEDIA_TYPE", f"The body must be {tus.CONTENT_TYPE}.")
    _require_plain(call.request)
    offset, length = tus.number(call.request, "Upload-Offset"), call.request.content_length
    with call.metrics.upload_part("package"), _held(call, upload_id) as upload:
        transfer = upload.transfer
        if offset != transfer.received:
            raise Refused("OFFSET_CONFLICT", f"The upload offset is {transfer.received}, not {offset}.")
        if offset + length > transfer.size:
            raise signed_uploads.too_large(transfer)
        if checks := tus.checksum(call.request):
            digests.check_body(call.request, checks)
        upload.append(_chunks(call.request), atomic=digests.is_checked(call.request))
        if upload.transfer.received < offset + length:
            raise _cut_short(upload.transfer)
        return HTTPResponse(status=204, headers=tus.state(upload.transfer))


@routes.add(
    Operation(
        "HEAD", UPLOAD_PATH, "Get the upload offset (tus)", ANYONE,
        query=QUERY, request_headers=TUS, media_type=MEDIA_TYPE, response_headers=headers.UPLOAD,
        problems=(*SIGNED_PROBLEMS, "TUS_VERSION"),
    )
)  # fmt: skip
def head(call: PublicCall, upload_id: str) -> HTTPResponse:
    tus.require_version(call.request)
    _require_grant(call, upload_id)
    with _held(call, upload_id) as upload:
        call.db.flush()  # what a request that broke off has noted is acknowledged here
        return HTTPResponse(status=200, headers=tus.state(upload.transfer))


@routes.add(
    Operation(
        "DELETE", UPLOAD_PATH, "Terminate an upload (tus)", ANYONE,
        query=QUERY, request_headers=TUS, status=204, problems=(*SIGNED_PROBLEMS, "TUS_VERSION"),
    )
)  # fmt: skip
def delete(call: PublicCall, upload_id: str) -> None:
    tus.require_version(call.request)
    _require_grant(call, upload_id)
    with place(call, upload_id):
        signed_uploads.terminate(call.store, upload_id)


@routes.add(
    Operation(
        "POST", UPLOAD_PATH, "Send PATCH or DELETE through X-HTTP-Method-Override (tus)", ANYONE,
        query=QUERY, request_media_type=tus.CONTENT_TYPE,
        request_headers=(*TUS, "X-HTTP-Method-Override", "Upload-Checksum"),
        status=204, optional_headers=headers.UPLOAD, problems=CHUNK_PROBLEMS,
    )
)  # fmt: skip
def post(call: PublicCall, upload_id: str) -> HTTPResponse | None:
    if tus.overridden(call.request) == "PATCH":
        return patch(call, upload_id)
    return delete(call, upload_id)


@contextmanager
def _held(call: PublicCall, upload_id: str) -> Iterator[signed_uploads.Held]:
    """The upload, for one chunk: each costs a flush, however small it is, and so does asking how much has arrived.

    Raises Refused as `signed_uploads.held` does, RateLimited.
    """
    with place(call, upload_id), signed_uploads.held(call.store, upload_id) as upload:
        with closing(rate_limit(call.settings, "chunks")) as chunks:
            chunks.take(upload.transfer.developer_id)
        yield upload


def _require_grant(call: PublicCall, upload_id: str) -> None:
    query = {name: call.request.query.getall(name) for name in call.request.query}
    path, signing_keys = f"/api/uploads/{upload_id}", presign.load(call.store.layout.presign_keys)
    presign.verify(signing_keys, "PUT", path, upload_id, query)


def _chunks(request: BaseRequest) -> Iterator[bytes]:
    """The body as far as it arrives; a connection that breaks ends it like any other end."""
    source = request.environ["wsgi.input"]
    left = request.content_length
    while left != 0 and (chunk := source.read(CHUNK if left < 0 else min(CHUNK, left))):
        left -= len(chunk) if left > 0 else 0
        yield chunk


def _require_plain(request: BaseRequest) -> None:
    if request.get_header("Content-Encoding", "identity") != "identity":
        raise Refused("UNSUPPORTED_MEDIA_TYPE", "Send the body without a content coding.")
    if request.get_header("Content-Range") is not None:  # RFC 9110 section 14.5
        raise Refused("INVALID_REQUEST", "PUT takes the whole body; send parts with tus.")


def _cut_short(transfer: Transfer) -> Refused:
    return Refused(
        "INVALID_REQUEST", f"The body ended early; {transfer.received} of {transfer.size} bytes are uploaded."
    )
