"""Digests of a request's own body."""

import base64
import hashlib
from io import BytesIO

from bottle import BaseRequest

from portal.http import digests

BODY = b"body"


def request(field: str) -> BaseRequest:
    environ = {"CONTENT_LENGTH": str(len(BODY)), "wsgi.input": BytesIO(BODY), "HTTP_CONTENT_DIGEST": field}
    return BaseRequest(environ)


def digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def test_the_last_of_equal_algorithms_counts_and_the_body_is_hashed_once() -> None:
    made = request(", ".join([*[digest(b"another body")] * 100, digest(BODY)]))
    digests.guard(made)
    assert made.environ["wsgi.input"].read(100) == BODY
