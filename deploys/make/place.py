"""Where a local store lies and listens: ROOT= and PORT=, checked before anything is installed."""

import os
import re
import tomllib
from pathlib import Path

ROOT = "var/mosis"
PORT = 8080
NOT_PLAIN = re.compile(r"[^\w./+@-]", re.ASCII)
PLAIN = "letters a-z, digits and . _ + @ - / only, because it stands in files of several formats"
SOCKET_PATH_MAX = 107  # bytes, sun_path of unix(7) without its final zero


def not_plain(path: str) -> str:
    """The characters of a path that the files of a deploy cannot hold, as an error shows them."""
    return " and ".join(repr(character) for character in dict.fromkeys(NOT_PLAIN.findall(path)))


def too_long(root: Path) -> bool:
    """Whether the path of the supervisor's socket below the root is longer than the kernel allows."""
    return len(os.fsencode(root / "run/supervisor.sock.1234567")) > SOCKET_PATH_MAX


def root_fault(root: Path) -> str | None:
    """Why a local store cannot lie there, None if it can."""
    if wrong := not_plain(str(root)):
        why = f"it contains {wrong}. A path may hold {PLAIN}"
    elif too_long(root):
        why = "it is too long for a Unix socket below it"
    else:
        return None
    return f"{str(root)!r} cannot be the store's directory: {why}. Choose another: make deploy ROOT=/some/plain/path"


def port_fault(port: str) -> str | None:
    """Why a store cannot listen there, None if it can."""
    if port.isascii() and port.isdigit() and 1 <= int(port) <= 65535:
        return None
    return f"{port!r} is not a TCP port: make deploy PORT=9000, at most 65535"


def kept_port(root: Path) -> int | None:
    """Where the store listens according to its settings file, None if it has none."""
    try:
        return int(tomllib.loads((root / "etc/mosis.toml").read_text()).get("port", PORT))
    except (OSError, ValueError):
        return None
