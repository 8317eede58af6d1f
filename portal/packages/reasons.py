"""Faults of entries as reasons: one sentence for each cause, however many entries have it."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from portal.packages.errors import quote

SHOWN = 4  # entries that a reason names

_NUMBERS = re.compile(r"\b(?:[0-9]+|[0-9a-f]{8})\b")


class Fault(NamedTuple):
    """What is wrong with the entry `path`, as a predicate; with the whole archive, as a sentence, where it is None."""

    path: str | None
    text: str


def sentences(faults: Iterable[Fault]) -> list[str]:
    """The reasons, in the order of their first entries. Faults that differ in numbers only have one cause."""
    causes: dict[str, dict[str | None, str]] = {}
    for path, text in faults:
        causes.setdefault(_NUMBERS.sub("#", text), {}).setdefault(path, text)
    return [_sentence(entries) for entries in causes.values()]


def _sentence(entries: dict[str | None, str]) -> str:
    (first, text), *others = entries.items()
    if first is None:
        return text
    likewise = [path for path, _ in others if path is not None]
    return f"{quote(first)} {text}." + (f" Likewise {listed(likewise, SHOWN - 1)}." if likewise else "")


def listed(paths: Sequence[str], most: int) -> str:
    """One or more paths as a sentence lists them: `most` of them, quoted, and how many more there are."""
    named = [quote(path) for path in paths[:most]]
    if more := len(paths) - len(named):
        named.append(f"{more} more")
    *first, last = named
    return f"{', '.join(first)} and {last}" if first else last
