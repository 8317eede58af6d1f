"""Closes connections that hold a thread and move nothing: the server waits for a body, or for a reader, for ever.

What a connection has moved is the kernel's count (tcp_info of linux/tcp.h), so that neither the server nor a request
under way is asked. An idle connection, which the server closes itself after 30 s, is closed here at the latest.
"""

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LEAST = 4096  # bytes in or out between two looks; the slowest phone moves more
TCP_INFO = struct.Struct("=B119x2Q")  # state, bytes acknowledged, bytes received: Linux 4.1
ESTABLISHED = 1


class Watch:
    """Looks at the connections that this process accepted on a port."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._moved: dict[int, int] = {}

    def look(self) -> int:
        """Close every connection that moved less than LEAST since the last look; how many those were."""
        moved, closed = {}, 0
        for inode, connection in self._connections():
            state, acknowledged, received = TCP_INFO.unpack(
                connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size)
            )
            if state != ESTABLISHED:
                continue
            now = acknowledged + received
            if inode in self._moved and now - self._moved[inode] < LEAST:
                connection.shutdown(socket.SHUT_RDWR)  # to the server, its client hung up
                closed += 1
            else:
                moved[inode] = now
        self._moved = moved
        return closed

    def _connections(self) -> Iterator[tuple[int, socket.socket]]:
        for descriptor in Path("/proc/self/fd").iterdir():
            try:
                with _borrowed(int(descriptor.name)) as found:
                    if found.family in (socket.AF_INET, socket.AF_INET6) and found.getsockname()[1] == self._port:
                        yield os.fstat(found.fileno()).st_ino, found
            except OSError:  # no socket, or closed meanwhile
                continue


def start(port: int, seconds: float) -> None:
    """Look every so many seconds, in a thread, as long as the process lives."""

    def run() -> None:
        watch = Watch(port)
        while True:
            time.sleep(seconds)
            watch.look()

    threading.Thread(target=run, name="stalled", daemon=True).start()


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """The server's own socket. Never a copy: closing one of a database file would give up its locks (fcntl(2))."""
    found = socket.socket(fileno=descriptor)
    try:
        yield found
    finally:
        found.detach()
