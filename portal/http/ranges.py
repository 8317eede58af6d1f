"""One byte range per request (RFC 9110 section 14).

A request for several ranges gets the whole file, which section 14.2 allows. Downloaders ask for one, and nginx can send
it; a multipart answer would have to pass through the portal, where a slow client holds a thread.
"""

import re
from dataclasses import dataclass

LARGEST = 2**63 - 1
"""nginx answers 416 to a range with a larger number, so that range is ignored instead."""

RANGE = re.compile(r"bytes=(?:([0-9]{1,1000})-([0-9]{0,1000})|-([0-9]{1,1000}))", re.IGNORECASE)


class UnsatisfiableError(ValueError):
    """A well-formed range that does not overlap the file: 416."""


@dataclass(frozen=True)
class ByteRange:
    """Bytes `start` up to but not including `stop`."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def parse(value: str, size: int) -> ByteRange | None:
    """The range of a Range header for a file of `size` bytes, clamped to it.

    None means that the header is to be ignored: an unknown unit, bad syntax, several ranges or an empty file.
    Raises UnsatisfiableError.
    """
    match = RANGE.fullmatch(value)
    if match is None or not size:
        return None
    first, last, suffix = match.groups(default="")
    if max(int(last or 0), int(suffix or 0)) > LARGEST or (last and int(last) < int(first)):
        return None
    start = max(0, size - int(suffix)) if suffix else int(first)
    stop = min(size, int(last) + 1) if last else size
    if start >= stop:
        raise UnsatisfiableError(f"{value!r} does not overlap the {size} bytes of the file")
    return ByteRange(start, stop)
