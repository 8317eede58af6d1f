"""A TCP proxy that cuts connections, as bad networks do."""

import socket
import struct
import threading
from types import TracebackType

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

    def __enter__(self) -> "CuttingProxy":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        threads = []
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                break
            server = socket.create_connection(self._target)
            for work in (self._upstream, self._downstream):
                threads.append(threading.Thread(target=work, args=(client, server)))
                threads[-1].start()
        for thread in threads:
            thread.join()

    def _upstream(self, client: socket.socket, server: socket.socket) -> None:
        sent = 0
        try:
            while chunk := client.recv(CHUNK):
                chunk = chunk[: self._after - sent] if self.cuts_left else chunk
                server.sendall(chunk)
                sent += len(chunk)
                if self.cuts_left and sent >= self._after:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    self._count(cut=1)
                    client.close()
                    break
        except OSError:
            pass  # the server has answered and closed
        finally:
            self._count(carried=sent)
            _end(server)

    @staticmethod
    def _downstream(client: socket.socket, server: socket.socket) -> None:
        try:
            while chunk := server.recv(CHUNK):
                client.sendall(chunk)
        except OSError:
            pass  # the client was cut
        finally:
            _end(client)
            server.close()

    def _count(self, *, cut: int = 0, carried: int = 0) -> None:
        with self._lock:
            self.cuts_left -= cut
            self.carried += carried


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        connection.close()
