"""Errors as `application/problem+json` (RFC 9457). This table is the whole list of codes and their statuses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bottle import HTTPResponse

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """What is always the same about a code."""

    status: int
    title: str


KINDS = {
    "INVALID_REQUEST": Kind(400, "The request is not understood"),
    "INVALID_FILE": Kind(400, "No usable file in the request"),
    "INVALID_IMAGE": Kind(400, "Not a usable image"),
    "INVALID_DIMENSIONS": Kind(400, "The image has the wrong dimensions"),
    "INVALID_KEY": Kind(400, "Not an Ed25519 public key"),
    "INVALID_PROOF": Kind(400, "The key's proof does not verify"),
    "UNAUTHENTICATED": Kind(401, "A valid token is needed"),
    "FORBIDDEN": Kind(403, "The token does not allow this"),
    "NOT_FOUND": Kind(404, "Not found"),
    "FILE_NOT_FOUND": Kind(404, "The file is not available"),
    "URL_EXPIRED": Kind(403, "The signed URL is expired"),
    "URL_INVALID": Kind(403, "Not a signed URL of this store"),
    "METHOD_NOT_ALLOWED": Kind(405, "Method not allowed"),
    "APP_EXISTS": Kind(409, "The app id is taken"),
    "DEVELOPER_EXISTS": Kind(409, "The developer id is taken"),
    "KEY_CONFLICT": Kind(409, "The app's keys do not allow this"),
    "KEY_EXISTS": Kind(409, "The key is registered already"),
    "TOO_MANY_SCREENSHOTS": Kind(409, "No more screenshots"),
    "UNTRUSTED_KEY": Kind(409, "The version's key is no longer trusted"),
    "IDEMPOTENCY_CONFLICT": Kind(409, "The first request with this key is not answered yet"),
    "OFFSET_CONFLICT": Kind(409, "The piece does not continue the upload"),
    "UPLOAD_EXPIRED": Kind(409, "The upload is expired"),
    "UPLOAD_INCOMPLETE": Kind(409, "The body is not whole yet"),
    "UPLOAD_USED": Kind(409, "The upload is used"),
    "VERSION_CONFLICT": Kind(409, "The version code is too low"),
    "VERSION_EXISTS": Kind(409, "The version code is taken"),
    "WRONG_STATE": Kind(409, "Not possible in the version's status"),
    "LENGTH_REQUIRED": Kind(411, "Content-Length is needed"),
    "PRECONDITION_FAILED": Kind(412, "The precondition does not hold"),
    "TUS_VERSION": Kind(412, "Another version of tus is spoken"),
    "FILE_TOO_LARGE": Kind(413, "The body is too large"),
    "UNSUPPORTED_MEDIA_TYPE": Kind(415, "Unsupported Content-Type"),
    "RANGE_NOT_SATISFIABLE": Kind(416, "No such range"),
    "DIGEST_MISMATCH": Kind(422, "The body does not have its digest"),
    "IDEMPOTENCY_MISMATCH": Kind(422, "The key was used for another request"),
    "VALIDATION_ERROR": Kind(422, "Validation failed"),
    "UPLOAD_LOCKED": Kind(423, "Another request has the upload"),
    "PRECONDITION_REQUIRED": Kind(428, "The request must be conditional"),
    "QUOTA_EXCEEDED": Kind(429, "Too much is open"),
    "RATE_LIMITED": Kind(429, "Too many requests"),
    "CHECKSUM_MISMATCH": Kind(460, "The chunk does not have its checksum"),  # the status is tus's
    "INTERNAL_ERROR": Kind(500, "The server failed"),
    "STORAGE_ERROR": Kind(507, "The storage failed"),
    "UNAVAILABLE": Kind(503, "Not ready, or too busy"),
}

# What the framework itself answers, under the same roof.
CODE_OF_STATUS = {
    400: "INVALID_REQUEST",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    412: "PRECONDITION_FAILED",
    413: "FILE_TOO_LARGE",
    416: "RANGE_NOT_SATISFIABLE",
    428: "PRECONDITION_REQUIRED",
    500: "INTERNAL_ERROR",
}


def problem(
    code: str, detail: str, *, errors: list[str] | None = None, headers: Mapping[str, str] | None = None
) -> HTTPResponse:
    """The response for a code of the table."""
    kind = KINDS[code]
    body: dict[str, object] = {
        "type": f"urn:mosis:problem:{code.lower().replace('_', '-')}",
        "title": kind.title,
        "status": kind.status,
        "code": code,
        "detail": detail,
    }
    if errors is not None:
        body["errors"] = errors
    response = HTTPResponse(json.dumps(body), kind.status, {"Content-Type": CONTENT_TYPE, **(headers or {})})
    response.set_header("Cache-Control", "no-store")
    return response
