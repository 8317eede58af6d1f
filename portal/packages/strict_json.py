"""JSON that every parser reads alike (RFC 8259 and its stricter profile I-JSON, RFC 7493)."""

import json
import math
import re

from portal.packages.errors import quote

_TOKENS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|([\[{])|([\]}])', re.DOTALL)


class JsonRejected(ValueError):
    """A document is not strict JSON; the message is a predicate."""


def parse(data: bytes, *, max_bytes: int, max_depth: int = 32) -> object:
    """Parse a JSON document.

    Raises JsonRejected for invalid JSON, more than `max_bytes`, nesting deeper than `max_depth`, a byte order mark, a
    repeated name in one object, numbers that are not finite, and lone surrogates.
    """
    if len(data) > max_bytes:
        raise JsonRejected(f"is {len(data)} bytes long, more than the {max_bytes} allowed")
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise JsonRejected("starts with a byte order mark: save it as UTF-8 without one")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise JsonRejected(f"is not UTF-8: {error.reason} at byte {error.start}") from None
    if _depth(text) > max_depth:  # before the parser recurses
        raise JsonRejected(f"is nested deeper than {max_depth} levels")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_float=_finite, parse_constant=_finite)
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise JsonRejected(f"is not JSON: {error.msg.lower()} at line {error.lineno}, column {error.colno}") from None
    except UnicodeEncodeError:
        raise JsonRejected("contains a lone surrogate, which is not a character") from None
    except JsonRejected:
        raise
    except ValueError:  # Python's limit on the digits of an integer
        raise JsonRejected("contains an integer of thousands of digits") from None
    return value


def _depth(text: str) -> int:
    depth = deepest = 0
    for token in _TOKENS.finditer(text):
        if token[1]:
            depth += 1
            deepest = max(deepest, depth)
        elif token[2]:
            depth -= 1
    return deepest


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value: dict[str, object] = {}
    for name, member in pairs:
        if name in value:
            raise JsonRejected(f"has the name {quote(name, 100)} twice in one object")
        value[name] = member
    return value


def _finite(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        raise JsonRejected(f"contains {literal[:20]}, which is not a finite number")
    return number
