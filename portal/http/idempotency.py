"""Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a creating request that is sent again creates nothing.

The answer of a request that succeeded is kept for a day and given again to a request with the same key. A request that
was refused created nothing and may be tried again with the same key. While a request is under way its key is claimed:
the claim ends with the worker that holds it, so the retry after a crash is answered.
"""

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from bottle import BaseRequest, HTTPResponse
from multipart import parse_options_header

from portal.http.digests import Input
from portal.http.forms import BOUNDARY_MAX
from portal.store.claims import claim
from portal.store.clock import now
from portal.store.database import Database
from portal.store.errors import Refused
from portal.store.store import Store

KEPT_SECONDS = 24 * 3600
KEY = re.compile(r'"([\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x7e]{1,255})')
HEADERS_COUNTED = ("Upload-Length", "Upload-Metadata")  # what a tus client sends instead of a body
CHUNK = 256 * 1024


@dataclass(frozen=True)
class Attempt:
    """The identity of a request and its repetitions."""

    token_id: str
    target: str
    key: str


def once(
    store: Store, request: BaseRequest, token_id: str, respond: Callable[[], HTTPResponse]
) -> HTTPResponse:  # fmt: skip
    """The answer of `respond`, or the stored answer to an earlier request of this token with the same key.

    Raises Refused (INVALID_REQUEST, IDEMPOTENCY_CONFLICT, IDEMPOTENCY_MISMATCH).
    """
    header = request.get_header("Idempotency-Key")
    if header is None:
        return respond()
    match = KEY.fullmatch(header.strip())
    if match is None:
        raise Refused("INVALID_REQUEST", "Idempotency-Key must be up to 255 visible ASCII characters.")
    attempt = Attempt(token_id, request.path, match[1] or match[2])
    body = _Fingerprinted(request)
    request.environ["wsgi.input"] = body
    with claim(store.layout.claims, f"{attempt.token_id} {attempt.key} {attempt.target}") as free:
        if not free:
            raise Refused("IDEMPOTENCY_CONFLICT", "The first request with this Idempotency-Key is still in progress.")
        if earlier := _earlier(store.db.read(), attempt):
            return _again(earlier, body)
        response = respond()
        _keep(store.db, attempt, body.digest(), response)
        return response


class _Fingerprinted:
    """An input that hashes the request, apart from the boundary of a form, which differs in each attempt."""

    def __init__(self, request: BaseRequest) -> None:
        self._source: Input = request.environ["wsgi.input"]
        _, options = parse_options_header(request.get_header("Content-Type", ""))
        boundary = options.get("boundary", "")  # a longer one is none: it would be copied with each piece of the body
        self._delimiter = b"\r\n--" + boundary.encode() if 1 <= len(boundary) <= BOUNDARY_MAX else b""
        self._tail = b"\r\n"  # which may be absent before the first delimiter (RFC 2046 section 5.1.1)
        self._hash = hashlib.sha256()
        for name in HEADERS_COUNTED:
            self._hash.update(f"{name}: {request.get_header(name, '')}\n".encode())

    def read(self, size: int, /) -> bytes:
        chunk = self._source.read(size)
        data = self._tail + chunk
        if self._delimiter:
            data = data.replace(self._delimiter, b"")
        done = max(0, len(data) - len(self._delimiter))
        self._hash.update(data[:done])
        self._tail = data[done:]
        return chunk

    def digest(self) -> bytes:
        """The hash of the whole body, of which the rest is read here."""
        while self.read(CHUNK):
            pass
        self._hash.update(self._tail)
        return self._hash.digest()


def _earlier(db: sqlite3.Connection, attempt: Attempt) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT fingerprint, status, headers, body FROM idempotency"
        " WHERE token_id = ? AND target = ? AND key = ? AND at > ? AND status IS NOT NULL",
        (attempt.token_id, attempt.target, attempt.key, now() - KEPT_SECONDS),
    ).fetchone()
    return row


def _keep(db: Database, attempt: Attempt, fingerprint: bytes, response: HTTPResponse) -> None:
    with db.write() as tx:
        tx.execute("DELETE FROM idempotency WHERE at <= ?", (now() - KEPT_SECONDS,))
        tx.execute(
            "REPLACE INTO idempotency (token_id, target, key, at, fingerprint, status, headers, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (attempt.token_id, attempt.target, attempt.key, now(),
             fingerprint, response.status_code, json.dumps(response.headerlist), response.body),
        )  # fmt: skip


def _again(earlier: sqlite3.Row, body: _Fingerprinted) -> HTTPResponse:
    if body.digest() != earlier["fingerprint"]:
        raise Refused("IDEMPOTENCY_MISMATCH", "This Idempotency-Key was used for a request with a different body.")
    response = HTTPResponse(earlier["body"], earlier["status"])
    for name, value in json.loads(earlier["headers"]):
        response.set_header(name, value)
    return response
