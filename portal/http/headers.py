"""The header fields of the API, as /openapi.json describes them; any other field is not part of the API."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Field:
    """The meaning of a field and the JSON Schema of its value; a request without a `needed` one is rejected."""

    text: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})
    needed: bool = False


def _like(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


BYTES = {"type": "integer", "minimum": 0}
DATE = _like(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")
TUS = {"type": "string", "enum": ["1.0.0"]}

REQUEST = {
    "Content-Digest": Field("Digests of the body, verified by the store (RFC 9530)"),
    "Idempotency-Key": Field("Makes the request safe to retry: a repetition gets the answer of the first request"),
    "If-Match": Field("Only if the entity tag is one of these"),
    "If-Modified-Since": Field("Only if the file changed since this date"),
    "If-None-Match": Field("Only if the entity tag is none of these"),
    "If-Range": Field("Answer Range only if the file has this entity tag or date, otherwise send the whole file"),
    "If-Unmodified-Since": Field("Only if the file has not changed since this date"),
    "Range": Field("The requested part or parts, in bytes"),
    "Repr-Digest": Field("Digests of the body, verified by the store (RFC 9530)"),
    "Tus-Resumable": Field("The tus version", TUS, needed=True),
    "Upload-Checksum": Field("`sha1` or `sha256`, a space, and the digest of the chunk in base64", _like(r"\S+ \S+")),
    "Upload-Length": Field("Bytes of the package (tus)", BYTES),
    "Upload-Metadata": Field("Metadata (tus); `sha256` is the SHA-256 of the package, in hex"),
    "Upload-Offset": Field("Offset of the chunk, in bytes", BYTES, needed=True),
    "X-HTTP-Method-Override": Field(
        "The intended method", {"type": "string", "enum": ["PATCH", "DELETE"]}, needed=True
    ),
}  # fmt: skip

RESPONSE = {
    "Accept-Ranges": Field("The unit of ranges, bytes"),
    "Cache-Control": Field("How the answer may be cached"),
    "Content-Disposition": Field("The name of the file"),
    "Content-Range": Field("The position of the part, or the size of the file", _like(r"bytes (?:\d+-\d+|\*)/\d+")),
    "ETag": Field("The strong entity tag: the SHA-256 of the content in hex", _like('"[0-9a-f]{64}"')),
    "Last-Modified": Field("When the file was last changed", DATE),
    "Location": Field("The signed URL, or where the file is"),
    "Repr-Digest": Field("The SHA-256 of the whole file (RFC 9530)", _like("sha-256=:[A-Za-z0-9+/]{43}=:")),
    "Retry-After": Field("Seconds to wait before the next attempt", BYTES),
    "Tus-Checksum-Algorithm": Field("The algorithms that Upload-Checksum supports"),
    "Tus-Extension": Field("The supported tus extensions"),
    "Tus-Max-Size": Field("The maximum package size, in bytes", BYTES),
    "Tus-Resumable": Field("The tus version, in answers to tus clients", TUS),
    "Tus-Version": Field("The supported tus versions", TUS),
    "Upload-Expires": Field("When the signed URL expires", DATE),
    "Upload-Length": Field("Bytes of the package", BYTES),
    "Upload-Offset": Field("Bytes received and written to disk", BYTES),
    "WWW-Authenticate": Field("The authentication scheme"),
    "X-Mosis-Signature": Field("The signature of the package, base64"),
    "X-Mosis-Version": Field("The version_name of the package"),
}

DIGESTS = ("Content-Digest", "Repr-Digest")
CONDITIONS = ("If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range")
ENTITY_TAGS = ("If-Match", "If-None-Match")
FILE = ("Accept-Ranges", "Cache-Control", "ETag", "Last-Modified", "Repr-Digest")
PACKAGE = ("Content-Disposition", "X-Mosis-Signature", "X-Mosis-Version")
NOT_MODIFIED = ("Cache-Control", "ETag")
UPLOAD = ("Cache-Control", "Upload-Expires", "Upload-Length", "Upload-Offset")
TUS_UPLOAD = ("Tus-Resumable", "Tus-Version", "Upload-Offset")  # a route with one of them supports tus
CAPABILITIES = ("Tus-Checksum-Algorithm", "Tus-Extension", "Tus-Max-Size", "Tus-Version")
PART = ("Content-Range",)  # of a single part; each of several has its own in the body
REFUSAL = {401: ("WWW-Authenticate",), 416: ("Content-Range",)}
REFUSAL_AT_TIMES = {412: ("Tus-Version",), 429: ("Retry-After",), 503: ("Retry-After",)}


def parameters(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Fields of a request."""
    return [
        {"name": name, "in": "header", "description": found.text, "schema": found.schema, "required": found.needed}
        for name, found in ((name, REQUEST[name]) for name in names)
    ]


def headers(names: tuple[str, ...], *, always: bool = True) -> dict[str, Any]:
    """Fields of a response; `always` where no such response lacks them."""
    return {
        name: {"description": RESPONSE[name].text, "schema": RESPONSE[name].schema, "required": always}
        for name in names
    }
