"""What of a directory is left out of a package: earlier packages, version control, what `.mosisignore` names."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

PATH = ".mosisignore"
ALWAYS = (PATH, "*.mosis", ".git", ".hg", ".svn", ".gitignore")


@dataclass(frozen=True)
class Ignored:
    """Patterns of names (`*.log`), or of paths below the directory where they contain a slash (`docs/*.txt`)."""

    patterns: tuple[str, ...] = ALWAYS

    def matches(self, path: str) -> bool:
        """Whether the file or directory at `path`, relative and with slashes, is left out."""
        name = path.rpartition("/")[2]
        return any(fnmatchcase(path if "/" in pattern else name, pattern.lstrip("/")) for pattern in self.patterns)


def of(directory: Path) -> Ignored:
    """What is left out of a package of `directory`. Raises OSError, UnicodeDecodeError."""
    try:
        lines: Iterable[str] = (directory / PATH).read_text("utf-8").splitlines()
    except FileNotFoundError:
        lines = ()
    named = (line.strip().removesuffix("/") for line in lines)
    return Ignored((*ALWAYS, *(pattern for pattern in named if pattern and not pattern.startswith("#"))))
