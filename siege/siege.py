"""One store under attack after attack, and what is measured of it meanwhile."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Event, Thread

from bench.processes import BenchError
from crash import content
from crash.http import Client as Connection
from crash.http import form
from crash.stack import DEVELOPER, Stack
from siege import disk
from siege.attacks import Aim, Attack
from siege.flood import Flood
from siege.honest import Developer, Device, Log, Reviewer, Timed, at_work

SECONDS, SHORT_SECONDS = 20.0, 2.5
P95_MAX, SHORT_P95_MAX = 1.0, 3.0  # seconds; the short form runs beside other work
DISK_MAX = 50_000_000  # bytes
POLL_SECONDS = 0.1
END_SECONDS = 30.0
SHOWN = 3  # failures that are printed
PUSHED, READ, LARGE, BAD = "org.acme.pushed", "org.acme.read", "org.acme.large", "org.mallory.app"
READ_BYTES, LARGE_BYTES = 3_000_000, 12_000_000  # the latter is more than the kernel buffers for a connection
WEAK = "proxy_max_temp_file_size 0;", "proxy_max_temp_file_size 1024m;"


@dataclass(frozen=True)
class Found:
    """What one attack did; `p95_max` is in seconds, `grown` in bytes, `counts` are the attacker's."""

    attack: Attack
    flood: Flood
    logs: list[Log]
    p95_max: float
    grown: int
    counts: dict[str, int]

    @property
    def failed(self) -> list[str]:
        return [failure for log in self.logs for failure in log.failed]

    @property
    def p95(self) -> float:
        """Of the one who had to wait longest: a device has many more requests than a developer."""
        return max(log.p95 for log in self.logs)

    @property
    def is_held(self) -> bool:
        return not self.failed and self.p95 < self.p95_max and self.grown < DISK_MAX

    def line(self) -> str:
        addresses = len(self.flood.addresses)
        counted = ", ".join(f"{self.counts.get(name, 0)} {name}" for name in ("opened", "refused", "open"))
        return (
            f"{self.attack.name:31} {self.flood.connections} connections of {addresses}"
            f" address{'es' if addresses > 1 else ''} ({counted}): {sum(len(log.seconds) for log in self.logs)} honest"
            f" requests, {len(self.failed)} failed, p95 {self.p95:.2f} s, disk {self.grown / 1e6:+.1f} MB, "
            f"{'held' if self.is_held else 'BROKEN'}"
        )


class Siege:
    """The store, and everybody who comes to it. Not `is_weak`: as it is deployed."""

    def __init__(self, directory: Path, *, is_weak: bool = False) -> None:
        self._scratch = directory / "scratch"
        self._scratch.mkdir()
        # A client is its address of this host; the honest are many more people than three, behind a proxy.
        self._stack = Stack(directory / "store", data={"trusted_proxies": ("127.0.0.1/32",)})
        if is_weak:
            config = self._stack.layout.root / "etc/nginx.conf"
            config.write_text(config.read_text().replace(*WEAK))
        self._stack.add_apps([PUSHED, READ, LARGE])
        self._bad_token = self._stack.add_developer("mallory")
        self._stack.add_apps([BAD], "mallory")

    @contextmanager
    def begun(self) -> Iterator["Siege"]:
        """While the store runs. Raises StackError."""
        try:
            self._stack.start()
            _, self._large = self._published(LARGE, LARGE_BYTES)
            url = f"http://127.0.0.1:{self._stack.port}"
            developer = Timed(url, self._stack.developer_token)
            rng = Random(0)
            self._developer = Developer(developer, PUSHED, self._scratch, rng, content.icons(rng))
            self._reviewer = Reviewer(Timed(url, self._stack.reviewer_token))
            self._device = Device(
                self._stack.port, READ, _path(READ), *self._published(READ, READ_BYTES), self._scratch
            )
            yield self
        finally:
            self._stack.stop()

    def held(self, attack: Attack, *, is_short: bool) -> bool:
        """Print what an attack did; whether the store held."""
        size, seconds, p95_max = (
            (attack.short, SHORT_SECONDS, SHORT_P95_MAX) if is_short else (attack.size, SECONDS, P95_MAX)
        )
        flood = attack.flood(self._aim(), size)
        logs, grown, counts = self._measured(flood, seconds)
        found = Found(attack, flood, logs, p95_max, grown, counts)
        print(found.line(), flush=True)
        for failure in found.failed[:SHOWN]:
            print(f"    {failure}", flush=True)
        return found.is_held

    def _measured(self, flood: Flood, seconds: float) -> tuple[list[Log], int, dict[str, int]]:
        """What each of the honest noticed, by how many bytes the disk was fuller meanwhile, the attacker's counts."""
        clients: tuple[Timed | Device, ...] = (self._developer.client, self._reviewer.client, self._device)
        logs = [Log() for _ in clients]
        for client, log in zip(clients, logs, strict=True):
            client.log = log
        before = self._used()
        peak = [before]
        steps = {
            person: step.step
            for person, step in (("developer", self._developer), ("reviewer", self._reviewer), ("device", self._device))
        }
        with flooding(self._stack.port, flood) as counts, at_work(steps), watching(lambda: peak.append(self._used())):
            time.sleep(seconds)
        return logs, max(peak) - before, counts

    def _used(self) -> int:
        return disk.used(self._stack.layout.root, self._stack.pids())

    def _published(self, app_id: str, content_bytes: int) -> tuple[int, str]:
        """Publish a package with so many bytes of content; its bytes and its SHA-256."""
        package = content.package(self._scratch, Random(0), app_id, 1, size=content_bytes)
        developer = Connection(self._stack.port, self._stack.developer_token)
        reviewer = Connection(self._stack.port, self._stack.reviewer_token)
        with closing(developer), closing(reviewer):
            body, headers = form("package", package)
            for client, path, given, fields in (
                (developer, "", body, headers),
                (developer, "/1/submit", b"", {}),
                (reviewer, "/1/publish", b"{}", {"Content-Type": "application/json"}),
            ):
                answer = client.ask("POST", f"/api/apps/{app_id}/versions{path}", given, fields)
                if answer.status not in (200, 201):
                    raise BenchError(f"POST {path}: {answer.status} {answer.body[:300]!r}")
        return len(package), content.sha256(package)

    def _aim(self) -> Aim:
        return Aim(_path(LARGE), self._large, self._bad_token, BAD, self._signed_url)

    def _signed_url(self, size: int) -> str:
        with closing(Connection(self._stack.port, self._bad_token)) as client:
            body = json.dumps({"size": size, "sha256": "0" * 64}).encode()
            answer = client.ask("POST", f"/api/apps/{BAD}/uploads", body, {"Content-Type": "application/json"})
        return str(json.loads(answer.body)["url"])


def _path(app_id: str) -> str:
    return f"/downloads/{DEVELOPER}/{app_id}/1/package.mosis"


@contextmanager
def flooding(port: int, flood: Flood) -> Iterator[dict[str, int]]:
    """While the connections are there; their counts at the end."""
    counts: dict[str, int] = {}
    with subprocess.Popen(
        [sys.executable, "-m", "siege.flood"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(flood.as_json(port) + "\n")
            process.stdin.flush()
            if process.stdout.readline() != "ready\n":
                raise BenchError("The attack could not begin.")
            yield counts
        finally:
            process.stdin.close()
            counts |= json.loads(process.stdout.readline() or "{}")
            process.wait(END_SECONDS)


@contextmanager
def watching(look: Callable[[], object]) -> Iterator[None]:
    """Look again and again."""
    over = Event()

    def run() -> None:
        while not over.wait(POLL_SECONDS):
            look()

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
