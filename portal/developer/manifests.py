"""Making a `manifest.json`, and raising the version in one."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from portal.faults import Fault
from portal.packages import manifest

Bump = Literal["major", "minor", "patch"]
NUMBERS = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def start(directory: Path, app_id: str, name: str, version_name: str = "1.0.0") -> Path:
    """Write the first manifest of an app. Raises PackageRejected, Fault if there is one, OSError."""
    document = {
        "manifest_version": 1,
        "id": app_id,
        "name": name,
        "version_name": version_name,
        "version_code": 1,
    }
    content = _bytes(document)
    manifest.parse(content)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / manifest.PATH
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise Fault(f"{path} exists already: edit it, or push with --bump to raise its version.") from None
    return path


@contextmanager
def bumped(directory: Path, part: Bump | None, at_least: int, *, keep: bool) -> Iterator[None]:
    """The manifest with a raised version_name, and a version_code of `at_least` or more; all else stays as written.

    Without `keep`, or if the block fails, it is as before afterwards. Raises PackageRejected, OSError.
    """
    path = directory / manifest.PATH
    if part is None:
        yield
        return
    before = path.read_bytes()
    path.write_bytes(_bumped(before, part, at_least))
    done = False
    try:
        yield
        done = keep
    finally:
        if not done:
            path.write_bytes(before)


def _bumped(text: bytes, part: Bump, at_least: int) -> bytes:
    old = manifest.parse(text)
    code, name = max(old.version_code + 1, at_least), _raised(old.version_name, part)
    changed = re.sub(rb'("version_code"\s*:\s*)\d+', rb"\g<1>%d" % code, text, count=1)
    changed = re.sub(rb'("version_name"\s*:\s*)"[^"]*"', rb'\g<1>"%s"' % name.encode(), changed, count=1)
    if manifest.parse(changed) == old.model_copy(update={"version_code": code, "version_name": name}):
        return changed
    return _bytes({**json.loads(text), "version_code": code, "version_name": name})  # the words occur elsewhere too


def _raised(version_name: str, part: Bump) -> str:
    numbers = NUMBERS.match(version_name)
    if numbers is None:
        return version_name
    major, minor, patch = map(int, numbers.groups())
    return {
        "major": f"{major + 1}.0.0",
        "minor": f"{major}.{minor + 1}.0",
        "patch": f"{major}.{minor}.{patch + 1}",
    }[part]


def _bytes(document: object) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False).encode(errors="surrogatepass") + b"\n"
