import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from bottle import BaseRequest, HTTPError, HTTPResponse

from portal.http.files import CHUNK, DamagedFileError, Representation, content_disposition, respond

CONTENT = b"0123456789" * (CHUNK // 8)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ETAG = f'"{SHA256}"'
MODIFIED = 784_111_777.9
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
ACCEL = "/_files/packages/dev/org.example.app/1/package.mosis"
RANGE = "/_files/range/packages/dev/org.example.app/1/package.mosis"


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "package.mosis"
    path.write_bytes(CONTENT)
    return path


def representation(path: Path, **changes) -> Representation:
    known = {
        "path": path,
        "size": len(CONTENT),
        "sha256": SHA256,
        "modified": MODIFIED,
        "content_type": "application/vnd.mosis",
        "cache_control": "no-cache",
    }
    return Representation(**(known | changes))


@pytest.fixture
def answer() -> Iterator[Callable[..., HTTPResponse]]:
    """Asks for a file; the server that would close the bodies is this fixture."""
    with ExitStack() as bodies:

        def ask(of: Representation, method: str = "GET", **fields: str) -> HTTPResponse:
            environ = {f"HTTP_{name.upper()}": value for name, value in fields.items()}
            response = respond(BaseRequest({"REQUEST_METHOD": method, **environ}), of)
            if hasattr(response.body, "close"):
                bodies.callback(response.body.close)
            return response

        yield ask


def test_the_body_comes_in_chunks_and_closes_its_file(answer, path):
    body = answer(representation(path)).body
    chunks = list(body)
    assert max(map(len, chunks)) == CHUNK
    assert b"".join(chunks) == CONTENT
    body.close()
    with pytest.raises(ValueError, match="closed file"):
        next(iter(body))


def test_no_file_is_opened_without_a_body_to_send(answer, path):
    for response in (
        answer(representation(path), "HEAD"),
        answer(representation(path), if_none_match=ETAG),
        answer(representation(path, accel=ACCEL)),
    ):
        assert response.body == ""


def test_a_missing_file_is_told_to_the_caller_before_any_precondition(answer, path):
    path.unlink()
    with pytest.raises(FileNotFoundError):
        answer(representation(path), if_none_match=ETAG)


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"0", b""], ids=["shorter", "longer", "empty"])
@pytest.mark.parametrize("accel", [None, ACCEL], ids=["portal", "nginx"])
def test_a_file_of_another_size_is_refused(answer, path, content, accel):
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=f"has {len(content)} bytes, not the recorded {len(CONTENT)}"):
        answer(representation(path, accel=accel), range="bytes=0-1")


def test_a_file_cut_while_it_is_sent_breaks_the_body(answer, path):
    chunks = iter(answer(representation(path)).body)
    next(chunks)
    path.write_bytes(CONTENT[:CHUNK])
    with pytest.raises(DamagedFileError, match=f"{len(CONTENT) - CHUNK} bytes early"):
        next(chunks)


def test_a_file_replaced_while_it_is_sent_goes_on_as_it_was(answer, path, tmp_path):
    chunks = iter(answer(representation(path)).body)
    first = next(chunks)
    (tmp_path / "new").write_bytes(b"x" * len(CONTENT))
    (tmp_path / "new").replace(path)
    assert first + b"".join(chunks) == CONTENT


def test_errors_are_left_to_the_error_handler(answer, path):
    assert isinstance(answer(representation(path), if_match='"other"'), HTTPError)
    assert isinstance(answer(representation(path), range=f"bytes={len(CONTENT)}-"), HTTPError)


def test_last_modified_is_never_in_the_future(answer, path, monkeypatch):
    monkeypatch.setattr("portal.http.files.time", lambda: MODIFIED)
    assert answer(representation(path, modified=MODIFIED + 3600)).get_header("Last-Modified") == DATE


@pytest.mark.parametrize(
    ("fields", "uri"),
    [
        ({}, ACCEL),
        ({"range": "bytes=0-9"}, RANGE),
        ({"range": "bytes=9-"}, RANGE),
        ({"range": "bytes=-9"}, RANGE),
        ({"range": "bytes=9-", "if_range": ETAG}, RANGE),
        ({"range": "bytes=9-", "if_range": DATE}, RANGE),
        ({"range": "bytes=9-", "if_range": '"other"'}, ACCEL),
        ({"range": "bytes=nonsense"}, ACCEL),
        ({"if_none_match": '"other"'}, ACCEL),
        ({"if_modified_since": "Sat, 05 Nov 1994 08:49:37 GMT"}, ACCEL),
        ({"range": "bytes=0-1,5-6"}, ACCEL),
        ({"range": "bytes=,0-1"}, ACCEL),
        ({"if_match": "*"}, ACCEL),
        ({"range": "bytes=9-", "if_match": " * "}, RANGE),
        ({"if_unmodified_since": DATE}, ACCEL),
        ({"if_match": ETAG}, None),
        ({"range": "bytes=9-", "if_match": f'"other", {ETAG}'}, None),
        ({"if_unmodified_since": "yesterday"}, None),
        ({"if_match": "*", "if_unmodified_since": "Sat, 05 Nov 1994 08:49:37 GMT"}, None),
    ],
    ids=str,
)
def test_nginx_carries_what_it_lets_pass_as_the_portal_does(answer, path, fields, uri):
    os.utime(path, (MODIFIED, MODIFIED))
    response = answer(representation(path, accel=ACCEL), **fields)
    assert response.get_header("X-Accel-Redirect") == uri
    assert (response.body == "") == (uri is not None)


@pytest.mark.parametrize(("fields", "length"), [({}, len(CONTENT)), ({"range": "bytes=-9"}, 9)], ids=["whole", "range"])
def test_the_portal_knows_how_much_nginx_sends(answer, path, fields, length):
    assert answer(representation(path, accel=ACCEL), **fields).get_header("X-File-Content-Length") == str(length)


def test_nginx_gets_the_fields_under_names_it_does_not_touch(answer, path):
    plain = answer(representation(path, filename="a.mosis", headers={"X-Mosis-Version": "1.0.0"}))
    handed = answer(representation(path, filename="a.mosis", headers={"X-Mosis-Version": "1.0.0"}, accel=ACCEL))
    sent = {name: value for name, value in plain.headerlist if name != "Content-Length"}
    assert {name: handed.get_header(f"X-File-{name}") for name in sent} == sent
    assert handed.get_header("ETag") is None
    assert handed.get_header("Cache-Control") is None


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("org.example.app-1.0.0+build.1.mosis", "attachment; filename=org.example.app-1.0.0+build.1.mosis"),
        ("two words.mosis", "attachment; filename=\"two words.mosis\"; filename*=UTF-8''two%20words.mosis"),
        ("größe.mosis", "attachment; filename=\"gr__e.mosis\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.mosis"),
        ('a"\r\nb', "attachment; filename=\"a___b\"; filename*=UTF-8''a%22%0D%0Ab"),
        ("../a", "attachment; filename=\".._a\"; filename*=UTF-8''..%2Fa"),
    ],
)
def test_content_disposition(filename, expected):
    assert content_disposition(filename) == expected
