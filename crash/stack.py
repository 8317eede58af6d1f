"""A store as a host runs it (nginx, the portal, replication), whose processes can be killed and started again."""

import base64
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from random import Random

from bench.processes import free_port, tree
from bench.stack import MOSIS, NO_LIMIT
from crash import content
from crash.http import Client, Unanswered
from deploys.plan.data import HostData
from deploys.plan.nginx import render_nginx
from deploys.plan.render import render
from portal import settings
from portal.cli.table import COMMANDS
from portal.packages import signature
from portal.store import apps, developers, files, keys, presign, schema, tokens
from portal.store.audit import OPERATOR, Actor
from portal.store.clock import now
from portal.store.layout import AREAS, Layout
from portal.store.store import open_store

DEVELOPER, REVIEWER = "acme", "reviewer"
READY_SECONDS = 60.0
END_SECONDS = 30.0
POLL_SECONDS = 0.02
CRASH_LOOP_SECONDS = 6.0  # granian's, a little more
MONTH = 31 * 86400
BROKEN = [sys.executable, "-m", "crash.broken"]


class StackError(Exception):
    """The store does not come up again, or a command of it fails."""


class Stack:
    """One store below a new directory `root`. `broken`: its portal breaks a promise, see `crash.broken`.

    `data` is host data that differs.
    """

    def __init__(self, root: Path, *, broken: bool = False, data: Mapping[str, object] | None = None) -> None:
        self.layout, self.port = Layout(root), free_port()
        self._data = HostData.model_validate({"runtime": "local", "root": root, "port": self.port, **(data or {})})
        self._settings = settings.parse(
            {"root": root, "socket": root / "run/portal.sock", "accel": True, "proxied": True,
             "upload_url_seconds": 3600, **NO_LIMIT}
        )  # fmt: skip
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._first_workers: set[int] = set()
        self.developer_token, self.reviewer_token = self._created()
        self._commands: dict[str, Sequence[str | Path]] = {
            "portal": [*BROKEN, "serve"] if broken else [MOSIS, "serve"],
            "nginx": ["nginx", "-c", root / "etc/nginx.conf"],
            "replication": replication(root),
        }

    def _created(self) -> tuple[str, str]:
        root = self.layout.root
        for area in (*AREAS, "run", "etc", "secrets", "log", "backups/portal", "backups/snapshots"):
            files.make_directory(root / area)
        schema.migrate(self.layout.database, litestream=True)
        presign.create(self.layout.presign_keys)
        (root / "etc/mosis.toml").write_text(self._settings.to_toml())
        (root / "etc/litestream.yml").write_text(render("litestream/litestream.yml.j2", root=root, port=None))
        (root / "etc/nginx.conf").write_text(
            render_nginx(
                "nginx/nginx.conf.j2", self._data, self._settings, run=root / "run", cache=root / "run/cache",
                log=root / "log/access.log", superuser=os.geteuid() == 0, addresses=("127.0.0.1",),
            )
        )  # fmt: skip
        public = signature.raw_public_key(content.KEY)
        proof = signature.sign(content.KEY, signature.registration_statement(DEVELOPER, signature.key_id(public)))
        with self._writing() as tx:
            for name in (DEVELOPER, REVIEWER):
                developers.add(tx, OPERATOR, name, name.title())
            keys.register(tx, OPERATOR, DEVELOPER, base64.b64encode(public).decode(), proof)
            return (
                tokens.issue(tx, OPERATOR, DEVELOPER, "developer", 1)[1],
                tokens.issue(tx, OPERATOR, REVIEWER, "reviewer", 1)[1],
            )

    def add_apps(self, app_ids: Sequence[str], developer_id: str = DEVELOPER) -> None:
        with self._writing() as tx:
            for app_id in app_ids:
                apps.add(tx, Actor(developer_id, "admin", None, "crash"), app_id, app_id, "")

    def add_developer(self, developer_id: str) -> str:
        """Returns a token."""
        with self._writing() as tx:
            developers.add(tx, OPERATOR, developer_id, developer_id.title())
            return tokens.issue(tx, OPERATOR, developer_id, "developer", 1)[1]

    def age(self, app_id: str, codes: Sequence[int]) -> None:
        """Make drafts as old as cleanup deletes them."""
        with self._writing() as tx:
            tx.executemany(
                "UPDATE versions SET status_at = ? WHERE app_id = ? AND version_code = ? AND status = 'draft'",
                [(now() - MONTH, app_id, code) for code in codes],
            )

    def launch(self) -> None:
        """Start what does not run."""
        for name, command in self._commands.items():
            if name not in self._processes or self._processes[name].poll() is not None:
                self._processes[name] = self._started(name, command)
                self._first_workers = set() if name == "portal" else self._first_workers

    def start(self) -> None:
        """Start what does not run, as often as it takes until the store answers. Raises StackError."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            self.launch()
            with suppress(Unanswered), closing(Client(self.port, "")) as client:
                if client.ask("GET", "/readyz").status == HTTPStatus.OK:
                    self._first_workers = self._first_workers or set(tree(self._processes["portal"].pid)[1:])
                    return
            time.sleep(POLL_SECONDS)
        raise StackError(f"The store was not ready within {READY_SECONDS:g} s: {self.log('portal')[-2000:]}")

    def pids(self) -> list[int]:
        """The processes, and everything below them."""
        return [pid for process in self._processes.values() if process.poll() is None for pid in tree(process.pid)]

    def log(self, name: str) -> str:
        """What a process printed, in all its runs."""
        return (self.layout.root / f"log/{name}.log").read_text()

    def cleanup(self) -> subprocess.Popen[bytes]:
        """A run of the hourly job, whatever is known of the clock; `kill` knows it."""
        self._processes["cleanup"] = self._started("cleanup", [MOSIS, "cleanup", "--force"])
        return self._processes["cleanup"]

    def mosis(self, *words: str) -> None:
        """Raises StackError unless the command succeeds."""
        done = subprocess.run([MOSIS, *words], env=self._environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(f"mosis {' '.join(words)}: {done.stderr.strip()[-500:]}")

    def kill(self, what: str, rng: Random) -> str:
        """SIGKILL to one worker, to the master, to a cleanup, or to everything in any order; what it was.

        It is the master where there is no worker that would be replaced, or no cleanup under way. Raises StackError.
        """
        pids = {name: tree(process.pid) for name, process in self._processes.items() if process.poll() is None}
        if "portal" not in pids:
            raise StackError("The portal ended without being killed.")
        master, workers = pids["portal"][0], self._replaceable(pids["portal"][1:])
        victims = {
            "worker": [rng.choice(workers)] if workers else [],
            "cleanup": pids.get("cleanup", []),
            "everything": [pid for found in pids.values() for pid in found],
        }.get(what, [])
        what, victims = (what, victims) if victims else ("master", [master])
        rng.shuffle(victims)
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for name, found in pids.items():
            if found[0] in victims:
                self._processes[name].wait()
            if what == "everything":
                _kill_group(found[0])  # a worker that was made meanwhile
        while any(map(_runs, victims)):  # a process that is dying may still take connections
            time.sleep(POLL_SECONDS / 10)
        return what

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction of another process, as a command of the host makes it."""
        store = open_store(self._settings)
        with closing(store.db), store.db.write() as tx:
            yield tx

    def _replaceable(self, workers: Sequence[int]) -> list[int]:
        """Workers that the master starts anew: it gives up when one dies soon after it took the place of another."""
        return [pid for pid in workers if pid in self._first_workers or _age(pid) > CRASH_LOOP_SECONDS]

    def stop(self) -> None:
        """SIGTERM to everything; what does not end is killed."""
        for process in reversed(self._processes.values()):
            below = tree(process.pid)
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                for pid in below:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait()
            _kill_group(process.pid)

    def _started(self, name: str, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        with (self.layout.root / f"log/{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        return os.environ | {"MOSIS_CONFIG": str(self.layout.root / "etc/mosis.toml")}


def replication(root: Path) -> Sequence[str | Path]:
    """The command that replicates the database: the release's own, else Litestream alone."""
    config = root / "etc/litestream.yml"
    if any(command.name == "replicate" for command in COMMANDS):
        return [MOSIS, "replicate", root, config]
    return [MOSIS.with_name("litestream"), "replicate", "-config", config]


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _runs(pid: int) -> bool:
    """Whether a process is neither gone nor a zombie."""
    return _status(pid)[:1] not in ([], ["Z"])


def _age(pid: int) -> float:
    """Seconds since a process was started; 0 for one that is gone."""
    status = _status(pid)
    started = int(status[19]) / os.sysconf("SC_CLK_TCK") if status else float("inf")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)


def _status(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, see proc(5); none of a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
