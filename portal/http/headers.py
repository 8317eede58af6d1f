"""The header fields of the API, as /openapi.json describes them: what is not here is no part of the API."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Field:
    """A field's meaning and the JSON Schema of its value; `needed` where a request is refused without it."""

    text: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})
    needed: bool = False


def _like(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


BYTES = {"type": "integer", "minimum": 0}
DATE = _like(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")
TUS = {"type": "string", "enum": ["1.0.0"]}

REQUEST = {
    "Content-Digest": Field("Digests of the body, which are checked (RFC 9530)"),
    "Idempotency-Key": Field("Makes the request safe to send twice: the second has the answer of the first"),
    "If-Match": Field("Only of a file with one of these entity tags"),
    "If-Modified-Since": Field("Only of a file changed since"),
    "If-None-Match": Field("Only of a file with none of these entity tags"),
    "If-Range": Field("The part only of the file with this entity tag or date, else the whole"),
    "If-Unmodified-Since": Field("Only of a file not changed since"),
    "Range": Field("The part or parts wanted, in bytes"),
    "Repr-Digest": Field("Digests of the body, which are checked (RFC 9530)"),
    "Tus-Resumable": Field("The version of tus", TUS, needed=True),
    "Upload-Checksum": Field("`sha1` or `sha256`, a space, and the piece's digest in base64", _like(r"\S+ \S+")),
    "Upload-Length": Field("Bytes of the package, from a tus client", BYTES),
    "Upload-Metadata": Field("Of a tus client; `sha256` is the package's, in hex"),
    "Upload-Offset": Field("Where the piece begins", BYTES, needed=True),
    "X-HTTP-Method-Override": Field(
        "What is meant", {"type": "string", "enum": ["PATCH", "DELETE"]}, needed=True
    ),
}  # fmt: skip

RESPONSE = {
    "Accept-Ranges": Field("bytes"),
    "Cache-Control": Field("How long the answer may be kept"),
    "Content-Disposition": Field("The file's name"),
    "Content-Range": Field("Which bytes these are, or how many there are", _like(r"bytes (?:\d+-\d+|\*)/\d+")),
    "ETag": Field("The entity tag, strong: the SHA-256 in hex", _like('"[0-9a-f]{64}"')),
    "Last-Modified": Field("When the file changed", DATE),
    "Location": Field("The signed URL"),
    "Repr-Digest": Field("The SHA-256 of the whole file (RFC 9530)", _like("sha-256=:[A-Za-z0-9+/]{43}=:")),
    "Retry-After": Field("Seconds until it makes sense to try again", BYTES),
    "Tus-Checksum-Algorithm": Field("What Upload-Checksum may use"),
    "Tus-Extension": Field("The extensions of tus that are spoken"),
    "Tus-Max-Size": Field("Bytes of the largest package", BYTES),
    "Tus-Resumable": Field("The version of tus, when the client speaks it", TUS),
    "Tus-Version": Field("The versions of tus that are spoken", TUS),
    "Upload-Expires": Field("Until when the signed URL holds", DATE),
    "Upload-Length": Field("Bytes of the package", BYTES),
    "Upload-Offset": Field("Bytes that are here, and on the disk", BYTES),
    "WWW-Authenticate": Field("How to say who asks"),
    "X-Mosis-Signature": Field("The package's signature, base64"),
    "X-Mosis-Version": Field("The package's version_name"),
}

DIGESTS = ("Content-Digest", "Repr-Digest")
CONDITIONS = ("If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range")
FILE = ("Accept-Ranges", "Cache-Control", "ETag", "Last-Modified", "Repr-Digest")
PACKAGE = ("Content-Disposition", "X-Mosis-Signature", "X-Mosis-Version")
NOT_MODIFIED = ("Cache-Control", "ETag")
UPLOAD = ("Cache-Control", "Upload-Expires", "Upload-Length", "Upload-Offset")
TUS_UPLOAD = ("Tus-Resumable", "Tus-Version", "Upload-Offset")  # a route with one of them speaks tus
CAPABILITIES = ("Tus-Checksum-Algorithm", "Tus-Extension", "Tus-Max-Size", "Tus-Version")
PART = ("Content-Range",)  # of a single part; several have one each in the body
REFUSAL = {401: ("WWW-Authenticate",), 416: ("Content-Range",)}
REFUSAL_AT_TIMES = {412: ("Tus-Version",), 429: ("Retry-After",), 503: ("Retry-After",)}


def parameters(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Fields of a request."""
    return [
        {"name": name, "in": "header", "description": found.text, "schema": found.schema, "required": found.needed}
        for name, found in ((name, REQUEST[name]) for name in names)
    ]


def headers(names: tuple[str, ...], *, always: bool = True) -> dict[str, Any]:
    """Fields of a response; whether it always has them."""
    return {
        name: {"description": RESPONSE[name].text, "schema": RESPONSE[name].schema, "required": always}
        for name in names
    }
