"""The honest people: a developer with the client of `mosis push`, a reviewer, and a device; each request is timed."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Event, Lock, Thread
from typing import Any

from crash import content
from crash.http import Answer, Unanswered, form
from crash.http import Client as Connection
from mosis_device.download import Part, download
from mosis_device.fetch import Bounds, Fetcher
from mosis_device.refusals import Refused
from portal.developer import source
from portal.developer.answers import Document, Placed, Queue
from portal.developer.client import Answer as Read
from portal.developer.client import Client
from portal.developer.credentials import Account
from portal.developer.patience import Patience
from portal.developer.push import Push
from portal.faults import Fault

PAUSE_SECONDS = 0.05  # between two steps of somebody
RANGES = 3


@dataclass
class Log:
    """Seconds of each request, and what failed."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def timing(self, what: str) -> Iterator[None]:
        """Of one request; an exception is a failure, and is raised."""
        began = time.monotonic()
        try:
            yield
        except (Fault, Unanswered, Refused, Wrong) as fault:
            self.failed.append(f"{what} after {time.monotonic() - began:.1f} s: {fault}")
            raise
        finally:
            self.seconds.append(time.monotonic() - began)

    @property
    def p95(self) -> float:
        """By nearest rank, so that of a few requests the longest counts."""
        return sorted(self.seconds)[math.ceil(0.95 * len(self.seconds)) - 1] if self.seconds else math.inf


class Wrong(Exception):
    """An answer that is not what the client asked for."""


class Timed(Client):
    """The client of every `mosis` command; what a command would try again is a failure here."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(Account(url, token))
        self.log = Log()

    def request(self, method: str, path: str, *sent: Any, **how: Any) -> Read:
        with self.log.timing(f"{method} {path.partition('?')[0]}"):
            return super().request(method, path, *sent, **how)


@dataclass
class Developer:
    """Pushes one version after another, and submits it with another icon."""

    client: Timed
    app_id: str
    scratch: Path
    rng: Random
    icons: list[content.Picture]
    code: int = 0

    def step(self) -> None:
        self.code += 1
        path = self.scratch / f"{self.app_id}.mosis"
        path.write_bytes(content.package(self.scratch, self.rng, self.app_id, self.code))
        manifest, run = source.manifest_of(path), Push(self.client, Patience(seconds=0))
        store = run.look(manifest)
        run.submit(run.upload(store, source.prepare(path, None, self.scratch, lambda done, total: None)))
        icon = form("icon", self.rng.choice(self.icons).body)
        self.client.request("POST", f"/api/apps/{self.app_id}/icon", *icon)


@dataclass
class Reviewer:
    """Publishes what is in the queue, and yanks what was published before."""

    client: Timed
    published: list[str] = field(default_factory=list)

    def step(self) -> None:
        for version in self.client.get("/api/review", Queue).versions:
            path = f"/api/apps/{version.app_id}/versions/{version.version_code}"
            self.client.post(f"{path}/publish", Placed, {"sha256": version.sha256})
            if self.published:
                self.client.post(f"{self.published.pop()}/yank", Document, {"reason": "It crashes."})
            self.published.append(path)


@dataclass
class Device:
    """Asks for updates, reads an app, and downloads a package: as `mosis-install` does, and as other clients may."""

    port: int
    app_id: str
    path: str
    size: int
    sha256: str
    directory: Path
    log: Log = field(default_factory=Log)

    def step(self) -> None:
        connection = Connection(self.port, "")
        try:
            installed = json.dumps({"apps": {self.app_id: 0}}).encode()
            self._ask(connection, "POST", "/api/store/updates", 200, installed)
            self._ask(connection, "GET", f"/api/store/apps/{self.app_id}", 200)
            self._install()
            whole = self._ask(connection, "GET", self.path, 200, headers={"If-Match": f'"{self.sha256}"'}).body
            piece = len(whole) // RANGES + 1
            parts = [
                self._part(connection, start, min(start + piece, len(whole))) for start in range(0, len(whole), piece)
            ]
        finally:
            connection.close()
        for body in (whole, b"".join(parts)):
            if hashlib.sha256(body).hexdigest() != self.sha256:
                self.log.failed.append(f"GET {self.path}: another file")

    def _install(self) -> None:
        """Download the package with the client of devices, which checks it."""
        part = Part(self.directory / "package.part")
        part.forget()
        store = Fetcher([f"http://127.0.0.1:{self.port}"], Bounds())
        with self.log.timing(f"download of {self.path}"):
            download(store, [self.path.removeprefix("/")], self.size, self.sha256, part, lambda done, size: None)

    def _part(self, connection: Connection, start: int, end: int) -> bytes:
        headers = {"Range": f"bytes={start}-{end - 1}", "If-Range": f'"{self.sha256}"'}
        return self._ask(connection, "GET", self.path, 206, headers=headers).body

    def _ask(
        self, connection: Connection, method: str, path: str, status: int, body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        with self.log.timing(f"{method} {path}"):
            answer = connection.ask(method, path, body, {"Content-Type": "application/json", **(headers or {})})
            if answer.status != status:
                raise Wrong(f"{answer.status} {answer.body[:200]!r}")
        return answer


@contextmanager
def at_work(steps: Mapping[str, Callable[[], None]]) -> Iterator[None]:
    """Everybody repeats their step; at the end each one finishes what is begun."""
    over = Event()
    threads = [Thread(target=_repeat, args=(step, over), name=name) for name, step in steps.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _repeat(step: Callable[[], None], over: Event) -> None:
    while not over.wait(PAUSE_SECONDS):
        with suppress(Fault, Unanswered, Refused, Wrong):  # it is in the log
            step()
