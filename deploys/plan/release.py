"""One build of this checkout: a wheel and the lock of everything it needs."""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deploys.plan.data import PlanError
from deploys.plan.paths import HOME
from deploys.plan.render import CHECKOUT, digest


@dataclass(frozen=True)
class Release:
    """A wheel and the lock of everything it needs; the same inputs give the same `id` on every machine."""

    id: str
    wheel: Path
    lock: Path

    @property
    def path(self) -> str:
        """Directory of the release on a host."""
        return f"{HOME}/releases/{self.id}"


@cache
def build(checkout: Path = CHECKOUT) -> Release:
    """Build the wheel of `checkout` into its cache. Raises PlanError."""
    lock = checkout / "requirements/portal.lock"
    cache_dir = checkout / ".cache/wheels"
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir) as scratch:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", scratch]
        built = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
        if built.returncode:
            raise PlanError(f"The wheel of this checkout cannot be built: {built.stderr.strip().splitlines()[-1]}.")
        (fresh,) = Path(scratch).glob("*.whl")
        identity = hashlib.sha256(fresh.read_bytes() + lock.read_bytes()).hexdigest()[:12]
        wheel = cache_dir / identity / fresh.name
        wheel.parent.mkdir(exist_ok=True)
        fresh.replace(wheel)
    return Release(identity, wheel, lock)


def wheelhouse_tar(wheelhouse: Path) -> Path:
    target = CHECKOUT / ".cache" / f"wheelhouse-{digest(str(wheelhouse))}.tar"
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as scratch:
        with tarfile.open(fileobj=scratch, mode="w") as tar:
            for wheel in sorted(wheelhouse.glob("*.whl")):
                tar.add(wheel, wheel.name)
        Path(scratch.name).replace(target)
    return target
