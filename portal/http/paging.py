"""Pages of lists that can grow without end: `?limit=`, `?cursor=`, and `cursor` in an answer before the last one."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from bottle import BaseRequest

from portal.store.errors import Refused
from portal.store.pages import Page

QUERY = ("limit", "cursor")
MOST = 500  # rows of an answer, and how many there are unless the request says
MOST_VERSIONS = 100  # each with its manifest in the portal's memory
CURSOR_MAX = 1000  # characters
INVALID = "The cursor is invalid: use the one that the previous page returned."

T = TypeVar("T")


def requested(request: BaseRequest, *kinds: type, most: int = MOST) -> Page:
    """The page that is asked for, and one row more; `kinds` are the types of a row's key.

    Raises Refused (INVALID_REQUEST).
    """
    text = request.query.limit or str(most)
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise Refused("INVALID_REQUEST", f"limit must be a number from 1 to {most}.")
    return Page(_key(request.query.cursor, kinds), int(text) + 1)


def split(found: Sequence[T], page: Page, key: Callable[[T], tuple[int | str, ...]]) -> tuple[Sequence[T], str | None]:
    """The rows of the page, and the cursor of the next one."""
    shown = found[: page.limit - 1]
    return shown, _cursor(key(shown[-1])) if len(found) == page.limit else None


def _cursor(key: tuple[int | str, ...]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def _key(cursor: str, kinds: tuple[type, ...]) -> tuple[int | str, ...]:
    if not cursor:
        return ()
    try:
        if len(cursor) > CURSOR_MAX:
            raise ValueError
        key = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
        if [type(part) for part in key] != list(kinds) or any(abs(n) >= 1 << 63 for n in key if isinstance(n, int)):
            raise ValueError
        "".join(part for part in key if isinstance(part, str)).encode()  # half of a surrogate pair is no text to SQLite
    except (ValueError, TypeError, RecursionError):
        raise Refused("INVALID_REQUEST", INVALID) from None
    return tuple(key)
