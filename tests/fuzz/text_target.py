"""What the fuzzer calls: any bytes are text for each parser of text, chosen by the first byte.

`json` JSON that is accepted is what the standard library reads, and is written and read again as the same value.
`manifest` a manifest that is accepted is so again from its own values; a refusal has reasons that can be printed.
`names` names that are accepted do not collide, and are all there on a file system that ignores case and form.
`headers` what a stranger sends in a header or a query is read or refused, and nothing else happens.
`passkey` CBOR that passes the first look is decoded to no more than it is long.
"""

import json
import pickle
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

import cbor2
from bottle import LocalRequest
from multipart import MultipartError, PushMultipartParser, parse_options_header

from portal.http import authentication, browsers, conditional, digests, paging, ranges, tus
from portal.packages import manifest, paths, strict_json
from portal.packages.errors import PackageRejected
from portal.settings import Settings
from portal.store import plain_cbor
from portal.store.errors import Refused

SETTINGS = Settings.model_validate({"root": "/nowhere"})
MAX_BYTES = 64 * 1024
MANY = 1000  # times as large as its text a value may be in memory, as objects of a few bytes each


def one_input(data: bytes) -> None:
    """Raises AssertionError, or whatever a parser fails with, for an input that shows a fault of it."""
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


def strict(data: bytes) -> None:
    try:
        value = strict_json.parse(data, max_bytes=MAX_BYTES)
    except strict_json.JsonRejected as refusal:
        assert str(refusal)
        return
    assert pickle.dumps(value) == pickle.dumps(json.loads(data))  # 1, 1.0 and True are equal
    again = strict_json.parse(json.dumps(value, ensure_ascii=False).encode(), max_bytes=8 * MAX_BYTES)
    assert pickle.dumps(again) == pickle.dumps(value)


def manifests(data: bytes) -> None:
    try:
        found = manifest.parse(data)
    except PackageRejected as refusal:
        assert refusal.errors
        assert all(error.isprintable() for error in refusal.errors), refusal.errors
    else:
        assert manifest.parse(found.model_dump_json(exclude_none=True).encode()) == found


def names(data: bytes) -> None:
    listed = data.decode("utf-8", "replace").split("\n")
    accepted = [name for name in listed if not any(paths.faults(name))]
    collisions = list(paths.collisions(accepted))
    assert all(sentence.isprintable() for sentence in collisions)
    if not collisions:
        assert len({folding(name) for name in accepted}) == len(accepted), accepted
    for name in accepted:
        assert name.isprintable()
        assert not {"", ".", ".."} & {*name.removesuffix("/").split("/")}


def folding(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name.removesuffix("/")).casefold())


def headers(data: bytes) -> None:
    text = data.decode("utf-8", "replace").encode().decode("latin-1")  # as `portal.http.legible` makes it
    sent = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": text, "wsgi.input": BytesIO()}
    request = LocalRequest(sent | of_header(text))
    for parse in (
        lambda: digests.guard(request), lambda: tus.metadata(request), lambda: tus.checksum(request),
        lambda: tus.number(request, "Upload-Offset"), lambda: paging.requested(request, int, str),
        lambda: authentication._require_no_token_in_url(request),
        lambda: browsers.require_same_origin(SETTINGS, request),
    ):  # fmt: skip
        with suppress(Refused):
            parse()
    browsers.secrets(SETTINGS, request)
    authentication.rate_limit_key(text)
    parse_options_header(text)
    conditional.evaluate({"if-match": text, "if-none-match": text, "if-modified-since": text}, '"x"', 0)
    for size in (0, 1, 10**6):
        with suppress(ranges.UnsatisfiableError):
            found = ranges.parse(text, size)
            assert found is None or 0 <= found.start < found.stop <= size


def of_header(text: str) -> dict[str, str]:
    sent = ("CONTENT_DIGEST", "UPLOAD_METADATA", "UPLOAD_CHECKSUM", "UPLOAD_OFFSET", "COOKIE", "ORIGIN", "HOST")
    return {f"HTTP_{name}": text for name in sent}


def form(data: bytes) -> None:
    """In one piece and byte by byte alike, but that the parser refuses more of what is malformed in one of the two."""
    whole, bytewise = events(data, len(data) or 1), events(data, 1)
    assert None in (whole, bytewise) or whole == bytewise


def events(data: bytes, piece: int) -> list[bytes] | None:
    parts: list[bytes] = []
    try:
        with PushMultipartParser("b", max_segment_count=16) as parser:
            for at in range(0, len(data), piece):
                for event in parser.parse(data[at : at + piece]):
                    if isinstance(event, (bytes, bytearray)):
                        parts[-1] += event
                    elif event is not None:
                        parts.append(b"")
    except MultipartError:
        return None
    return parts


def passkey(data: bytes) -> None:
    with suppress(ValueError):
        plain_cbor.authenticator_data(data)
    try:
        plain_cbor.items(data)
        value = cbor2.loads(data, allow_duplicate_keys=False)
    except (ValueError, cbor2.CBORDecodeError):
        return
    assert len(cbor2.dumps(value)) <= MANY * len(data)


TARGETS: tuple[Callable[[bytes], None], ...] = (strict, manifests, names, headers, form, passkey)
