"""Why a package is refused."""

import json
from collections.abc import Iterable

MOST_REASONS = 100


class PackageRejected(ValueError):
    """A package, or a part of one, is refused; `errors` holds every reason, each one a sentence for its developer."""

    def __init__(self, errors: Iterable[str]) -> None:
        reasons = list(errors)
        more = len(reasons) - MOST_REASONS
        self.errors = reasons if more <= 0 else [*reasons[:MOST_REASONS], f"There are {more} more reasons."]
        super().__init__(" ".join(self.errors))


class SignatureInvalid(PackageRejected):
    """The signature is not that of the package's content by the given key."""


def quote(text: str | bytes, longest: int = 200) -> str:
    """`text` of an untrusted archive as ASCII between quotes, shortened: nothing in it can alter a terminal."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return json.dumps(text if len(text) <= longest else text[:longest] + "…")
