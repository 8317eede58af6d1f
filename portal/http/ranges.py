"""Byte ranges (RFC 9110 section 14): parsing, defence against amplification, and the multipart frame."""

import re
from dataclasses import dataclass
from secrets import token_hex

MAX_RANGES = 16
"""Most ranges in one request; a client that asks for more gets the whole file (section 14.2 allows it)."""

SPEC = re.compile(r"([0-9]{1,1000})-([0-9]{0,1000})|-([0-9]{1,1000})")


class UnsatisfiableError(ValueError):
    """Well-formed ranges of which none lies within the file: 416."""


@dataclass(frozen=True)
class ByteRange:
    """Bytes `start` up to but not including `stop`."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def parse(field: str, size: int) -> list[ByteRange]:
    """The ranges of a Range field for a file of `size` bytes, clamped to it; those that touch are one.

    Empty means that the field is to be ignored: an unknown unit, bad syntax, too many ranges or an empty file.
    Raises UnsatisfiableError.
    """
    unit, _, specs = field.partition("=")
    items = [item for item in (item.strip() for item in specs.split(",")) if item]
    if unit.strip().lower() != "bytes" or not items or len(items) > MAX_RANGES or not size:
        return []
    ranges: list[ByteRange] = []
    for item in items:
        spec = SPEC.fullmatch(item)
        if spec is None:
            return []
        first, last, suffix = spec.groups()
        if suffix is not None:
            start, stop = max(0, size - int(suffix)), size
        else:
            start, stop = int(first), min(size, int(last) + 1) if last else size
            if last and int(last) < int(first):
                return []
        if start < stop:
            ranges = _join(ranges, ByteRange(start, stop))
    if not ranges:
        raise UnsatisfiableError(f"no range of {field!r} lies within the {size} bytes of the file")
    return ranges


def multipart(ranges: list[ByteRange], size: int, content_type: str) -> tuple[str, list[bytes | ByteRange]]:
    """A multipart/byteranges body (RFC 9110 section 14.6): its Content-Type, and its pieces, literal or of the file."""
    boundary = token_hex(16)
    pieces: list[bytes | ByteRange] = []
    for part in ranges:
        head = f"Content-Type: {content_type}\r\nContent-Range: {part.content_range(size)}"
        pieces += [f"\r\n--{boundary}\r\n{head}\r\n\r\n".encode("latin-1"), part]
    pieces.append(f"\r\n--{boundary}--\r\n".encode())
    return f"multipart/byteranges; boundary={boundary}", pieces


def _join(ranges: list[ByteRange], new: ByteRange) -> list[ByteRange]:
    touching = [old for old in ranges if old.start <= new.stop and new.start <= old.stop]
    start = min(part.start for part in (new, *touching))
    stop = max(part.stop for part in (new, *touching))
    return [old for old in ranges if old not in touching] + [ByteRange(start, stop)]
