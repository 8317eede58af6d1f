"""The wheels of the lock file for a host that reaches no package index, downloaded once."""

import hashlib
import os
import platform
import shutil
import sys
from pathlib import Path

from tests.hosts.shell import Say, run

PYTHON = "3.11"  # Debian 12's
GLIBC = 36  # Debian 12 has glibc 2.36: any wheel built for that or an older one runs


def wheelhouse(lock: Path, cache: Path, say: Say) -> Path:
    """A directory with every wheel of `lock`, each checked against its hash. Raises CommandError."""
    done = cache / f"wheels-{hashlib.sha256(lock.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]}"
    if not done.is_dir():
        say(f"downloading the wheels of {lock.name} to {done}")
        partial = done.with_suffix(f".{os.getpid()}")
        names = (*(f"manylinux_2_{minor}" for minor in range(GLIBC, 4, -1)), "manylinux2014")
        try:
            run(
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "-r", lock),
                *("--only-binary", ":all:", "--implementation", "cp", "--python-version", PYTHON, "-d", partial),
                *(word for name in names for word in ("--platform", f"{name}_{platform.machine()}")),
            )
            partial.rename(done)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return done
