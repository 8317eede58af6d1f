"""`python -m deploys.make.advisories`: known advisories about what hosts and the operator's machine install.

Exit status: 0 none is known, or no database of advisories can be reached, which is then printed; 1 there is one.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
LOCK = "requirements/operator.lock"  # which has everything of portal.lock
SECONDS_MAX = 120  # of a database that answers slowly
SECONDS_OF_ANSWER = 5


def main() -> int:
    found = asked(CHECKOUT / LOCK)
    print("\n".join(report(found)))
    return 1 if any(package.get("vulns") for package in found) else 0


def asked(lock: Path) -> list[dict[str, Any]]:
    """What pip-audit answers about each package; nothing without a network."""
    command: list[str | Path] = [
        Path(sys.executable).with_name("pip-audit"), "--requirement", lock, "--disable-pip", "--require-hashes",
        "--format", "json", "--progress-spinner", "off", "--timeout", str(SECONDS_OF_ANSWER),
    ]  # fmt: skip
    try:
        ran = subprocess.run(command, capture_output=True, timeout=SECONDS_MAX, check=False)
        packages: list[dict[str, Any]] = json.loads(ran.stdout)["dependencies"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError):
        return []
    return packages


def report(packages: list[dict[str, Any]]) -> list[str]:
    """A line per advisory, and one about all."""
    checked = [package for package in packages if "vulns" in package]
    lines = [
        f"{package['name']} {package['version']}: {advisory['id']}, fixed in {', '.join(advisory['fix_versions'])}"
        for package in checked
        for advisory in package["vulns"]
    ]
    if not checked:
        return [f"Advisories about {LOCK}: not checked, no database of them can be reached."]
    skipped = f"; {len(packages) - len(checked)} could not be checked" if len(checked) < len(packages) else ""
    return [*lines, f"Advisories about {LOCK}: {len(lines)} for {len(checked)} packages{skipped}."]


if __name__ == "__main__":
    sys.exit(main())
