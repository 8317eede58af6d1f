"""Text of developers and numbers, as people read them. All of it is hostile until it is escaped here or by Jinja."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import urlsplit
from zlib import crc32

from markdown_it import MarkdownIt
from markupsafe import Markup

from portal.store.clock import rfc3339

NOTES_MAX = 4000  # characters: what is longer is cut before it is parsed
HUES = 8  # of tiles for apps without an icon
NOT_XML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")
"""What neither HTML nor XML may contain."""

_markdown = MarkdownIt("zero").enable(["list", "emphasis", "backticks", "newline"])  # no HTML, no link, no image


@lru_cache(maxsize=512)
def notes(text: str) -> Markup:
    """Notes of a version: paragraphs, lists, emphasis and code of Markdown; everything else is shown as it is."""
    shown = text if len(text) <= NOTES_MAX else f"{text[:NOTES_MAX].rstrip()} …"
    return Markup(_markdown.render(shown))  # noqa: S704 -- the renderer escapes all text


def inline(text: str) -> Markup:
    """A sentence of ours, with code between backticks."""
    return Markup(_markdown.renderInline(text))  # noqa: S704 -- the renderer escapes all text


def command(text: str) -> Markup:
    """A command whose lines end between words only: `--from` is not read as `-` and `-from`."""
    return Markup(" ").join(Markup('<span class="word">{}</span>').format(word) for word in text.split(" "))


def date(at: int) -> Markup:
    """Seconds since 1970 as a day in UTC."""
    day = datetime.fromtimestamp(at, UTC)
    return Markup('<time datetime="{}">{}</time>').format(rfc3339(at), f"{day.day} {day:%b %Y}")


def moment(at: int) -> Markup:
    """Seconds since 1970 as a day and a time in UTC."""
    then = datetime.fromtimestamp(at, UTC)
    return Markup('<time datetime="{}">{}</time>').format(rfc3339(at), f"{then.day} {then:%b %Y, %H:%M} UTC")


def seconds(number: float) -> str:
    """A duration, in milliseconds below a second."""
    if number < 0.9995:
        return f"{number * 1000:.{0 if number >= 0.01 else 1}f} ms"
    return f"{number:.{0 if number >= 10 else 1}f} s"


def period(number: float) -> str:
    """Seconds in the largest unit that divides them, such as `26 hours`."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if number % length == 0 and (number > length or unit != "day"):
            count = int(number // length)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{number:g} seconds"


def web_page(url: object) -> str | None:
    """The URL if it is one of http or https with a host, so that no script hides behind a link."""
    if not isinstance(url, str):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.hostname else None


def host(url: str) -> str:
    """The host name of a URL."""
    return urlsplit(url).hostname or ""


def initial(name: str) -> str:
    """The letter on the tile of an app without an icon."""
    return next((letter.upper() for letter in name if letter.isalnum()), "•")


def hue(app_id: str) -> int:
    """The colour of that tile."""
    return crc32(app_id.encode()) % HUES


def clean(document: str) -> str:
    """The document without characters that neither HTML nor XML may contain."""
    return NOT_XML.sub("\ufffd", document)
