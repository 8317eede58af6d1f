"""Root file systems, each built once and kept in a cache folder; here a plain Debian server."""

import fcntl
import hashlib
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.shell import Say, run

OPERATOR = "admin"


@dataclass(frozen=True)
class Recipe:
    """What a host starts with. `cached` and `cached_lean` are groups of packages that apt holds ready but uninstalled,
    with and without their recommendations: a host without a route out installs them from /var/cache/apt/archives."""

    suite: str
    installed: tuple[str, ...]
    cached: tuple[str, ...]
    cached_lean: tuple[str, ...]

    def key(self) -> str:
        """Name of the cache entry: it changes with the recipe and with the steps below that follow it."""
        steps = Path(__file__).read_bytes()
        return hashlib.sha256(f"{self!r} {platform.machine()}".encode() + steps).hexdigest()[:16]


SERVER = Recipe(
    suite="bookworm",
    installed=(
        *("systemd", "systemd-sysv", "dbus", "libpam-systemd"),
        *("openssh-server", "sudo", "python3", "iproute2", "procps", "netbase"),
    ),
    cached=(
        *("nginx-light", "cron", "rsync", "python3-venv", "ca-certificates"),
        *("curl", "sqlite3", "logrotate", "acl", "attr"),
    ),
    cached_lean=("prometheus", "certbot"),
)


def cache_folder() -> Path:
    """Where downloads stay between runs: `MOSIS_TEST_CACHE`, else `~/.cache/mosis-test-hosts`."""
    return Path(os.environ.get("MOSIS_TEST_CACHE", Path.home() / ".cache" / "mosis-test-hosts"))


def base(recipe: Recipe, cache: Path, say: Say) -> Path:
    """The directory of the built `recipe`, never written to again. Raises CommandError, LookupError."""
    return built(f"the Debian {recipe.suite} base", cache / recipe.key(), say, lambda root: _server(recipe, root))


def built(what: str, done: Path, say: Say, build: Callable[[Path], None]) -> Path:
    """The cache entry `done`; `build` makes it in a path beside it if it is missing, for all who wait for it."""
    with alone(done.with_suffix(".lock")):
        if done.exists():
            return done
        say(f"building {what} in {done}")
        partial = done.with_suffix(f".{os.getpid()}")
        try:
            build(partial)
            partial.rename(done)
        finally:
            if partial.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
            partial.unlink(missing_ok=True)
    return done


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """One process at a time is in the block."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def debootstrap(suite: str, installed: tuple[str, ...], root: Path) -> None:
    """A minimal Debian with `installed`, from this machine's own apt sources. Raises CommandError, LookupError."""
    sources = apt_sources(suite)
    mirror = next(uri for uri, release, _ in sources if release == suite)
    run("debootstrap", "--variant=minbase", f"--include={','.join(installed)}", suite, root, mirror)
    (root / "etc/apt/sources.list").write_text("".join(f"deb {' '.join(source)}\n" for source in sources))
    run("chroot", root, "apt-get", "clean")


def _server(recipe: Recipe, root: Path) -> None:
    debootstrap(recipe.suite, recipe.installed, root)
    with apt_of_this_machine(root):
        apt(root, "update")
        apt(root, "upgrade")
        apt(root, "install", "--download-only", *recipe.cached)
        apt(root, "install", "--download-only", "--no-install-recommends", *recipe.cached_lean)
    run("chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", OPERATOR)
    (root / "etc/sudoers.d/operator").write_text(f"{OPERATOR} ALL=(ALL) NOPASSWD:ALL\n")
    for unique in (root / "etc/ssh").glob("ssh_host_*"):
        unique.unlink()


def apt_sources(suite: str) -> list[tuple[str, str, str]]:
    """(address, release, component) of this machine's own apt for `suite`. Raises LookupError if it has none."""
    listed = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
    releases = (suite, f"{suite}-updates", f"{suite}-security")
    sources = sorted({(u, r, c) for u, r, c in map(str.split, listed.splitlines()) if r in releases and c == "main"})
    if suite not in {release for _, release, _ in sources}:
        raise LookupError(f"apt of this machine has no source for Debian {suite} main: add one, then `apt-get update`.")
    return sources


@contextmanager
def apt_of_this_machine(root: Path) -> Iterator[None]:
    """Proxies, time checks and name servers of this machine, for as long as packages are installed in `root`."""
    own = [
        line for line in run("apt-config", "dump").splitlines() if line.startswith(("Acquire::http", "Acquire::Check-"))
    ]
    settings, names = root / "etc/apt/apt.conf.d/99this-machine", root / "etc/resolv.conf"
    settings.write_text("\n".join([*own, 'Acquire::Languages "none";', ""]))
    shutil.copyfile("/etc/resolv.conf", names)
    yield
    settings.unlink()
    names.unlink()


def apt(root: Path, *words: str) -> None:
    """An apt-get command in `root`. Raises CommandError."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("chroot", root, "apt-get", "-q", "-y", *words, timeout=1200, env=environment)
