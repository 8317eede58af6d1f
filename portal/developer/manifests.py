"""Making a `manifest.json`, and raising the version in one."""

import json
import re
from pathlib import Path
from typing import Literal

from portal.faults import Fault
from portal.packages import manifest
from portal.packages.manifest import Manifest

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


def bump(directory: Path, part: Bump, at_least: int) -> Manifest:
    """Raise version_name and version_code in the manifest, the code to `at_least` or more; all else stays as written.

    Raises PackageRejected, OSError.
    """
    path = directory / manifest.PATH
    text = path.read_bytes()
    old = manifest.parse(text)
    code, name = max(old.version_code + 1, at_least), _raised(old.version_name, part)
    changed = re.sub(rb'("version_code"\s*:\s*)\d+', rb"\g<1>%d" % code, text, count=1)
    changed = re.sub(rb'("version_name"\s*:\s*)"[^"]*"', rb'\g<1>"%s"' % name.encode(), changed, count=1)
    expected = old.model_copy(update={"version_code": code, "version_name": name})
    if manifest.parse(changed) != expected:  # the words occur elsewhere too, in another order
        changed = _bytes({**json.loads(text), "version_code": code, "version_name": name})
    path.write_bytes(changed)
    return expected


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
