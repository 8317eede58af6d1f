"""Texts that people read: one line, several, or the URL of a page; nothing in them is hidden or reorders the rest.

Joiners and direction marks are allowed: emoji, Persian and mixed scripts need them.
"""

import re
from typing import Annotated
from unicodedata import category

from pydantic import AfterValidator, Field, HttpUrl, TypeAdapter

from portal.printable import BLANK_LETTERS

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_HIDDEN = re.compile(r"[\xad\u180e\u200b\u2060-\u2064\ufeff\ufff9-\ufffb]")  # two names that look alike would differ
_BLANK_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})
_http_url = TypeAdapter(HttpUrl)


def _is_blank(value: str) -> bool:
    return all(character in BLANK_LETTERS or category(character) in _BLANK_CATEGORIES for character in value)


def _no_controls(value: str) -> str:
    if _CONTROLS.search(value):
        raise ValueError("must not contain control characters or text direction overrides")
    return value


def _not_blank(value: str) -> str:
    if _is_blank(value):
        raise ValueError("must not be blank")
    return value


def one_line(value: str) -> str:
    """The value, if it is a line that people can read. Raises ValueError."""
    _not_blank(value)
    if set(value) & set("\t\n\r"):
        raise ValueError("must be a single line")
    if _HIDDEN.search(value):
        raise ValueError("must not contain invisible characters")
    return _no_controls(value)


def _web_page(value: str) -> str:
    if re.search(r"\s", value):
        raise ValueError("must not contain spaces")
    _http_url.validate_python(value)
    return one_line(value)


Name = Annotated[
    str,
    Field(
        min_length=1, max_length=100,
        description="1 to 100 characters in one line, at least one of them visible, none a control character",
    ),
    AfterValidator(one_line),
]  # fmt: skip
Line = Annotated[str, Field(max_length=200), AfterValidator(one_line)]
Description = Annotated[str, Field(max_length=10_000), AfterValidator(_no_controls)]
Changelog = Annotated[str, Field(max_length=20_000), AfterValidator(_no_controls)]
Note = Annotated[str, Field(max_length=2000), AfterValidator(_no_controls)]
Explanation = Annotated[Note, AfterValidator(_not_blank)]
"""A note that says something."""
WebPage = Annotated[str, Field(max_length=2000), AfterValidator(_web_page)]
