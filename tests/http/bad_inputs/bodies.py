"""Forms and JSON documents that are wrong; their framing is right."""

from collections.abc import Iterator

from tests.http.bad_inputs import (
    ADMIN,
    APP,
    APP_EXISTS,
    BOUNDARY,
    DEVELOPER,
    FILE_TOO_LARGE,
    FORBIDDEN,
    INVALID_FILE,
    INVALID_KEY,
    INVALID_PROOF,
    INVALID_REQUEST,
    JSON,
    NOT_FOUND,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION_ERROR,
    VERSIONS,
    Row,
    form,
    part,
    post,
    upload,
)
from tests.http.raw import head, request
from tests.packages.hostile import FILE, package

PACKAGE = package(FILE)
END = f"--{BOUNDARY}--\r\n".encode()
MIB = 1024 * 1024


def text(name: str, content: bytes) -> bytes:
    return part(name, content).replace(b'; filename="a.mosis"', b"")


def typed(content_type: str) -> tuple[bytes, ...]:
    return (request("POST", VERSIONS, form(part("package", PACKAGE)), DEVELOPER, f"Content-Type: {content_type}"),)


FORMS = (
    Row("a form that breaks off in the file", upload(part("package", PACKAGE)[:-20]), INVALID_FILE, "incomplete"),
    Row("a form without its last boundary", upload(part("package", PACKAGE)), INVALID_FILE, "incomplete"),
    Row("a form that breaks off in a part's header", upload(part("package")[:60]), INVALID_FILE, "incomplete"),
    Row("an upload that hangs up",
        (head("POST", VERSIONS, DEVELOPER, f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
              f"Content-Length: {MIB}"), part("package", PACKAGE)), INVALID_REQUEST, "of 1048576", hang_up=True),
    Row("an empty body", upload(b""), INVALID_FILE),
    Row("a form without parts", upload(form()), INVALID_FILE, "no part 'package'"),
    Row("a form without boundaries", upload(PACKAGE), INVALID_FILE),
    Row("no package", upload(form(text("version_code", b"1"))), INVALID_FILE, "no part 'package'"),
    Row("two packages", upload(form(part("package", PACKAGE), part("package", PACKAGE))), INVALID_FILE, "more than"),
    Row("a part nobody asked for", upload(form(part("package", PACKAGE), part("readme"))), INVALID_FILE,
        '"readme": it takes one file, "package" and, at most once, each of the text fields version_code'),
    Row("10,000 parts", upload(form(*[part("package", PACKAGE)], *[text("x", b"")] * 10_000)), INVALID_FILE),
    Row("10,000 parts called package", upload(form(*[part("package", b"x")] * 10_000)), INVALID_FILE),
    Row("a version code twice",
        upload(form(text("version_code", b"1"), text("version_code", b"1"), part("package", PACKAGE))), INVALID_FILE),
    Row("a text field of 10 MB", upload(form(text("version_name", bytes(10 * MIB)))), INVALID_FILE, "longer than 1024"),
    Row("a text field that is not UTF-8",
        upload(form(part("package", PACKAGE), text("version_name", b"\xff"))), INVALID_FILE, "not UTF-8"),
    Row("a version code that is a word",
        upload(form(part("package", PACKAGE), text("version_code", b"one"))), VALIDATION_ERROR, "version_code"),
    Row("a version code in Arabic digits",
        upload(form(part("package", PACKAGE), text("version_code", "\u0661".encode()))), VALIDATION_ERROR,
        "version_code"),
    Row("a version code of 5,000 digits",
        upload(form(part("package", PACKAGE), text("version_code", b"9" * 5000))), INVALID_FILE),
    Row("a part header of 100 KB", upload(form(part("package", PACKAGE, b"X-A: " + b"a" * 100_000))), FILE_TOO_LARGE),
    Row("1,000 part headers", upload(form(part("package", PACKAGE, *[b"X-A: a"] * 1000))), FILE_TOO_LARGE),
    Row("a part header without a colon", upload(form(part("package", PACKAGE, b"nonsense"))), INVALID_FILE),
    Row("a part without a name",
        upload(form(part("package", PACKAGE).replace(b'name="package"; ', b""))), INVALID_FILE),
    Row("a part without Content-Disposition", upload(b"--%b\r\n\r\nx\r\n" % BOUNDARY.encode() + END), INVALID_FILE),
    Row("a part that is an attachment",
        upload(form(part("package", PACKAGE).replace(b"form-data", b"attachment"))), INVALID_FILE),
    Row("a part whose length is a lie",
        upload(form(part("package", PACKAGE, b"Content-Length: 5"))), INVALID_FILE),
    Row("a part name with line breaks", upload(form(part("a\r\nX-A: b", b"x"))), INVALID_FILE),
    Row("a part name with encoded line breaks", upload(form(part("a%0D%0AX-A: b"))), INVALID_FILE, '"a\\r\\nX-A: b"'),
    Row("a part name written backwards", upload(form(part("\u202egnp.exe"))), INVALID_FILE, '"\\u202egnp.exe"'),
    Row("a part name with NUL", upload(form(part("package\0"))), INVALID_FILE, '"package\\u0000"'),
    Row("a part name that is not UTF-8", upload(form(part(b"\xff"))), INVALID_FILE),
    Row("no boundary", typed("multipart/form-data"), UNSUPPORTED_MEDIA_TYPE),
    Row("an empty boundary", typed('multipart/form-data; boundary=""'), UNSUPPORTED_MEDIA_TYPE),
    Row("a boundary of 30 KB", typed("multipart/form-data; boundary=" + "a" * 30_000), UNSUPPORTED_MEDIA_TYPE),
    Row("a boundary beyond ASCII", typed('multipart/form-data; boundary="ä"'), UNSUPPORTED_MEDIA_TYPE),
    Row("another boundary", typed("multipart/form-data; boundary=other"), INVALID_FILE),
    Row("a package without a form", typed("application/octet-stream"), UNSUPPORTED_MEDIA_TYPE),
    Row("a package that says to be larger than 50 MiB",
        (head("POST", VERSIONS, DEVELOPER, f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
              f"Content-Length: {51 * MIB}"),), FILE_TOO_LARGE, hang_up=True),
    Row("a package one byte too large", upload(form(part("package", bytes(50 * MIB + 1)))), FILE_TOO_LARGE),
)  # fmt: skip

# What names a file is nobody's business: it is read by no one.
FILE_NAMES = {
    "a file name that leads out": "../../../etc/passwd",
    "a file name with line breaks": "a%0D%0AX-A: b",
    "a file name written backwards": "\u202egnp.exe",
    "a file name with NUL": "a\0.mosis",
    "a file name of 4 KB": "a" * 4000,
}


APPS = {
    "JSON nested 10,000 deep": (b"[" * 10_000 + b"]" * 10_000, "nested deeper"),
    "JSON with a byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "JSON in UTF-16": ("{}".encode("utf-16"), "byte order mark"),
    "JSON in Latin-1": ('{"name": "ä"}'.encode("latin-1"), "is not UTF-8"),
    "JSON that breaks off": (b'{"app_id": "org', "is not JSON"),
    "two documents": (b"{}{}", "is not JSON"),
    "a list": (b"[]", "body: "),
    "null": (b"null", "body: "),
    "no body": (b"", "app_id: Field required"),
    "an app with two ids": (b'{"app_id": "org.a.b", "app_id": "org.a.c", "name": "A"}', "twice"),
    "an app called NaN": (b'{"app_id": "org.a.b", "name": NaN}', "not a finite"),
    "an app called half a surrogate pair": (b'{"app_id": "org.a.b", "name": "\\ud800"}', "surrogate"),
    "an app called 1": (b'{"app_id": "org.a.b", "name": 1}', "name: "),
    "an app without a name": (b'{"app_id": "org.a.b"}', "name: Field required"),
    "an app with a name of 101 characters": (b'{"app_id": "org.a.b", "name": "%b"}' % (b"a" * 101), "name: "),
    "an app with two lines of name": (b'{"app_id": "org.a.b", "name": "a\\nb"}', "name: "),
    "an app with a path for an id": (b'{"app_id": "../b", "name": "A"}', "app_id: "),
    "an app with a device for an id": (b'{"app_id": "org.con", "name": "A"}', "app_id: "),
    "an app with an id that ends in a line break": (b'{"app_id": "org.a.b\\n", "name": "A"}', "app_id: "),
    "an app with a member of its own": (b'{"app_id": "org.a.b", "name": "A", "x": 1}', "x: "),
}

DAYS = {
    "for 10^5000 days": (b"1" + b"0" * 5000, "thousands of digits"),
    "for 2^64 days": (b"18446744073709551616", "days: "),
    "for true days": (b"true", "days: "),
    "for 1.5 days": (b"1.5", "days: "),
    "for days in a string": (b'"3"', "days: "),
    "for -1 days": (b"-1", "days: "),
    "for days without an end": (b"1e999", "not a finite"),
}

KEYS = "/api/developers/dev/keys"
OTHERS = (
    Row("JSON of 10 MB", post(b'{"name": "' + b"a" * 10_000_000 + b'"}'), FILE_TOO_LARGE),
    Row("an app that is there", post(b'{"app_id": "org.example.reader", "name": "A"}'), APP_EXISTS),
    Row(
        "XML",
        (request("POST", "/api/apps", b"<a/>", DEVELOPER, "Content-Type: text/xml"),),
        UNSUPPORTED_MEDIA_TYPE,
    ),
    Row("no Content-Type", (request("POST", "/api/apps", b"{}", DEVELOPER),), UNSUPPORTED_MEDIA_TYPE),
    Row(
        "JSON in gzip",
        (request("POST", "/api/apps", b"\x1f\x8b\x08", DEVELOPER, JSON, "Content-Encoding: gzip"),),
        VALIDATION_ERROR,
        "is not UTF-8",
    ),
    Row(
        "a token for root",
        post(b'{"scope": "root", "days": 1}', "/api/developers/dev/tokens", ADMIN),
        VALIDATION_ERROR,
        "scope: ",
    ),
    Row("a key that is no key", post(b'{"public_key": "AAAA", "proof": "AAAA"}', KEYS), INVALID_KEY),
    Row("a key of zeros", post(b'{"public_key": "%b=", "proof": "AAAA"}' % (b"A" * 43), KEYS), INVALID_KEY),
    Row(
        "a key with a proof of zeros",
        post(b'{"public_key": "1pWGdXGkF2pKhlNHQmUEs6Ub6ZfIVQ6ZxmTZEQ4rcmo=", "proof": "%b=="}' % (b"A" * 86), KEYS),
        INVALID_PROOF,
    ),
    Row(
        "a reason of 3,000 characters",
        post(b'{"reason": "%b"}' % (b"a" * 3000), f"{VERSIONS}/999999/submit"),
        VALIDATION_ERROR,
        "reason: ",
    ),
    Row("the submission of a version that is not there", post(b"{}", f"{VERSIONS}/999999/submit"), NOT_FOUND),
    Row("a developer's publication", post(b"{}", f"{VERSIONS}/999999/publish"), FORBIDDEN),
    Row("an icon as JSON", post(b"{}", f"{APP}/icon"), UNSUPPORTED_MEDIA_TYPE),
)


def rows() -> Iterator[Row]:
    yield from FORMS
    for what, name in FILE_NAMES.items():
        yield Row(what, upload(form(part("package", b"no package", filename=name))), VALIDATION_ERROR, "not a ZIP")
    for what, (body, says) in APPS.items():
        yield Row(what, post(body), VALIDATION_ERROR, says)
    for what, (days, says) in DAYS.items():
        body = b'{"scope": "developer", "days": %b}' % days
        yield Row(f"a token {what}", post(body, "/api/developers/dev/tokens", ADMIN), VALIDATION_ERROR, says)
    yield from OTHERS
