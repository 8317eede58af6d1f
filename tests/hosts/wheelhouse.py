"""The wheels of the lock file for a host that reaches no package index, downloaded once."""

import hashlib
import platform
import sys
from pathlib import Path

from tests.hosts.rootfs import built, cache_folder
from tests.hosts.shell import Say, run

PYTHON = "3.11"  # Debian 12's
GLIBC = 36  # Debian 12 has glibc 2.36: any wheel built for that or an older one runs


def wheelhouse(checkout: Path, say: Say) -> Path:
    """A directory with what hosts install from `checkout`, each wheel checked against its hash. Raises CommandError."""
    lock = checkout / "requirements/portal.lock"
    done = cache_folder() / f"wheels-{hashlib.sha256(lock.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]}"
    return built(f"the wheelhouse of {lock.name}", done, say, lambda partial: _download(lock, partial))


def _download(lock: Path, directory: Path) -> None:
    names = (*(f"manylinux_2_{minor}" for minor in range(GLIBC, 4, -1)), "manylinux2014")
    run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "-r", lock),
        *("--only-binary", ":all:", "--implementation", "cp", "--python-version", PYTHON, "-d", directory),
        *(word for name in names for word in ("--platform", f"{name}_{platform.machine()}")),
    )
