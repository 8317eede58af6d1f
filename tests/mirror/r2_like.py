"""A proxy before an S3 engine that behaves like Cloudflare R2 on a bad day; what it refuses is R2's own."""

import http.client
import http.server
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from portal.settings import S3

ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>{}</Message></Error>'
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, no time: close(2) sends RST
CUT = 0  # the status of a request whose answer the client did not get


@dataclass
class R2Like:
    """`slow_down_every`: every so manieth request for an object is throttled, `cut_every`: or reset in the middle of
    its body, 0: none.

    `lies`: deletions that are only reported.
    `requests` has method, path and status of each request, as the client saw them.
    `before_put` and `after_put` are called with the number of PUTs of objects so far, around the one of the engine.
    """

    engine: S3
    slow_down_every: int = 0
    cut_every: int = 0
    lies: int = 0
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    before_put: Callable[[int], object] = lambda _: None
    after_put: Callable[[int], object] = lambda _: None
    puts: int = 0
    chances: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def refusal(self, method: str, path: str, headers: http.client.HTTPMessage) -> tuple[int, str] | None:
        with self.lock:
            if _is_object(path) and self._is_due("slow down", self.slow_down_every):
                return 503, "SlowDown"
            if headers.get("x-amz-tagging") or "aws-chunked" in headers.get("Content-Encoding", ""):
                return 501, "NotImplemented"
            if method == "POST" or path.endswith("?tagging"):
                return 501, "NotImplemented"
            if method == "DELETE" and self.lies:
                self.lies -= 1
                return 204, ""
            return None

    def cuts(self, path: str) -> bool:
        with self.lock:
            return _is_object(path) and self._is_due("cut", self.cut_every)

    def _is_due(self, fault: str, every: int) -> bool:
        """Counted as they arrive: of requests at once, all see the same number of answers."""
        self.chances[fault] += 1
        return bool(every) and self.chances[fault] % every == 0

    def number_of(self, method: str, path: str) -> int:
        """Of a PUT of an object, 0 for any other request."""
        with self.lock:
            is_put = method == "PUT" and _is_object(path)
            self.puts += is_put
            return self.puts if is_put else 0

    def statuses(self, method: str) -> dict[str, list[int]]:
        """Of all requests with this method for objects, by path, in order."""
        found: dict[str, list[int]] = {}
        for used, path, status in self.requests:
            if used == method and _is_object(path):
                found.setdefault(path, []).append(status)
        return found


def _is_object(path: str) -> bool:
    return re.search("/(packages|assets)/", path) is not None


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: R2Like
    behind: S3

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        cut = length > 1 and self.proxy.cuts(self.path)
        body = self.rfile.read(length // 2 if cut else length)
        if cut or len(body) < length:
            self.reset()
        elif refusal := self.proxy.refusal(self.command, self.path, self.headers):
            status, code = refusal
            self.reply(status, {}, ERROR.format(code, code).encode() if code else b"")
        else:
            self.pass_on(body)

    def pass_on(self, body: bytes) -> None:
        number = self.proxy.number_of(self.command, self.path)
        if number:
            self.proxy.before_put(number)
        connection = http.client.HTTPConnection(str(self.behind.endpoint.host), self.behind.endpoint.port, timeout=60)
        try:  # the Host is signed, so it stays the proxy's
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):  # the engine was killed
            self.reset()
            return
        finally:
            connection.close()
        if number:
            self.proxy.after_put(number)
        self.reply(response.status, dict(response.getheaders()), content)

    def reset(self) -> None:
        self.note(CUT)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close_connection = True

    def note(self, status: int) -> None:
        with self.proxy.lock:
            self.proxy.requests.append((self.command, self.path, status))

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        cut = len(body) > 1 and self.proxy.cuts(self.path)
        if not cut:
            self.note(status)
        self.send_response(status)
        skipped = {"connection", "transfer-encoding", "date", "server", "content-length"}
        for name, value in headers.items():
            if name.lower() not in skipped:
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.reset()

    def log_message(self, *_: object) -> None:
        pass

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815 -- http.server's names


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that was killed is no fault of the proxy's."""


@contextmanager
def r2_like(engine: S3, **options: int) -> Iterator[R2Like]:
    """The proxy, whose `engine` is the way through it."""

    class Handler(_Handler):
        behind = engine

    with _Server(("127.0.0.1", 0), Handler) as server:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        proxy = R2Like(S3.model_validate(engine.model_dump(mode="json") | {"endpoint": endpoint}), **options)
        Handler.proxy = proxy
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
