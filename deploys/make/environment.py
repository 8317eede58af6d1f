"""`python -m deploys.make.environment NAME …`: .venv with what requirements/NAME.lock lists, made anew if broken.

Broken: a move of the checkout, an upgrade of the system's Python or an interrupted first install left it so. A file
`.venv/NAME.done` holds the digest of what was installed, so that nothing is done twice.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
VENV = CHECKOUT / ".venv"
PYTHON = VENV / "bin/python"
BASE = "operator"  # what every other set of packages builds upon
SIZES = {"operator": "57 MB, one to two minutes"}  # measured
UNREACHABLE = ("Failed to establish a new connection", "Retrying (Retry(", "NameResolutionError", "ProxyError")
OFFLINE = """No package index can be reached. On a machine that reaches one, with the same Python and processor:
    python3 -m pip download --dest wheels --no-deps --only-binary :all: --require-hashes -r requirements/{name}.lock
Then copy the directory here: make {target} WHEELHOUSE=wheels"""


class Unusable(Exception):
    """The environment cannot be made; the message is for the operator."""


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Hold a lock of this checkout: a second make waits for the first."""
    place = CHECKOUT / ".cache"
    place.mkdir(exist_ok=True)
    with (place / f"{name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another make in this directory.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ready(*names: str) -> None:
    """Bring .venv to what the locks say. Raises Unusable."""
    with alone("install"):
        if not _whole():
            _create()
        _note_ignored()
        for name in (BASE, *(name for name in names if name != BASE)):
            _install(name)


def _whole() -> bool:
    """Whether .venv has been installed once, here, and its Python still finds what is in it."""
    command = VENV / "bin/mosis"
    if not (VENV / f"{BASE}.done").exists() or not command.exists() or os.fsencode(PYTHON) not in command.read_bytes():
        return False
    asked = "import importlib.util as u, sys; sys.exit(not (u.find_spec('pip') and u.find_spec('hatchling')))"
    try:
        return subprocess.run([PYTHON, "-c", asked], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _create() -> None:
    """An empty environment. A running store is restarted by the deploy that follows: its programs are older."""
    try:
        import ensurepip  # noqa: F401, Debian leaves it out
    except ImportError:
        raise Unusable(
            f"'{sys.executable}' cannot make virtual environments; on Debian: apt-get install python3-venv"
        ) from None
    if VENV.exists():
        print("Rebuilding .venv: it is incomplete, or its Python or its directory has changed.", flush=True)
    python = os.path.realpath(sys.executable)  # .venv's own may run this
    shutil.rmtree(VENV, ignore_errors=True)
    made = subprocess.run([python, "-m", "venv", VENV], capture_output=True, text=True, check=False)
    if made.returncode:
        raise Unusable(f"{made.stdout}{made.stderr}'{python}' cannot make .venv.")


def _note_ignored() -> None:
    """Say that a PYTHON= has no effect."""
    wanted, found = os.path.realpath(sys.executable), os.path.realpath(PYTHON)
    if os.environ.get("PYTHON") and wanted != found:
        print(f"PYTHON={os.environ['PYTHON']} is ignored: .venv uses {found}; remove .venv to change it.", flush=True)


def _install(name: str) -> None:
    lock = CHECKOUT / f"requirements/{name}.lock"
    inputs = lock.read_bytes() + (CHECKOUT / "pyproject.toml").read_bytes()
    done, wanted = VENV / f"{name}.done", hashlib.sha256(inputs).hexdigest()
    if done.exists() and done.read_text().strip() == wanted:
        return
    print(f"Installing requirements/{name}.lock into .venv ({SIZES.get(name, 'minutes')}).", flush=True)
    _pip(name, "--no-deps", "--require-hashes", *_wheelhouse(), "-r", str(lock))
    if name == BASE:
        _pip(name, "--no-deps", "--no-build-isolation", "--no-index", "--editable", str(CHECKOUT))
    done.write_text(f"{wanted}\n")


def _wheelhouse() -> tuple[str, ...]:
    """Options of pip; the environment's own index and wheels are no use on a machine that has neither."""
    place = os.environ.get("WHEELHOUSE")
    return ("--no-index", "--find-links", str(Path(place).absolute())) if place else ()


def _pip(name: str, *words: str) -> None:
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--retries", "2", *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode == 0:
        return
    output = ran.stdout + ran.stderr
    if not os.environ.get("WHEELHOUSE") and any(sign in output for sign in UNREACHABLE):
        raise Unusable(OFFLINE.format(name=name, target="deploy" if name == BASE else f".venv/{name}.done"))
    faults = [line for line in output.splitlines() if not line.startswith("WARNING: ")]
    raise Unusable("\n".join([*faults, f"pip cannot install requirements/{name}.lock; the cause is above."]))


def main(*names: str) -> str | None:
    """The command; returns what went wrong, else None."""
    try:
        ready(*names)
    except Unusable as fault:
        return str(fault)
    except KeyboardInterrupt:
        return "Interrupted; the next make starts the installation again."
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
