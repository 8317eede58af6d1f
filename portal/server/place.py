"""Where a portal listens: taken only when nobody holds it, and given up by its holder alone.

Beside a portal that runs only one that listens elsewhere may start, as the bridge of an exchange does.
"""

import errno
import fcntl
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from portal.faults import Fault
from portal.settings import Settings

WAIT_SECONDS = 5.0  # the workers of a server that was killed are gone sooner
POLL_SECONDS = 0.05


class PlaceUnusable(Fault):
    """The portal cannot listen where its settings say; the message names cause and remedy."""


class Place:
    """A place to listen at, held by this process and its workers until they end."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._inode: int | None = None

    def listening(self) -> None:
        """Note the socket that is there now as this portal's."""
        if self._path:
            self._inode = _inode(self._path)

    def remove(self) -> None:
        """Remove this portal's socket; one that has replaced it stays."""
        if self._path and self._inode and _inode(self._path) == self._inode:
            self._path.unlink(missing_ok=True)


@contextmanager
def held(settings: Settings) -> Iterator[Place]:
    """Hold the place that the settings name, without a socket in it. Raises PlaceUnusable."""
    with ExitStack() as resources:
        deadline = time.monotonic() + WAIT_SECONDS
        while not _take(settings, resources):
            if time.monotonic() > deadline:
                raise PlaceUnusable(_taken(settings))
            time.sleep(POLL_SECONDS)
        place = Place(settings.socket)
        try:
            yield place
        finally:
            place.remove()


def _taken(settings: Settings) -> str:
    if settings.socket:
        return f"The store is running already: a portal listens at {settings.socket}. Stop it first."
    return (
        f"The store is running already, or another program listens at {settings.host}:{settings.port}:"
        " stop it first, or choose another port."
    )


def _take(settings: Settings, resources: ExitStack) -> bool:
    if settings.socket:
        return _take_socket(settings.socket, resources)
    return _take_port(settings.host, settings.port, resources)


def _take_port(host: str, port: int, resources: ExitStack) -> bool:
    """Bind the port alone, then let the workers bind it too: SO_REUSEPORT by itself would share another portal's."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise PlaceUnusable(f"Cannot listen at {host} (setting `host`): {error.strerror}.") from error
    guard = resources.enter_context(socket.socket(family, kind, protocol))
    guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that ended lately hold it too
    try:
        guard.bind(address)
    except OSError as error:
        guard.close()
        if error.errno != errno.EADDRINUSE:
            raise PlaceUnusable(
                f"Cannot listen at {host}:{port} (settings `host`, `port`): {error.strerror}."
            ) from error
        return False
    guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return True


def _take_socket(path: Path, resources: ExitStack) -> bool:
    try:
        lock = resources.enter_context(path.with_name(f"{path.name}.lock").open("a"))
    except OSError as error:
        raise PlaceUnusable(f"Cannot listen at {path} (setting `socket`): {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return False
    if _answers(path):
        lock.close()
        return False
    if path.exists() and not path.is_socket():
        raise PlaceUnusable(f"Cannot listen at {path} (setting `socket`): a file is there. Move it, or choose another.")
    path.unlink(missing_ok=True)  # a killed portal leaves it
    return True


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None
