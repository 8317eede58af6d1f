"""A portal of its own on a restored database, from which one package is downloaded as a device would.

It listens on a Unix socket that nobody else knows, and ends with this process, however that ends.
"""

import hashlib
import http.client
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from portal import settings as configuration
from portal.jobs.child import end_with
from portal.recovery import drive
from portal.recovery.errors import BackupError
from portal.settings import CONFIG_VARIABLE, METRICS_VARIABLE
from portal.store import files, known_files, presign
from portal.store.database import connect
from portal.store.known_files import NamedFile
from portal.store.layout import AREAS, Layout

SOCKET = "s"
SOCKET_MAX = 107  # bytes (unix(7))
CANDIDATES = 20  # packages looked for; some may be younger than the last backup, or deleted since
READY_SECONDS = 120
STOP_SECONDS = 20
POLL_SECONDS = 0.05
ANSWER_SECONDS = 60
CHUNK = 1024 * 1024  # bytes


def download(database: Path, root: Path, trees: Sequence[Path]) -> str | None:
    """Serve `database`, which is moved, from the new directory `root`, and download a package that one of `trees` has.

    Returns its app and version; None if no version is published. Raises BackupError.
    """
    layout = Layout(root)
    for area in AREAS:
        files.make_directory(layout.area(area))
    database.rename(layout.database)
    presign.create(layout.presign_keys)
    package = _provided(layout, trees)
    with _served(root) as place:
        if package is None:
            return None
        _require_download(place, package)
    return f"{package.position.app_id} {package.position.key}"


def _provided(layout: Layout, trees: Sequence[Path]) -> NamedFile | None:
    """A package that devices download, chosen at random, which is in its place below the root then."""
    try:
        with closing(connect(layout.database, litestream=False)) as db:
            candidates = known_files.current_sample(db, layout, CANDIDATES)
    except sqlite3.Error as error:
        raise BackupError(f"The restored database does not name its packages: {error}.") from error
    if not candidates:
        return None
    for package in candidates:
        if tree := drive.find(trees, package):
            target = layout.root / package.path
            files.make_directory(target.parent)
            _link_or_copy(package.below(tree), target)
            return package
    raise BackupError(f"Of the current packages of {len(candidates)} apps none has a good copy.")


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another disk
        shutil.copyfile(source, target)


@contextmanager
def _served(root: Path) -> Iterator[Path]:
    """The socket of a portal on `root`."""
    with _place(root) as directory, (root / "portal.log").open("w+") as log:
        place, config = directory / SOCKET, root / "mosis.toml"
        values = {"root": str(root), "socket": str(place), "workers": 1, "threads": 4, "litestream": False}
        config.write_text(configuration.parse(values).to_toml())
        command = [str(Path(sys.executable).with_name("mosis")), "serve"]
        process = subprocess.Popen(
            command,
            env=_environment(config),
            stdout=log,
            stderr=log,
            preexec_fn=partial(end_with, os.getpid()),  # noqa: PLW1509 - one thread
        )
        try:
            _wait_ready(process, place, root / "portal.log")
            yield place
        finally:
            _end(process)


@contextmanager
def _place(root: Path) -> Iterator[Path]:
    """A directory for a socket: `root`, which cleanup removes if nobody else does, unless its path is too long."""
    if len(os.fsencode(root / SOCKET)) <= SOCKET_MAX:
        yield root
        return
    with tempfile.TemporaryDirectory(prefix="mosis-") as directory:
        yield Path(directory)


def _environment(config: Path) -> dict[str, str]:
    """Without what would override the settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MOSIS_")}
    own.pop(METRICS_VARIABLE, None)
    return own | {CONFIG_VARIABLE: str(config)}


def _wait_ready(process: subprocess.Popen[bytes], place: Path, log: Path) -> None:
    deadline, answered = time.monotonic() + READY_SECONDS, ""
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with _answer(place, "/readyz") as answer:
                if answer.status == http.HTTPStatus.OK:
                    return
                answered = f"/readyz answers {answer.status}"
        except OSError:
            pass
        time.sleep(POLL_SECONDS)
    why = answered or (log.read_text().strip().splitlines() or ["it wrote nothing"])[-1]
    raise BackupError(f"A portal on the restored database does not become ready: {why}.")


def _require_download(place: Path, package: NamedFile) -> None:
    path, digest = f"/api/store/apps/{package.position.app_id}/download", hashlib.sha256()
    try:
        with _answer(place, path) as answer:
            while chunk := answer.read(CHUNK):
                digest.update(chunk)
    except (OSError, http.client.HTTPException) as error:
        raise BackupError(f"A portal on the restored database does not serve {path}: {error}.") from error
    if answer.status != http.HTTPStatus.OK:
        raise BackupError(f"A portal on the restored database answers {answer.status} to GET {path}.")
    if digest.hexdigest() != package.sha256:
        raise BackupError(f"A portal on the restored database serves {path} with other bytes.")


@contextmanager
def _answer(place: Path, path: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("localhost", timeout=ANSWER_SECONDS)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.settimeout(ANSWER_SECONDS)
        connection.sock.connect(str(place))
        connection.request("GET", path)
        yield connection.getresponse()
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
