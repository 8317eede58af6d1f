"""What a job costs in a store of very many versions: processor time and memory of the whole command."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import monotonic, sleep

from bench import scale
from bench.processes import BenchError
from bench.stack import MOSIS
from portal import settings
from portal.store import files, presign, schema
from portal.store.database import turn
from portal.store.layout import AREAS, Layout
from portal.store.store import open_store

SIZES = (5_000, 20_000, 100_000)
POLL_SECONDS = 0.002
IDLE_SECONDS = 10
COMMANDS = {
    "cleanup": (str(MOSIS), "cleanup"),
    "status": (str(MOSIS), "status"),
    "metrics": (sys.executable, "-m", "bench.scrape"),
    "audit": (str(MOSIS), "audit", "verify"),
    "drill": (str(MOSIS), "drill"),
}
MAY_FAIL = {"status"}  # there is no portal


@dataclass(frozen=True)
class Cost:
    """Seconds of processor time, peak memory in MB, and the longest wait of another writer in ms."""

    seconds: float
    megabytes: float
    wait: float


class Jobs:
    """Stores below `directory`, one for each number of versions, made when they are needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.cost = cache(self._cost)

    def _cost(self, job: str, number: int) -> Cost:
        """Of one run: processor time varies little, and a store takes long to make."""
        root = self._store(number)
        environment = os.environ | {settings.CONFIG_VARIABLE: str(root / "mosis.toml")}
        process = subprocess.Popen(
            COMMANDS[job], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr
        with _watched(Layout(root).database, process.pid) as watched:
            complaint = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode and job not in MAY_FAIL:
            raise BenchError(f"{' '.join(COMMANDS[job])}: {complaint.strip()}")
        return Cost(used.ru_utime + used.ru_stime, watched.kilobytes / 1000, watched.wait * 1000)

    def idle_wait(self) -> float:
        """The longest wait of a writer that is the only one, in ms: what the machine itself adds."""
        with _watched(Layout(self._store(SIZES[0])).database, os.getpid()) as watched:
            sleep(IDLE_SECONDS)
        return watched.wait * 1000

    def _store(self, number: int) -> Path:
        root = self._directory / f"versions-{number}"
        chosen = settings.parse({"root": root})
        if not root.exists():
            for area in AREAS:
                files.make_directory(root / area)
            schema.migrate(Layout(root).database, litestream=True)
            presign.create(Layout(root).presign_keys)
            (root / "mosis.toml").write_text(chosen.to_toml())
        with closing(open_store(chosen).db) as db:
            scale.fill(open_store(chosen), number)
            db.read().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _backed_up(root)
        return root


def _backed_up(root: Path) -> None:
    """A snapshot for the drill, younger than every change."""
    environment = os.environ | {settings.CONFIG_VARIABLE: str(root / "mosis.toml")}
    subprocess.run([MOSIS, "backup", "database"], env=environment, check=True, stdout=subprocess.DEVNULL)


@dataclass
class _Watched:
    """Peak memory in kB, and the longest wait of another writer in seconds."""

    kilobytes: float = 0
    wait: float = 0


@contextmanager
def _watched(database: Path, pid: int) -> Iterator[_Watched]:
    """Watch a process from beside it, as a writer that comes again and again.

    What wait4(2) reports as its memory includes that of the process which forked it.
    """
    watched, over = _Watched(), threading.Event()

    def watch() -> None:
        while not over.wait(POLL_SECONDS):
            began = monotonic()
            with turn(database):
                watched.wait = max(watched.wait, monotonic() - began)
            watched.kilobytes = max(watched.kilobytes, _high_water(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield watched
    finally:
        over.set()
        watcher.join()


def _high_water(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)  # none once it has ended
