"""Errors of packages."""

import json
from collections.abc import Iterable

from portal.printable import BLANK_LETTERS

MOST_REASONS = 100


class PackageRejected(ValueError):
    """A package or part of one is invalid; `errors` lists every reason, each a sentence for the developer.

    `remedies` are further sentences, for people who have the file itself.
    """

    def __init__(self, errors: Iterable[str], remedies: Iterable[str] = ()) -> None:
        self.errors, self.remedies = bounded(list(errors)), list(remedies)
        super().__init__(" ".join(self.errors))


class SignatureInvalid(PackageRejected):
    """The signature does not verify with the given key."""


def bounded(reasons: list[str]) -> list[str]:
    """At most MOST_REASONS of the reasons, and how many more there are."""
    more = len(reasons) - MOST_REASONS
    return reasons if more <= 0 else [*reasons[:MOST_REASONS], f"There are {more} more reasons."]


def quote(text: str | bytes, longest: int = 200) -> str:
    """Quote untrusted `text` as JSON, truncated to `longest` characters: readable in every script.

    What is invisible, reorders text or controls a terminal is escaped.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    quoted = json.dumps(text if len(text) <= longest else text[:longest] + "…", ensure_ascii=False)
    if quoted.isprintable() and BLANK_LETTERS.isdisjoint(quoted):
        return quoted
    return "".join(
        character if character.isprintable() and character not in BLANK_LETTERS else json.dumps(character)[1:-1]
        for character in quoted
    )
