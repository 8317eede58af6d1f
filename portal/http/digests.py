"""Digests that a request carries of its own body, verified while the body is read.

Content-Digest and Repr-Digest are defined in RFC 9530; as the portal accepts no content coding, both cover the bytes
that arrive.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

from bottle import BaseRequest

from portal.store.errors import Refused

FIELDS = ("Content-Digest", "Repr-Digest")
ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512"}
ENTRY = re.compile(r"[ \t]*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):[ \t]*")


class Input(Protocol):
    """The part of `wsgi.input` that the portal uses."""

    def read(self, size: int, /) -> bytes: ...


@dataclass
class Check:
    """The digest that the body must have, and the refusal otherwise."""

    algorithm: str
    expected: bytes
    refusal: Refused
    _hash: Any = field(init=False)

    def __post_init__(self) -> None:
        self._hash = hashlib.new(self.algorithm)

    def update(self, chunk: bytes) -> None:
        self._hash.update(chunk)

    def require(self) -> None:
        if not hmac.compare_digest(self._hash.digest(), self.expected):
            raise self.refusal


class CheckedInput:
    """An input whose last read raises Refused if the body fails a check."""

    def __init__(self, source: Input, length: int, checks: list[Check]) -> None:
        """`length` is in bytes, -1 if it is unknown."""
        self._source = source
        self._left = length
        self._checks = checks

    def read(self, size: int, /) -> bytes:
        chunk = self._source.read(size)
        for check in self._checks:
            check.update(chunk)
        self._left -= len(chunk) if self._left > 0 else 0
        if not chunk or self._left == 0:
            self.require()
        return chunk

    def require(self) -> None:
        for check in self._checks:
            check.require()


def guard(request: BaseRequest) -> None:
    """Verify the body against the digests of the request as it is read. Raises Refused (INVALID_REQUEST)."""
    checks = [check for name in FIELDS for check in _checks(name, request.get_header(name))]
    if checks:
        check_body(request, checks)


def check_body(request: BaseRequest, checks: list[Check]) -> None:
    """Apply the checks to the body as it is read."""
    checked = CheckedInput(request.environ["wsgi.input"], request.content_length, checks)
    if request.content_length == 0:
        checked.require()
    request.environ["wsgi.input"] = checked


def is_checked(request: BaseRequest) -> bool:
    """Whether the body may still be refused at its end."""
    return isinstance(request.environ["wsgi.input"], CheckedInput)


def decode(text: str, name: str) -> bytes:
    """Base64 of the field `name`. Raises Refused (INVALID_REQUEST)."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # also of a character beyond ASCII
        raise Refused("INVALID_REQUEST", f"{name} is not base64.") from None


def _checks(name: str, value: str | None) -> list[Check]:
    """Unknown algorithms are ignored (RFC 9530 section 2), and the last of equal keys counts (RFC 9651 section 3.2):
    the body is hashed once per algorithm, however many digests the field lists.
    """
    found = {}
    for entry in (value or "").split(",") if value else ():
        match = ENTRY.fullmatch(entry)
        if match is None:
            raise Refused("INVALID_REQUEST", f"{name} is not of the form sha-256=:base64:.")
        if match[1] in ALGORITHMS:
            refusal = Refused("DIGEST_MISMATCH", f"The {match[1]} of the body does not match {name}.")
            found[match[1]] = Check(ALGORITHMS[match[1]], decode(match[2], name), refusal)
    return list(found.values())
