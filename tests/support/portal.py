"""A store on disk and a portal that really runs, for tests."""

import base64
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal import settings
from portal.jobs import status
from portal.packages import signature
from portal.store import developers, files, keys, presign, schema, tokens
from portal.store.audit import OPERATOR
from portal.store.layout import AREAS, Layout
from portal.store.store import Store, open_store
from tests.packages.samples import KEY, make_package
from tests.support.patience import PATIENCE

UNLIMITED = {"auth_failures_per_minute": 10**6, "uploads_per_hour": 10**6, "changes_per_hour": 10**6}
"""Tests that share a portal must not use up each other's limits."""

MOSIS = Path(sys.executable).with_name("mosis")


def make_store(root: Path, **values: object) -> Store:
    """A new, empty store below `root`."""
    chosen = settings.parse({"root": str(root), "litestream": False, **UNLIMITED, **values})
    layout = Layout(root)
    for area in AREAS:
        files.make_directory(layout.area(area))
    schema.migrate(layout.database, litestream=chosen.litestream)
    presign.create(layout.presign_keys)
    return open_store(chosen)


def add_developer(
    store: Store, developer_id: str, key: Ed25519PrivateKey | None = KEY, scope: tokens.Scope = "developer"
) -> str:
    """Add a developer, with a registered key if there is one, and return a token."""
    with store.db.write() as tx:
        developers.add(tx, OPERATOR, developer_id, developer_id.title())
        if key is not None:
            keys.register(tx, OPERATOR, developer_id, **registration(developer_id, key))
        return tokens.issue(tx, OPERATOR, developer_id, scope, 1)[1]


def registration(developer_id: str, key: Ed25519PrivateKey) -> dict[str, str]:
    """The body that registers a key."""
    public = signature.raw_public_key(key)
    statement = signature.registration_statement(developer_id, signature.key_id(public))
    return {"public_key": base64.b64encode(public).decode(), "proof": signature.sign(key, statement)}


def free_port() -> int:
    """A port that nobody listens at, and that no other test process is given soon.

    The kernel would give one that is free to two processes, and servers of granian would then share it in silence.
    """
    for port in PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError


def _ports() -> Iterator[int]:
    """Ever different ones, below those that the kernel gives to connections; each worker of a run begins elsewhere."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    begin = os.getppid() + worker * (20_000 // workers) if workers > 1 else os.getpid()
    return (10_000 + (begin + step) % 20_000 for step in itertools.count())


PORTS = _ports()


def mosis(store: Store, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the real command on a store."""
    return subprocess.run(
        [MOSIS, *arguments], capture_output=True, text=True, env=environ(store, **environment), timeout=PATIENCE
    )


def environ(store: Store, **environment: str) -> dict[str, str]:
    """The environment in which the command finds this store's settings."""
    config = store.layout.root / "mosis.toml"
    config.write_text(store.settings.to_toml())
    return os.environ | {"MOSIS_CONFIG": str(config), "COLUMNS": "200"} | environment


def children(pid: int) -> list[int]:
    """The processes that this one started: of a portal, its workers."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass
class Portal:
    """`mosis serve` on a free port of the loopback, with several workers."""

    store: Store
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.store.settings.port}"

    def start(self) -> "Portal":
        log = (self.store.layout.root / "portal.log").open("ab")
        self.process = subprocess.Popen(
            [MOSIS, "serve"], env=environ(self.store), stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        deadline = time.monotonic() + PATIENCE
        while not status.wait_ready(self.store.settings, 0):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop(signal.SIGKILL)
                raise RuntimeError((self.store.layout.root / "portal.log").read_text())
            time.sleep(0.05)
        return self

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, how)
            self.process.wait(PATIENCE)
        self.process = None

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)


def problem(answer: httpx.Response, status: int, code: str) -> dict:
    """The body of an answer that must be this problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == code
    assert body["status"] == status
    assert {"type", "title", "detail"} <= set(body)
    return body


@dataclass
class Publisher:
    """A developer with one app, who uploads real packages to a portal that runs."""

    portal: Portal
    client: httpx.Client
    reviewer: httpx.Client
    directory: Path
    app_id: str
    key: Ed25519PrivateKey

    @property
    def developer_id(self) -> str:
        return self.client.get("/api/apps").json()["apps"][0]["developer_id"]

    def package(self, version_code: int, **options: object) -> Path:
        path = self.directory / f"{self.app_id}-{version_code}.mosis"
        make_package(path, **({"app_id": self.app_id, "version_code": version_code, "key": self.key} | options))
        return path

    def upload(self, path: Path, **fields: str) -> httpx.Response:
        with path.open("rb") as file:
            return self.client.post(f"/api/apps/{self.app_id}/versions", files={"package": file}, data=fields)

    def step(self, version_code: int, action: str, **body: str) -> httpx.Response:
        client = self.reviewer if action in ("publish", "reject") else self.client
        return client.post(f"/api/apps/{self.app_id}/versions/{version_code}/{action}", json=body)

    def approve_images(self) -> None:
        """Publish the images that the developer has changed."""
        path = f"/api/apps/{self.app_id}/images"
        digest = self.reviewer.get(path).raise_for_status().json()["sha256"]
        self.reviewer.post(f"{path}/publish", json={"sha256": digest}).raise_for_status()

    def publish(self, version_code: int, **options: object) -> Path:
        path = self.package(version_code, **options)
        for answer in (self.upload(path), self.step(version_code, "submit"), self.step(version_code, "publish")):
            answer.raise_for_status()
        return path


@contextmanager
def only_publisher(portal: Portal, directory: Path, scope: tokens.Scope = "developer") -> Iterator[Publisher]:
    """A developer with one app at a portal that has nobody else; publishing needs a token of scope `admin`."""
    key, app_id = Ed25519PrivateKey.generate(), "org.example.app"
    token = add_developer(portal.store, "dev", key, scope)
    with portal.client(token) as client:
        client.post("/api/apps", json={"app_id": app_id, "name": "App"}).raise_for_status()
        yield Publisher(portal, client, client, directory, app_id, key)
