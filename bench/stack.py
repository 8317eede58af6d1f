"""What is compared: the deployed stack, the reference, and nginx alone; each on a port and in a root of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from bench import fixtures
from bench.processes import READY_SECONDS, BenchError, free_port, running
from deploys.plan.data import HostData
from deploys.plan.nginx import render_nginx
from portal import settings
from portal.store import files, presign, schema
from portal.store.layout import AREAS, Layout
from portal.store.store import Store, open_store
from tests.support import histories

MOSIS = Path(sys.executable).with_name("mosis")
EATMYDATA = "libeatmydata.so"
NEEDED = {"go": "golang-go", "wrk": "wrk", "nginx": "nginx-light", EATMYDATA: "libeatmydata1"}
NO_LIMIT = {
    "uploads_per_hour": 10**9,
    "changes_per_hour": 10**9,
    "open_uploads_max": 10**6,
    "open_uploads_max_bytes": 10**12,
    "apps_max": 10**6,
    "developer_max_bytes": 10**15,
    "unpublished_max": 10**6,
    "storage_budget_bytes": 10**15,
}


@dataclass(frozen=True)
class Server:
    """Something that answers on a port of the loopback; `pids` are its processes, their children not counted."""

    port: int
    root: Path
    pids: tuple[int, ...]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@dataclass(frozen=True)
class Ours(Server):
    """The deployed stack; `token` is its developer's, of scope admin."""

    store: Store
    token: str

    @property
    def authorization(self) -> str:
        """A header field; with it nginx asks the portal, which asks its database."""
        return f"Authorization: Bearer {self.token}"


def require(programs: Iterable[str]) -> None:
    """Raises BenchError, one sentence that names what is missing and how to get it."""
    missing = [name for name in sorted(set(programs)) if not _installed(name)]
    if missing:
        packages = " ".join(sorted({NEEDED[name] for name in missing}))
        raise BenchError(f"Missing: {', '.join(missing)}. On Debian: apt-get install {packages}")


def _installed(name: str) -> bool:
    return eatmydata() is not None if name == EATMYDATA else shutil.which(name) is not None


def eatmydata() -> Path | None:
    """Debian's library that makes every flush to the disk do nothing."""
    candidates = (
        Path(directory, EATMYDATA) for directory in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
    )
    return next((path for path in candidates if path.exists()), None)


@contextmanager
def ours(root: Path, packages: Path, *, durable: bool = True, catalogue: int = 0) -> Iterator[Ours]:
    """nginx with the deploy's configuration, the portal behind it. Not `durable`: nothing is flushed to the disk."""
    port, listening = free_port(), root / "run/portal.sock"
    chosen = settings.parse({"root": root, "socket": listening, "accel": True, "proxied": True, **NO_LIMIT})
    store, token = _filled(chosen, packages)
    if catalogue:
        fixtures.add_catalogue(store, catalogue)
        histories.full(store.layout)
    host = HostData(runtime="local", root=root, port=port)
    config = render_nginx(
        "nginx/nginx.conf.j2", host, chosen, run=root / "run", cache=root / "run/cache", log=root / "access.log",
        superuser=os.geteuid() == 0, addresses=("127.0.0.1",),
    )  # fmt: skip
    (root / "etc/nginx.conf").write_text(config)
    environment = _environment(root) | ({} if durable else {"LD_PRELOAD": str(eatmydata())})
    with (
        closing(store.db),
        running([MOSIS, "serve"], root / "portal.log", listening, environment=environment) as portal,
        running(["nginx", "-c", root / "etc/nginx.conf"], root / "nginx.log", port) as nginx,
    ):
        yield Ours(port, root, (portal, nginx), store, token)


@contextmanager
def portal(root: Path, packages: Path, server: str) -> Iterator[Ours]:
    """The portal without nginx: `server` is `granian`, as it is run, or a kind of gunicorn's workers."""
    port = free_port()
    chosen = settings.parse({"root": root, "host": "127.0.0.1", "port": port, **NO_LIMIT})
    store, token = _filled(chosen, packages)
    gunicorn = [
        MOSIS.with_name("gunicorn"), "--worker-class", server, "--workers", str(chosen.workers), "--threads",
        str(chosen.threads), "--bind", f"127.0.0.1:{port}", "--no-control-socket", "portal.server.worker:worker()",
    ]  # fmt: skip
    command = [MOSIS, "serve"] if server == "granian" else gunicorn
    environment = _environment(root) | {settings.METRICS_VARIABLE: str(root / "run")}
    with closing(store.db), running(command, root / "portal.log", port, environment=environment) as pid:
        alone = Ours(port, root, (pid,), store, token)
        urlopen(alone.url("/healthz"), timeout=READY_SECONDS).close()  # gunicorn listens before it has a worker
        yield alone


def _filled(chosen: settings.Settings, packages: Path) -> tuple[Store, str]:
    """A store with something in it, and its developer's token."""
    layout = Layout(chosen.root)
    for area in (*AREAS, "run", "etc", "secrets"):
        files.make_directory(chosen.root / area)
    schema.migrate(layout.database, litestream=True)
    presign.create(layout.presign_keys)
    (chosen.root / "etc/mosis.toml").write_text(chosen.to_toml())
    store = open_store(chosen)
    return store, fixtures.fill(store, packages)


def _environment(root: Path) -> dict[str, str]:
    return os.environ | {"MOSIS_CONFIG": str(root / "etc/mosis.toml")}


def build_reference(directory: Path) -> Path:
    """Compile bench/reference. Raises BenchError."""
    program = directory / "reference"
    source = Path(__file__).with_name("reference")
    built = subprocess.run(["go", "build", "-o", program, "."], cwd=source, capture_output=True, text=True, check=False)
    if built.returncode:
        raise BenchError(f"The reference cannot be built: {built.stderr.strip()}")
    return program


@contextmanager
def reference(program: Path, root: Path, files_of: Store) -> Iterator[Server]:
    """The Go design, with the very files and versions of the store `files_of`."""
    for area in ("packages", "assets"):
        shutil.copytree(files_of.layout.area(area), root / area)
    rows = files_of.db.read().execute(
        "SELECT developer_id, app_id, version_code, version_name, size, signature FROM versions WHERE app_id = ?",
        (fixtures.APP,),
    )
    versions = json.dumps([dict(row) for row in rows])
    port = free_port()
    with running([program, f"127.0.0.1:{port}", root], root / "reference.log", port, given=versions) as pid:
        yield Server(port, root, (pid,))


STATIC = """
daemon off; {user} pid {root}/nginx.pid; error_log stderr; worker_processes auto;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000;
    client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
    server {{ listen 127.0.0.1:{port}; location /downloads/ {{ alias {packages}/; }} }}
}}
"""


@contextmanager
def static(root: Path, files_of: Store) -> Iterator[Server]:
    """nginx that serves the same packages without asking anyone: the most that this machine can send."""
    port = free_port()
    root.mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    (root / "nginx.conf").write_text(
        STATIC.format(root=root, port=port, user=user, packages=files_of.layout.area("packages"))
    )
    with running(["nginx", "-c", root / "nginx.conf"], root / "nginx.log", port) as pid:
        yield Server(port, root, (pid,))
