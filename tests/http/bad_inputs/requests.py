"""Requests whose framing, head or target is wrong."""

from collections.abc import Iterator

from tests.http.bad_inputs import (
    ADMIN,
    APP,
    BAD_REQUEST,
    CLOSED,
    DEVELOPER,
    FIELDS_TOO_LARGE,
    FILE_TOO_LARGE,
    FORBIDDEN,
    FORM,
    INVALID_REQUEST,
    JSON,
    LENGTH_REQUIRED,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    UNAUTHENTICATED,
    URI_TOO_LONG,
    VALIDATION_ERROR,
    VERSIONS,
    Row,
)
from tests.http.raw import chunk, head

BODY = b'{"app_id": "org.example.new", "name": "New"}'
CHUNKED = "Transfer-Encoding: chunked"
LAST_CHUNK = b"0\r\n\r\n"


def framed(*fields: str, body: bytes = BODY, version: bytes = b"HTTP/1.1") -> tuple[bytes, ...]:
    return (head("POST", "/api/apps", DEVELOPER, JSON, *fields).replace(b"HTTP/1.1", version, 1), body)


def get(target: str | bytes, *fields: str | bytes, method: str = "GET") -> tuple[bytes, ...]:
    return (head(method, target, *fields),)


FRAMING = (
    Row("a Content-Length that is too small", framed("Content-Length: 5"), VALIDATION_ERROR, "is not JSON"),
    Row("a Content-Length that is too large, and no more", framed("Content-Length: 500"), INVALID_REQUEST,
        "ended after 44 of 500 bytes", hang_up=True),
    Row("a Content-Length below zero", framed("Content-Length: -5"), BAD_REQUEST),
    Row("a Content-Length with a plus", framed("Content-Length: +44"), BAD_REQUEST),
    Row("a Content-Length in words", framed("Content-Length: many"), BAD_REQUEST),
    Row("a Content-Length in hex", framed("Content-Length: 0x2c"), BAD_REQUEST),
    Row("a Content-Length beyond 64 bits", framed("Content-Length: 99999999999999999999"), BAD_REQUEST),
    Row("a Content-Length of 9 exabytes", framed("Content-Length: 9999999999999999999"), FILE_TOO_LARGE, hang_up=True),
    Row("two Content-Lengths", framed("Content-Length: 44", "Content-Length: 45"), BAD_REQUEST),
    Row("a list of Content-Lengths", framed("Content-Length: 44, 44"), BAD_REQUEST),
    Row("Content-Length before Transfer-Encoding",
        framed("Content-Length: 5", CHUNKED, body=chunk(BODY) + LAST_CHUNK), LENGTH_REQUIRED),
    Row("Transfer-Encoding before Content-Length",
        framed(CHUNKED, "Content-Length: 5", body=chunk(BODY) + LAST_CHUNK), LENGTH_REQUIRED),
    Row("a chunked body", framed(CHUNKED, body=chunk(BODY) + LAST_CHUNK), LENGTH_REQUIRED),
    Row("a chunked body without an end", (*framed(CHUNKED, body=b""), *[chunk(bytes(65536))] * 100), LENGTH_REQUIRED,
        hang_up=True),
    Row("a chunked body that breaks off", framed(CHUNKED, body=chunk(BODY)), LENGTH_REQUIRED, hang_up=True),
    Row("a chunk whose size is no number", framed(CHUNKED, body=b"xyz\r\n" + BODY), LENGTH_REQUIRED),
    Row("a chunk beyond 64 bits", framed(CHUNKED, body=b"f" * 17 + b"\r\n"), LENGTH_REQUIRED),
    Row("a chunk with an extension of 100 KB",
        framed(CHUNKED, body=b"1;" + b"a" * 100_000 + b"\r\nx\r\n"), LENGTH_REQUIRED),
    Row("a chunked upload", (head("POST", VERSIONS, DEVELOPER, FORM, CHUNKED), LAST_CHUNK), LENGTH_REQUIRED),
    Row("a step of review whose chunked body breaks off",
        (head("POST", f"{VERSIONS}/1/submit", DEVELOPER, JSON, CHUNKED),), LENGTH_REQUIRED, hang_up=True),
    Row("Transfer-Encoding of two codings",
        framed("Transfer-Encoding: gzip, chunked", body=chunk(BODY) + LAST_CHUNK), LENGTH_REQUIRED),
    Row("Transfer-Encoding: identity", framed("Transfer-Encoding: identity"), BAD_REQUEST),
    Row("Transfer-Encoding: xchunked", framed("Transfer-Encoding: xchunked"), BAD_REQUEST),
    Row("Transfer-Encoding in HTTP/1.0", framed(CHUNKED, body=chunk(BODY), version=b"HTTP/1.0"), BAD_REQUEST),
)  # fmt: skip

HEADS = (
    Row("200 header fields", get("/healthz", *[f"X-{number}: a" for number in range(200)]), FIELDS_TOO_LARGE),
    Row("a header field of 2 MB",
        (b"GET /healthz HTTP/1.1\r\nHost: portal\r\nX-A: ", *[b"a" * 65536] * 32), FIELDS_TOO_LARGE),
    Row("a header field of 1 MB", get("/healthz", "X-A: " + "a" * 1_000_000), FIELDS_TOO_LARGE),
    Row("a header line without a colon", get("/healthz", "nonsense"), BAD_REQUEST),
    Row("a header field folded over two lines", get("/healthz", "X-A: a\r\n b"), BAD_REQUEST),
    Row("a space before the colon", get("/healthz", "Content-Length : 5"), BAD_REQUEST),
    Row("NUL in a header field", get("/healthz", b"X-A: a\0b"), BAD_REQUEST),
    Row("HTTP/3.0", (b"GET /healthz HTTP/3.0\r\nHost: portal\r\n\r\n",), BAD_REQUEST),
    Row("HTTP/0.9", (b"GET /healthz\r\n\r\n",), BAD_REQUEST),
    Row("HTTP/2 without TLS", (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",), CLOSED),
    Row("TLS", (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),), BAD_REQUEST),
    Row("no HTTP at all", (b"\0" * 1000,), BAD_REQUEST),
    Row("an authorization of 100 KB", get("/api/apps", "Authorization: Bearer " + "a" * 100_000), UNAUTHENTICATED),
    Row("an authorization beyond ASCII", get("/api/apps", b"Authorization: Bearer \xff\xfe"), UNAUTHENTICATED),
    Row("an authorization that is empty", get("/api/apps", "Authorization:"), UNAUTHENTICATED),
    Row("two authorizations", get("/api/apps", DEVELOPER, DEVELOPER), UNAUTHENTICATED),
    Row("a name and a password", get("/api/apps", "Authorization: Basic YTpi"), UNAUTHENTICATED),
    Row("a token cut short", get("/api/apps", DEVELOPER[:-2]), UNAUTHENTICATED),
    Row("a revoked token", get("/api/apps", "Authorization: Bearer @revoked"), UNAUTHENTICATED),
    Row("an expired token", get("/api/apps", "Authorization: Bearer @expired"), UNAUTHENTICATED),
    Row("no token", get(VERSIONS), UNAUTHENTICATED),
    Row("a developer's token for an admin's work", get("/api/developers/dev/tokens", DEVELOPER), FORBIDDEN),
    Row("another developer's app", get(VERSIONS, "Authorization: Bearer @foreign"), NOT_FOUND),
    Row("an unknown method", get("/healthz", method="PUSH"), METHOD_NOT_ALLOWED),
    Row("TRACE", get("/api/apps", DEVELOPER, method="TRACE"), METHOD_NOT_ALLOWED),
    Row("a developer's DELETE of an app", get(APP, DEVELOPER, method="DELETE"), FORBIDDEN),
    Row("PUT of a version", get(VERSIONS, DEVELOPER, method="PUT"), METHOD_NOT_ALLOWED),
    Row("CONNECT", get("example.org:443", method="CONNECT"), METHOD_NOT_ALLOWED),
)  # fmt: skip

TARGETS = (
    Row("an encoded way out of the assets", get("/assets/org.example.reader/..%2f..%2fdata%2fportal.db"), NOT_FOUND),
    Row("a plain way out of the downloads", get("/downloads/../../data/portal.db"), NOT_FOUND),
    Row("dots for developer and app", get("/downloads/%2e%2e/%2e%2e/1/package.mosis"), NOT_FOUND),
    Row("a way out inside a segment", get("/downloads/dev/..%2f..%2fdata/1/package.mosis"), NOT_FOUND),
    Row("a way out encoded twice", get("/downloads/%252e%252e/%252e%252e/1/package.mosis"), NOT_FOUND),
    Row("a way out with backslashes", get("/assets/org.example.reader/..%5c..%5cdata%5cportal.db"), NOT_FOUND),
    Row("a way out in overlong UTF-8", get("/downloads/%c0%ae%c0%ae/x/1/package.mosis"), INVALID_REQUEST, "UTF-8"),
    Row("a path with invalid UTF-8, encoded", get("/api/store/apps/org.example.reader%ff"), INVALID_REQUEST, "UTF-8"),
    Row("a path with invalid UTF-8, plain", get(b"/api/store/apps/\xff\xfe"), BAD_REQUEST),
    Row("a query with invalid UTF-8, plain", get(b"/api/store/apps?q=\xff\xfe"), BAD_REQUEST),
    Row("a cursor with invalid UTF-8", get("/api/store/apps?cursor=%ff%fe"), INVALID_REQUEST, "UTF-8"),
    Row("a cursor that is SQL", get("/api/store/apps?cursor=a%27%20OR%201=1--"), INVALID_REQUEST),
    Row("a search of 20,000 words", get("/api/store/apps?q=" + "a+" * 20_000), INVALID_REQUEST),
    Row("a path with NUL", get("/api/store/apps/org.example%00"), NOT_FOUND),
    Row("a path with a line break", get("/api/store/apps/a%0d%0aSet-Cookie:%20a=b"), NOT_FOUND),
    Row("a path of 100 KB", get("/" + "a" * 100_000), URI_TOO_LONG),
    Row("a path with a space", get("/api/store apps"), BAD_REQUEST),
    Row("a version code of 21 digits",
        get("/downloads/dev/org.example.reader/" + "9" * 21 + "/package.mosis"), NOT_FOUND),
    Row("a version code in Arabic digits", get("/downloads/dev/org.example.reader/%D9%A1/package.mosis"), NOT_FOUND),
    Row("a version code below zero", get(f"{VERSIONS}/-1/submit", DEVELOPER, method="POST"), NOT_FOUND),
    Row("screenshot 6", get(f"{APP}/screenshots/6", DEVELOPER, method="DELETE"), NOT_FOUND),
    Row("the keys of a developer that is SQL", get("/api/developers/'%20OR%201=1--/tokens", ADMIN), NOT_FOUND),
)  # fmt: skip


def rows() -> Iterator[Row]:
    yield from FRAMING
    yield from HEADS
    yield from TARGETS
