"""Uploads by signed URLs: their owner creates, renews and completes them."""

import logging
from contextlib import AbstractContextManager
from urllib.parse import urlencode

from bottle import HTTPResponse
from pydantic import BaseModel, Field

from portal.http import headers, schemas, tus
from portal.http.responses import Answer
from portal.http.routing import ANYONE, DEVELOPER, Call, Operation, PublicCall, Routes
from portal.mirror import direct
from portal.mirror.client import Bucket, MirrorError
from portal.store import apps, awaited, presign, signed_uploads
from portal.store.clock import now
from portal.store.errors import Refused, Unavailable
from portal.store.signed_uploads import Transfer, Via
from portal.store.versions import Version

MEDIA_TYPE = "application/octet-stream"
AWAITED_SECONDS = "2"  # until an owner asks again whether the mirror's job has fetched a package
log = logging.getLogger(__name__)

UPLOADS_PATH = "/api/apps/<app_id>/uploads"
UPLOAD_PATH = "/api/uploads/<upload_id:re:[0-9a-f]{32}>"
LOCATED = ("Location", *headers.UPLOAD)

routes = Routes()


class NewUpload(schemas.Body):
    size: int | None = Field(None, ge=1, description="bytes of the package; a tus client sends Upload-Length instead")
    sha256: schemas.Sha256 | None = Field(None, description="SHA-256 of the package, in hex")
    via: Via = Field("portal", description="`mirror`: the URL is one of the mirror's bucket, if the store has that")


class SignedUpload(BaseModel):
    upload_id: str
    method: str = Field(description="method that sends the whole body; tus works on the URL if it is the portal's")
    url: str
    headers: dict[str, str] = Field(description="to send with the request")
    expires_at: schemas.Time


@routes.add(
    Operation(
        "POST", UPLOADS_PATH, "Create an upload: a signed URL for one package, also for tus", DEVELOPER,
        request_headers=("Upload-Length", "Upload-Metadata"), status=201, response_headers=LOCATED,
        idempotency_key=True, rate_limited=True, problems=("TUS_VERSION",),
    )
)  # fmt: skip
def issue(call: Call, body: NewUpload, app_id: str) -> Answer[SignedUpload]:
    app = apps.owned(call.db.read(), app_id, call.actor.developer_id)
    size, sha256 = body.size, body.sha256
    if tus.is_used(call.request):
        tus.require_version(call.request)
        tus.require_plain_creation(call.request)
        size, sha256 = tus.number(call.request, "Upload-Length"), tus.announced_sha256(call.request)
    if not size:
        raise Refused("VALIDATION_ERROR", "The body is invalid.", ["size: Input should be at least 1."])
    if body.via == "portal":
        return _with_url(call, signed_uploads.issue(call.store, app, size, sha256))
    if tus.is_used(call.request):
        raise Refused("VALIDATION_ERROR", "The body is invalid.", ["via: tus works with the portal only."])
    signing = _signer(call)  # first: an upload without a URL is of no use
    return _at_mirror(signing, signed_uploads.issue(call.store, app, size, sha256, "mirror"))


@routes.add(
    Operation(
        "OPTIONS", UPLOADS_PATH, "Discover tus capabilities", ANYONE, status=204, response_headers=headers.CAPABILITIES
    )
)
def options(call: PublicCall, app_id: str) -> HTTPResponse:
    return tus.capabilities(call.settings.package_max_bytes)


@routes.add(
    Operation(
        "POST", f"{UPLOAD_PATH}/url", "Renew the signed URL of an upload, to resume it", DEVELOPER,
        status=201, app_tokens=True, response_headers=LOCATED, problems=("UPLOAD_USED", "UPLOAD_EXPIRED"),
    )
)  # fmt: skip
def renew(call: Call, upload_id: str) -> Answer[SignedUpload]:
    _owned(call, upload_id)
    if signed_uploads.find(call.db.read(), upload_id).via == "mirror":
        signing = _signer(call)
        return _at_mirror(signing, signed_uploads.renew(call.store, upload_id))
    return _with_url(call, signed_uploads.renew(call.store, upload_id))


@routes.add(
    Operation(
        "POST", f"{UPLOAD_PATH}/complete", "Complete an upload: validate the package and create the version", DEVELOPER,
        status=201, accepted=True, app_tokens=True,
        problems=("UPLOAD_INCOMPLETE", "UPLOAD_USED", "UPLOAD_LOCKED", "UPLOAD_EXPIRED", "VALIDATION_ERROR",
                  "DIGEST_MISMATCH", "VERSION_EXISTS", "VERSION_CONFLICT"),
    )
)  # fmt: skip
def complete(call: Call, upload_id: str, *, replace: bool = False) -> Answer[schemas.Version]:
    version = _owned(call, upload_id)
    if version.status == "uploading":
        if awaited.want(call.store, upload_id):
            return Answer(_version(call, version), {"Retry-After": AWAITED_SECONDS}, status=202)
        upload = call.metrics.upload("package", seconds=now() - version.created_at)
        with place(call, upload_id), upload as measured:
            placed = signed_uploads.complete(call.store, call.actor, upload_id, replace=replace)
            measured.bytes = placed.size
        return Answer(_version(call, placed))
    return Answer(_version(call, version))


def _version(call: Call, version: Version) -> schemas.Version:
    return schemas.Version.of(version, call.settings.public_url)


def _signer(call: Call) -> Bucket:
    """What signs the mirror's URLs. Raises Refused (VALIDATION_ERROR, UNAVAILABLE)."""
    private = call.settings.mirror and call.settings.mirror.private
    if private is None:
        raise Refused("VALIDATION_ERROR", "The body is invalid.", ["via: This store takes uploads itself only."])
    try:
        return direct.signer(private.signing)
    except MirrorError:
        log.exception("URLs of the private bucket cannot be signed")
        raise Unavailable(
            "The bucket cannot be used at the moment: upload to the portal.", awaited.RETRY_SECONDS
        ) from None


def _at_mirror(signing: Bucket, transfer: Transfer) -> Answer[SignedUpload]:
    headers = {"Content-Type": direct.MEDIA_TYPE, "Content-Length": str(transfer.size)}
    return _signed(transfer, direct.url(signing, transfer), headers)


def _with_url(call: Call, transfer: Transfer) -> Answer[SignedUpload]:
    path = f"/api/uploads/{transfer.upload_id}"
    grant = presign.Grant("PUT", path, transfer.size, transfer.sha256, transfer.expires_at, transfer.upload_id)
    query = urlencode(presign.sign(presign.load(call.store.layout.presign_keys), grant))
    return _signed(transfer, f"{call.settings.public_url}{path}?{query}", {"Content-Type": MEDIA_TYPE})


def _signed(transfer: Transfer, url: str, headers: dict[str, str]) -> Answer[SignedUpload]:
    signed = SignedUpload(
        upload_id=transfer.upload_id, method="PUT", url=url, headers=headers, expires_at=transfer.expires_at
    )
    return Answer(signed, {"Location": url, **tus.state(transfer)})


def _owned(call: Call, upload_id: str) -> Version:
    version = signed_uploads.owned(call.db.read(), upload_id, call.actor)
    if version.status == "failed" and version.sha256:
        raise Refused("UPLOAD_USED", "The version that had this package was deleted since: upload the package again.")
    if version.status == "failed":
        raise Refused("UPLOAD_USED", "The validation of this upload failed; its version lists the reasons.")
    return version


def place(call: PublicCall, upload_id: str) -> AbstractContextManager[None]:
    """One of its owner's places, since a request may wait for another one that is slow. Raises Refused."""
    return call.services.senders.place(signed_uploads.find(call.db.read(), upload_id).developer_id)
