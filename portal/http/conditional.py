"""Conditional requests: validators, dates and the order of preconditions (RFC 9110, sections 8.8 and 13)."""

import re
from calendar import timegm
from collections.abc import Mapping
from contextlib import suppress
from email.utils import formatdate
from enum import Enum
from time import strptime

ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
DATE_FORMATS = (  # RFC 9110 section 5.6.7: the current form and the two obsolete ones that a recipient must accept
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S %Y",
)


class Outcome(Enum):
    """The result of the preconditions."""

    PROCEED = "proceed"
    NOT_MODIFIED = "not modified"
    FAILED = "precondition failed"


def http_date(seconds: int) -> str:
    """The IMF-fixdate of seconds since the epoch."""
    return formatdate(seconds, usegmt=True)


def parse_date(value: str | None) -> int | None:
    """Seconds since the epoch; None if it is not an HTTP-date, as RFC 9110 ignores such a field."""
    text = (value or "").strip()
    for form in DATE_FORMATS:
        with suppress(ValueError):
            return timegm(strptime(text, form))
    return None


def evaluate(fields: Mapping[str, str], etag: str, modified: int) -> Outcome:
    """The preconditions of a GET or HEAD in the order of RFC 9110 section 13.2.2, If-Range apart.

    `fields` maps lower-case names, `etag` is a strong entity tag, `modified` the Last-Modified date in seconds.
    """
    unmodified_since = parse_date(fields.get("if-unmodified-since"))
    modified_since = parse_date(fields.get("if-modified-since"))
    if (if_match := fields.get("if-match")) is not None:
        if not _lists(if_match, etag, weak=False):
            return Outcome.FAILED
    elif unmodified_since is not None and modified > unmodified_since:
        return Outcome.FAILED
    if (if_none_match := fields.get("if-none-match")) is not None:
        if _lists(if_none_match, etag, weak=True):
            return Outcome.NOT_MODIFIED
    elif modified_since is not None and modified <= modified_since:
        return Outcome.NOT_MODIFIED
    return Outcome.PROCEED


def range_applies(if_range: str | None, etag: str, modified: int) -> bool:
    """Whether Range applies: no If-Range, the same strong entity tag, or exactly the date (section 13.1.5)."""
    if if_range is None:
        return True
    return if_range.strip() == etag or parse_date(if_range) == modified


def _lists(field: str, etag: str, *, weak: bool) -> bool:
    if field.strip() == "*":
        return True
    if ENTITY_TAG.sub("", field).strip(" \t,"):  # not a list of entity tags: it names none
        return False
    tags = ENTITY_TAG.findall(field)
    return etag in tags or (weak and f"W/{etag}" in tags)
