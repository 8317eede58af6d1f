"""Why a signature does not match: what a signer is likely to have left out, else what was compared."""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from portal.packages import signature
from portal.packages.errors import SignatureInvalid
from portal.packages.reasons import listed

SHOWN = 5  # entries that a reason names

_BEGIN = "The signature does not match the signed content"


class _Omission(NamedTuple):
    """Entries that tools add to an archive after its files were signed."""

    what: str
    is_left_out: Callable[[str], bool]
    remedy: str


_OMISSIONS = (
    _Omission(
        "directories",
        lambda path: path.endswith("/"),
        "A directory is an entry too: list it in the statement, or pack without directories (`zip -D`).",
    ),
    _Omission(
        "files in META-INF",
        lambda path: path.startswith("META-INF/") and not path.endswith("/"),
        "List them in the statement, or pack without them (`jar --no-manifest`).",
    ),
    _Omission(
        "directories and files in META-INF",
        lambda path: path.startswith("META-INF/") or path.endswith("/"),
        "List them in the statement, or pack without them (`zip -D`, not `jar`).",
    ),
)


def reason(public_key: bytes, encoded: str, statement: bytes) -> str:
    """Why `encoded` (base64) is no signature of `public_key` (32 raw bytes) over `statement`, with the remedy."""
    lines = statement.splitlines(keepends=True)
    head, entries = lines[: signature.HEADER_LINES], lines[signature.HEADER_LINES :]
    for omission in _OMISSIONS:
        left_out = [path for path in map(_path, entries) if omission.is_left_out(path)]
        signed = b"".join([*head, *(line for line in entries if not omission.is_left_out(_path(line)))])
        if left_out and _holds(public_key, encoded, signed):
            return f"{_BEGIN}: it holds without the {omission.what} {listed(left_out, SHOWN)}. {omission.remedy}"
    return (
        f"{_BEGIN}: the statement of this package has {len(lines)} lines and the SHA-256"
        f" {hashlib.sha256(statement).hexdigest()}. Compare it with yours (`mosis statement` prints it), or sign again"
        " as the last step."
    )


def _holds(public_key: bytes, encoded: str, statement: bytes) -> bool:
    try:
        signature.verify(public_key, encoded, statement)
    except SignatureInvalid:
        return False
    return True


def _path(line: bytes) -> str:
    return line.decode().removesuffix("\n").split("  ", 2)[2]
