"""What a stranger may throw at the portal, and what it answers: rows of a table, made of bytes.

`@developer`, `@admin` and so on in a head stand for tokens that the test has issued.
"""

from dataclasses import dataclass

from tests.http.raw import head, request

APP_ID = "org.example.reader"
APP = f"/api/apps/{APP_ID}"
VERSIONS = f"{APP}/versions"
BOUNDARY = "----boundary"

DEVELOPER = "Authorization: Bearer @developer"
ADMIN = "Authorization: Bearer @admin"
JSON = "Content-Type: application/json"
FORM = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"


Answer = tuple[int | None, str | None]
"""Status and code. Without a code it is the HTTP server that refuses, without a status by closing the connection."""

CLOSED = None, None
BAD_REQUEST = 400, None
URI_TOO_LONG = 414, None
FIELDS_TOO_LARGE = 431, None
INVALID_REQUEST = 400, "INVALID_REQUEST"
INVALID_FILE = 400, "INVALID_FILE"
INVALID_IMAGE = 400, "INVALID_IMAGE"
INVALID_DIMENSIONS = 400, "INVALID_DIMENSIONS"
INVALID_KEY = 400, "INVALID_KEY"
INVALID_PROOF = 400, "INVALID_PROOF"
UNAUTHENTICATED = 401, "UNAUTHENTICATED"
FORBIDDEN = 403, "FORBIDDEN"
NOT_FOUND = 404, "NOT_FOUND"
METHOD_NOT_ALLOWED = 405, "METHOD_NOT_ALLOWED"
APP_EXISTS = 409, "APP_EXISTS"
LENGTH_REQUIRED = 411, "LENGTH_REQUIRED"
FILE_TOO_LARGE = 413, "FILE_TOO_LARGE"
UNSUPPORTED_MEDIA_TYPE = 415, "UNSUPPORTED_MEDIA_TYPE"
VALIDATION_ERROR = 422, "VALIDATION_ERROR"


@dataclass(frozen=True)
class Row:
    """A bad input. `says` is in the detail or the reasons of the answer; `hang_up`: nothing comes after the pieces."""

    what: str
    pieces: tuple[bytes, ...]
    answer: Answer
    says: str = ""
    hang_up: bool = False


def part(name: str | bytes, content: bytes = b"", *fields: bytes, filename: str | bytes = "a.mosis") -> bytes:
    """One part of a form, with its delimiter."""
    name, filename = (text if isinstance(text, bytes) else text.encode() for text in (name, filename))
    lines = [
        f"--{BOUNDARY}".encode(),
        b'Content-Disposition: form-data; name="%b"; filename="%b"' % (name, filename),
        *fields,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def upload(body: bytes, *, to: str = VERSIONS) -> tuple[bytes, ...]:
    """A request with a form as its body."""
    return (request("POST", to, b"", DEVELOPER, FORM).replace(b"Length: 0", b"Length: %d" % len(body)), body)


def post(body: bytes, to: str = "/api/apps", who: str = DEVELOPER) -> tuple[bytes, ...]:
    """A request with JSON as its body."""
    return (head("POST", to, who, JSON, f"Content-Length: {len(body)}"), body)
