"""A TCP proxy that cuts connections, as bad networks do."""

import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK = 65536
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, no time: close(2) sends RST


class CuttingProxy:
    """Carries connections to a port of the loopback; the first `cuts` that send `after` bytes are cut there."""

    def __init__(self, port: int, *, cuts: int, after: int) -> None:
        self._target = ("127.0.0.1", port)
        self._after = after
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept)
        self.cuts_left = cuts
        self.carried = 0
        """Bytes towards the server."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        clients, threads = [], []
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                break
            clients.append(client)
            threads.append(threading.Thread(target=self._carry, args=(client,)))
            threads[-1].start()
        for client in clients:  # one that keeps its connection open would be waited for
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            downstream = threading.Thread(target=_downstream, args=(client, server))
            downstream.start()
            self._upstream(client, server)
            downstream.join()

    def _upstream(self, client: socket.socket, server: socket.socket) -> None:
        sent = 0
        with suppress(OSError):  # the server has answered and closed
            while chunk := client.recv(CHUNK):
                chunk = chunk[: self._after - sent] if self.cuts_left else chunk
                server.sendall(chunk)
                sent += len(chunk)
                if self.cuts_left and sent >= self._after:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    self._count(cut=1)
                    client.close()
                    break
        self._count(carried=sent)
        _end(server)
        with suppress(OSError):  # a client that still sends reads the answer only afterwards
            while client.recv(CHUNK):
                pass

    def _count(self, *, cut: int = 0, carried: int = 0) -> None:
        with self._lock:
            self.cuts_left -= cut
            self.carried += carried


def _downstream(client: socket.socket, server: socket.socket) -> None:
    with suppress(OSError):  # the client was cut
        while chunk := server.recv(CHUNK):
            client.sendall(chunk)
    _end(client)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
