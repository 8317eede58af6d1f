"""The table of problems: every error code with its status and title, as `application/problem+json` (RFC 9457) shows it.

The deploys write nginx's own errors from the same table, so this module imports nothing beyond the standard library.
"""

from dataclasses import dataclass

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """The HTTP status and the title that all problems of one code share."""

    status: int
    title: str


KINDS = {
    "INVALID_REQUEST": Kind(400, "Invalid request"),
    "INVALID_FILE": Kind(400, "No usable file in the form"),
    "INVALID_IMAGE": Kind(400, "Invalid image"),
    "INVALID_DIMENSIONS": Kind(400, "Wrong image dimensions"),
    "INVALID_KEY": Kind(400, "Invalid Ed25519 public key"),
    "INVALID_PROOF": Kind(400, "The proof does not verify"),
    "UNAUTHENTICATED": Kind(401, "Authentication required"),
    "FORBIDDEN": Kind(403, "Forbidden"),
    "QUOTA_EXCEEDED": Kind(403, "Quota exceeded"),
    "NOT_FOUND": Kind(404, "Not found"),
    "FILE_NOT_FOUND": Kind(404, "The file is missing"),
    "URL_EXPIRED": Kind(403, "The signed URL has expired"),
    "URL_INVALID": Kind(403, "Invalid signed URL"),
    "METHOD_NOT_ALLOWED": Kind(405, "Method not allowed"),
    "APP_EXISTS": Kind(409, "The app ID is already in use"),
    "APP_DELETED": Kind(409, "The app was deleted for good"),
    "DEVELOPER_DISABLED": Kind(409, "The developer is disabled"),
    "DEVELOPER_EXISTS": Kind(409, "The developer ID is already in use"),
    "KEY_CONFLICT": Kind(409, "Conflict with the signing keys of the app"),
    "KEY_EXISTS": Kind(409, "The key is already registered"),
    "TOO_MANY_SCREENSHOTS": Kind(409, "Too many screenshots"),
    "UNTRUSTED_KEY": Kind(409, "The signing key of the version is no longer trusted"),
    "IDEMPOTENCY_CONFLICT": Kind(409, "A request with this Idempotency-Key is still in progress"),
    "OFFSET_CONFLICT": Kind(409, "Upload-Offset does not match the upload"),
    "UPLOAD_EXPIRED": Kind(409, "The upload has expired"),
    "UPLOAD_INCOMPLETE": Kind(409, "The upload is incomplete"),
    "UPLOAD_USED": Kind(409, "The upload is already completed"),
    "VERSION_CONFLICT": Kind(409, "The version code is too low"),
    "VERSION_EXISTS": Kind(409, "The version code is already in use"),
    "WRONG_STATE": Kind(409, "Not possible in the current status of the version"),
    "YANKED": Kind(410, "Withdrawn from the store"),
    "LENGTH_REQUIRED": Kind(411, "Content-Length required"),
    "PRECONDITION_FAILED": Kind(412, "Precondition failed"),
    "TUS_VERSION": Kind(412, "Unsupported tus version"),
    "FILE_TOO_LARGE": Kind(413, "The request body is too large"),
    "URI_TOO_LONG": Kind(414, "URI too long"),
    "UNSUPPORTED_MEDIA_TYPE": Kind(415, "Unsupported media type"),
    "RANGE_NOT_SATISFIABLE": Kind(416, "Range not satisfiable"),
    "DIGEST_MISMATCH": Kind(422, "The body does not match its digest"),
    "IDEMPOTENCY_MISMATCH": Kind(422, "The Idempotency-Key was used for a different request"),
    "VALIDATION_ERROR": Kind(422, "Validation failed"),
    "UPLOAD_LOCKED": Kind(423, "Another request is using the upload"),
    "PRECONDITION_REQUIRED": Kind(428, "Precondition required"),
    "RATE_LIMITED": Kind(429, "Too many requests"),
    "HEADERS_TOO_LARGE": Kind(431, "Request header fields too large"),
    "CHECKSUM_MISMATCH": Kind(460, "The chunk does not match its checksum"),  # the status that tus defines
    "INTERNAL_ERROR": Kind(500, "Internal server error"),
    "NOT_IMPLEMENTED": Kind(501, "Not implemented"),
    "HTTP_VERSION_NOT_SUPPORTED": Kind(505, "HTTP version not supported"),
    "STORAGE_ERROR": Kind(507, "Storage error"),
    "STORAGE_FULL": Kind(507, "No room for more files"),
    "UNAVAILABLE": Kind(503, "Service unavailable"),
}

# The code of an error that Bottle raises itself.
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


def body(code: str, detail: str, errors: list[str] | None = None) -> dict[str, object]:
    """The JSON object of a problem. `detail` says what went wrong in this request, `errors` lists the reasons."""
    kind = KINDS[code]
    members: dict[str, object] = {
        "type": f"urn:mosis:problem:{code.lower().replace('_', '-')}",
        "title": kind.title,
        "status": kind.status,
        "code": code,
        "detail": detail,
    }
    return members if errors is None else members | {"errors": errors}
