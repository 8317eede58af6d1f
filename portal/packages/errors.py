"""Errors of packages."""

import json
from collections.abc import Iterable

MOST_REASONS = 100


class PackageRejected(ValueError):
    """A package or part of one is invalid; `errors` lists every reason, each a sentence for the developer."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = bounded(list(errors))
        super().__init__(" ".join(self.errors))


class SignatureInvalid(PackageRejected):
    """The signature does not verify with the given key."""


def bounded(reasons: list[str]) -> list[str]:
    """At most MOST_REASONS of the reasons, and how many more there are."""
    more = len(reasons) - MOST_REASONS
    return reasons if more <= 0 else [*reasons[:MOST_REASONS], f"There are {more} more reasons."]


def quote(text: str | bytes, longest: int = 200) -> str:
    """Quote untrusted `text` as ASCII, truncated to `longest` characters, so that it cannot control a terminal."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return json.dumps(text if len(text) <= longest else text[:longest] + "…")
