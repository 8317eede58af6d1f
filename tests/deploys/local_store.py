"""A store deployed to this machine the way `make deploy` does it, in a root and on a port of its own."""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deploys.plan.render import CHECKOUT
from deploys.remote import down
from tests.support.patience import PATIENCE
from tests.support.portal import free_port

DEPLOYED = [
    "deploy.py",
    "deploys",
    "files",
    "inventory",
    "portal",
    "pyproject.toml",
    "README.md",
    "requirements",
    "templates",
]

PROGRAMS = ("portal", "litestream", "nginx", "jobs")
ANSWERING = (
    "nginx, portal" if shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin") else "portal alone"
)
RUNNING = f"Local | Programs run as declared: {ANSWERING}, Litestream"


@dataclass(frozen=True)
class Run:
    """What a run changed, or of a dry run, would change; `failed` names operations; `output` is everything printed."""

    code: int
    changed: tuple[str, ...]
    failed: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class LocalStore:
    """A root and a port; nothing is deployed until `deploy`. `checkout` is a copy, which nobody edits meanwhile."""

    checkout: Path
    root: Path
    port: int

    def deploy(
        self, *, dry: bool = False, environment: Mapping[str, str] | None = None, python: str = sys.executable
    ) -> Run:
        """Run pyinfra with the inventory and the deploy that are shipped."""
        words = [python, "-m", "pyinfra", "-vvv", "--json", "--dry" if dry else "-y"]
        done = subprocess.run(
            [*words, "inventory/local.py", "deploy.py"],
            cwd=self.checkout,
            env=os.environ | self._environment() | (environment or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        if not done.stdout.strip():
            return Run(done.returncode, (), (), output)
        report = json.loads(done.stdout)
        if dry:
            return Run(
                done.returncode, tuple(op["name"] for op in report["plan"] if op["hosts_with_change"]), (), output
            )
        operations = report["results"]["operations"]
        changed = tuple(op["name"] for op in operations if op["success"])
        return Run(done.returncode, changed, tuple(op["name"] for op in operations if op["error"]), output)

    def _environment(self) -> dict[str, str]:
        return {"ROOT": str(self.root), "PORT": str(self.port), "PYTHONPATH": str(self.checkout)}

    def get(self, path: str) -> int:
        """Status of a GET."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.status

    def answers(self) -> bool:
        try:
            return self.get("/readyz") == 200
        except OSError:
            return False

    def pids(self) -> dict[str, int]:
        """Process id of each program, straight from the supervisor."""
        control = [Path(sys.executable).with_name("supervisorctl"), "-c", self.root / "etc/supervisord.conf"]

        def pid(*words: str) -> int:
            return int(subprocess.run([*control, "pid", *words], capture_output=True, text=True, check=True).stdout)

        programs = [path.stem for path in (self.root / "etc").glob("*.conf") if path.stem in PROGRAMS]
        return {"supervisor": pid(), **{program: pid(program) for program in programs}}

    def down(self) -> bool:
        """What `make down` does."""
        return down.down(self.root)


@cache
def _checkout() -> Path:
    """One copy for the whole process: what is compiled and built in it serves every store."""
    checkout = Path(tempfile.mkdtemp(prefix="mosis-checkout-"))
    atexit.register(shutil.rmtree, checkout, ignore_errors=True)
    for name in DEPLOYED:
        source, target = CHECKOUT / name, checkout / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return checkout


@contextmanager
def local_store() -> Iterator[LocalStore]:
    """A fresh root (short: a Unix socket lies below it) and a free port, stopped and removed at the end."""
    place = Path(tempfile.mkdtemp(prefix="mosis-"))
    store = LocalStore(_checkout(), place / "store", free_port())
    try:
        yield store
    finally:
        store.down()
        shutil.rmtree(place)


class Shared:
    """One deployed store for tests that leave it as declared; after a test that failed, another one."""

    def __init__(self) -> None:
        self._place = ExitStack()
        self._store: LocalStore | None = None

    def get(self) -> LocalStore:
        if self._store is None:
            store = self._place.enter_context(local_store())
            run = store.deploy()
            assert run.code == 0, run.output
            self._store = store
        return self._store

    def drop(self) -> None:
        self._store = None
        self._place.close()


def until(holds: Callable[[], bool]) -> None:
    """Fails the test where that does not come to hold in time."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
