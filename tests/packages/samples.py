"""Real packages for tests: signed, filled with the files of installed distributions."""

import json
import sysconfig
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.packages import build
from portal.packages.package import Package

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MIB = 1024 * 1024
APP_ID = "org.example.reader"


def manifest(**changes: object) -> dict[str, object]:
    """A valid manifest, with `changes`; None takes a key away."""
    fields = {
        "manifest_version": 1,
        "id": APP_ID,
        "name": "Reader",
        "version_name": "1.0.0",
        "version_code": 1,
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


@cache
def installed_files() -> tuple[Path, ...]:
    """Regular files of the installed distributions, in a fixed order."""
    root = Path(sysconfig.get_path("purelib"))
    found = (path for path in root.rglob("*") if "__pycache__" not in path.parts)
    return tuple(sorted(path for path in found if path.is_file() and not path.is_symlink()))


def payload(size: int) -> Iterator[tuple[str, bytes]]:
    """Paths and contents of installed files, `size` bytes of them in all."""
    root = Path(sysconfig.get_path("purelib"))
    for path in installed_files():
        if size <= 0:
            return
        with path.open("rb") as file:
            content = file.read(size)  # the first one has megabytes
        size -= len(content)
        yield f"files/{path.relative_to(root).as_posix()}", content


def make_package(
    path: Path,
    app_id: str = APP_ID,
    version_code: int = 1,
    version_name: str = "1.0.0",
    key: Ed25519PrivateKey = KEY,
    payload_bytes: int = 10_000,
    **described: object,
) -> Package:
    """Write a signed package of about `payload_bytes` to `path`; at 50 MiB it stays just below the limit.

    `described` is what else its manifest has.
    """
    fields = manifest(id=app_id, version_code=version_code, version_name=version_name, **described)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(fields))
        for name, content in payload(min(payload_bytes, 49 * MIB)):
            archive.writestr(name, content)
    return build.sign(path, key)
