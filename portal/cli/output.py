"""What a command prints. All of it passes `plain`, since much of it quotes people who must not control a terminal."""

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Protocol, TextIO, TypeVar

from portal.printable import printable

V = TypeVar("V", bound="_Coded")
KEPT = "\n\t"  # the form of our own output


class _Coded(Protocol):
    @property
    def version_code(self) -> int | None: ...


class _Plain(io.TextIOWrapper):
    """A stream that escapes what could control a terminal, and what the locale cannot write."""

    def __init__(self, beneath: io.TextIOWrapper) -> None:
        super().__init__(
            beneath.buffer, beneath.encoding, "backslashreplace", "",
            line_buffering=beneath.line_buffering, write_through=beneath.write_through,
        )  # fmt: skip
        self.beneath = beneath

    def write(self, text: str, /) -> int:
        super().write(printable(text, KEPT))
        return len(text)

    def isatty(self) -> bool:
        return self.beneath.isatty()


@contextmanager
def plain() -> Iterator[None]:
    """Standard output and error are plain text within the block."""
    with ExitStack() as streams:
        for stream, redirect in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
            if isinstance(stream, io.TextIOWrapper):
                wrapped = _Plain(stream)
                streams.callback(wrapped.detach)  # the stream beneath is still open for what comes later
                streams.enter_context(redirect(wrapped))
        yield


def beneath(stream: TextIO) -> TextIO:
    """The stream itself, for what draws on the terminal with text of ours only."""
    return stream.beneath if isinstance(stream, _Plain) else stream


def line(*parts: object) -> None:
    """Print one line, whatever the parts contain."""
    print(printable(" ".join(map(str, parts))))


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows: aligned below their heads on a terminal; elsewhere fields between tabs, without heads."""
    cells = (["-" if value is None else printable(str(value)) for value in row] for row in rows)
    if not sys.stdout.isatty():
        for row in cells:  # of which there may be millions
            print("\t".join(row))
        return
    shown = [[head.upper() for head in heads], *cells]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown if len(shown) > 1 else ():
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def newest_first(versions: Iterable[V]) -> list[V]:
    """In the order of the version codes; a package that failed before its code was known comes first."""
    return sorted(versions, key=lambda version: version.version_code or sys.maxsize, reverse=True)
