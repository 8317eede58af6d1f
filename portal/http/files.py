"""The one responder for files: every header, condition and range, whether nginx or the portal sends the bytes.

The portal always evaluates the request; where only bytes remain to be sent, it leaves that to nginx.
"""

import hashlib
import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from urllib.parse import quote

from bottle import BaseRequest, HTTPError, HTTPResponse

from portal.http.conditional import Outcome, evaluate, http_date, parse_date, range_applies
from portal.http.ranges import ByteRange, UnsatisfiableError, parse

CHUNK = 256 * 1024
"""Bytes per read and write."""

CONDITIONS = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")

WHOLE, RANGE = "/_files/", "/_files/range/"
"""The internal locations of templates/nginx/files.conf.j2: one ignores Range, the other honours a single range."""

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class DamagedFileError(OSError):
    """The file on disk has not the recorded size or digest: sending it could splice two versions."""


@dataclass(frozen=True)
class Representation:
    """A file as HTTP represents it.

    `size` is in bytes, `sha256` hex, `modified` seconds since the epoch. `filename` makes the response an attachment.
    `headers` are further fields; nginx passes on those that its template names. `accel` is the URI below `/_files/`
    under which nginx finds the file, None if the portal carries the bytes. `mutable`: the address may have another file
    tomorrow, so a range is answered only where the request says of which file it is a part; `lasting` is the URL where
    that never happens. `checked`: its digest is computed before it is sent, which suits small files that a cache asks
    for once.
    """

    path: Path
    size: int
    sha256: str
    modified: float
    content_type: str
    cache_control: str
    filename: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    accel: str | None = None
    mutable: bool = False
    lasting: str = ""
    checked: bool = False

    @property
    def etag(self) -> str:
        """The strong entity tag: equal in every worker, after every restart and on every host."""
        return f'"{self.sha256}"'

    @property
    def last_modified(self) -> int:
        """Whole seconds, never later than now (RFC 9110 section 8.8.2.1)."""
        return int(min(self.modified, time()))

    def fields(self) -> dict[str, str]:
        """The header fields of 200 and 206, Content-Length and Content-Range apart."""
        fields = {
            "Accept-Ranges": "bytes",
            "Cache-Control": self.cache_control,
            "Content-Type": self.content_type,
            "ETag": self.etag,
            "Last-Modified": http_date(self.last_modified),
            "Repr-Digest": f"sha-256=:{b64encode(bytes.fromhex(self.sha256)).decode()}:",
            **self.headers,
        }
        if self.filename is not None:
            fields["Content-Disposition"] = content_disposition(self.filename)
        return fields


def respond(request: BaseRequest, representation: Representation) -> HTTPResponse:
    """The answer to a GET or HEAD of a file: 200, 206, 304, 412, 416 or 428 (RFC 9110, RFC 9530, RFC 6585).

    412, 416 and 428 are `bottle.HTTPError`, so that the application's error handler writes their body; 416 carries
    Content-Range. What nginx is to carry says in X-File-Content-Length how much that is, in bytes.
    Raises FileNotFoundError, and DamagedFileError when the size on disk, or the digest, is not the recorded one.
    """
    status = representation.path.stat()
    _require_size(representation, status)
    conditions = {name: value for name in CONDITIONS if (value := request.get_header(name)) is not None}
    outcome = evaluate(conditions, representation.etag, representation.last_modified)
    if outcome is Outcome.NOT_MODIFIED:
        return HTTPResponse(
            status=304, headers={"ETag": representation.etag, "Cache-Control": representation.cache_control}
        )
    if outcome is Outcome.FAILED:
        return HTTPError(412, "The file does not meet the precondition of the request.")
    blind = representation.mutable and not (request.get_header("If-Range") or "if-match" in conditions)
    try:
        part = _range(request, representation)
    except UnsatisfiableError as error:
        return _condition_required(representation) if blind else _unsatisfiable(representation, str(error))
    if blind and part not in (None, ByteRange(0, representation.size)):
        return _condition_required(representation)
    if representation.accel and request.method == "GET" and _nginx_agrees(conditions, status):
        return _accelerated(representation, representation.accel, part)
    return _carried(request, representation, part)


def content_disposition(filename: str) -> str:
    """An attachment of that name (RFC 6266); a name beyond ASCII also in the form of RFC 8187."""
    if TOKEN.fullmatch(filename):
        return f"attachment; filename={filename}"
    plain = "".join(
        character if " " <= character <= "~" and character not in '"\\%/' else "_" for character in filename
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _range(request: BaseRequest, representation: Representation) -> ByteRange | None:
    wanted = request.get_header("Range")
    if wanted is None or request.method != "GET":  # section 14.2 defines Range for GET only
        return None
    if not range_applies(request.get_header("If-Range"), representation.etag, representation.last_modified):
        return None
    return parse(wanted, representation.size)


def _condition_required(representation: Representation) -> HTTPError:
    # wget takes even a 200 for the rest of the file that it has a part of (RFC 6585 section 3).
    way = f", or request it at {representation.lasting}" if representation.lasting else ""
    return HTTPError(
        428, f"The file at this URL changes with each publish: request a part with If-Range or If-Match{way}."
    )


def _unsatisfiable(representation: Representation, reason: str) -> HTTPError:
    error = HTTPError(416, reason)
    error.set_header("Content-Range", f"bytes */{representation.size}")
    return error


def _nginx_agrees(conditions: Mapping[str, str], status: os.stat_result) -> bool:
    """Whether nginx, which evaluates the preconditions of the client again, lets a request pass that passed here.

    It does not know the entity tag, so it fails every If-Match but `*`, and it compares If-Unmodified-Since with the
    time of the file. What it would refuse is rare, and the site bounds how many such requests are answered at once.
    """
    if conditions.get("if-match", "*").strip() != "*":
        return False
    since = conditions.get("if-unmodified-since")
    return since is None or (parse_date(since) or 0) >= int(status.st_mtime)


def _accelerated(representation: Representation, accel: str, part: ByteRange | None) -> HTTPResponse:
    # Under their own names nginx would drop some fields and keep others even on its own 404.
    response = HTTPResponse(headers={f"X-File-{name}": value for name, value in representation.fields().items()})
    response.set_header("Content-Type", representation.content_type)
    response.set_header("X-File-Content-Length", str(len(part) if part else representation.size))
    response.set_header("X-Accel-Redirect", RANGE + accel.removeprefix(WHOLE) if part else accel)
    return response


def _carried(request: BaseRequest, representation: Representation, part: ByteRange | None) -> HTTPResponse:
    size = representation.size
    response = HTTPResponse(status=206 if part else 200, headers=representation.fields())
    if part:
        response.set_header("Content-Range", part.content_range(size))
    sent = part or ByteRange(0, size)
    response.set_header("Content-Length", str(len(sent)))
    if request.method == "GET" and size:
        if representation.checked:
            _require_digest(representation)
        response.body = _Body(representation, sent)
    return response


def _require_digest(representation: Representation) -> None:
    with representation.path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != representation.sha256:
        raise DamagedFileError(f"{representation.path} has the SHA-256 {found}, not the recorded one")


def _require_size(representation: Representation, status: os.stat_result) -> None:
    if status.st_size != representation.size:
        raise DamagedFileError(
            f"{representation.path} has {status.st_size} bytes, not the recorded {representation.size}"
        )


class _Body:
    """The bytes of a response, read as the client takes them; a server calls `close` in the end (PEP 3333)."""

    def __init__(self, representation: Representation, part: ByteRange) -> None:
        self._part = part
        self._file = representation.path.open("rb", buffering=0)
        try:
            _require_size(representation, os.fstat(self._file.fileno()))
        except DamagedFileError:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(self._part.start)
        left = len(self._part)
        while left:
            chunk = self._file.read(min(CHUNK, left))
            if not chunk:  # the server then breaks the connection: the client sees a short body, never a wrong one
                raise DamagedFileError(f"{self._file.name} ended {left} bytes early while it was sent")
            left -= len(chunk)
            yield chunk

    def close(self) -> None:
        self._file.close()
