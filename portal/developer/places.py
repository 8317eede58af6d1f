"""Where a developer's files are (XDG Base Directory Specification)."""

import os
from pathlib import Path


def config() -> Path:
    """The directory of credentials and of the signing key."""
    return _base("XDG_CONFIG_HOME", ".config")


def cache() -> Path:
    """The directory of what may be lost: the uploads that a later command can continue."""
    return _base("XDG_CACHE_HOME", ".cache")


def _base(variable: str, default: str) -> Path:
    named = Path(os.environ.get(variable, ""))
    return (named if named.is_absolute() else Path.home() / default) / "mosis"
