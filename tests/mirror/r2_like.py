"""A proxy before an S3 engine that behaves like Cloudflare R2 on a bad day; what it refuses is R2's own."""

import http.client
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from portal.settings import S3

ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>{}</Message></Error>'


@dataclass
class R2Like:
    """`slow_down_every`: every so manieth request for an object is throttled, 0: none.

    `lies`: deletions that are only reported.
    `requests` has method, path and status of each request.
    """

    engine: S3
    slow_down_every: int = 0
    lies: int = 0
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def refusal(self, method: str, path: str, headers: http.client.HTTPMessage) -> tuple[int, str] | None:
        with self.lock:
            throttled = self.slow_down_every and re.search("/(packages|assets)/", path)
            if throttled and len(self.requests) % self.slow_down_every == self.slow_down_every - 1:
                return 503, "SlowDown"
            if headers.get("x-amz-tagging") or "aws-chunked" in headers.get("Content-Encoding", ""):
                return 501, "NotImplemented"
            if method == "POST" or path.endswith("?tagging"):
                return 501, "NotImplemented"
            if method == "DELETE" and self.lies:
                self.lies -= 1
                return 204, ""
            return None


@contextmanager
def r2_like(engine: S3, **options: int) -> Iterator[R2Like]:
    """The proxy, whose `engine` is the way through it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if refusal := proxy.refusal(self.command, self.path, self.headers):
                status, code = refusal
                self.reply(status, {}, ERROR.format(code, code).encode() if code else b"")
                return
            connection = http.client.HTTPConnection(engine.endpoint.host, engine.endpoint.port, timeout=60)
            try:  # the Host is signed, so it stays the proxy's
                connection.request(self.command, self.path, body, dict(self.headers.items()))
                response = connection.getresponse()
                self.reply(response.status, dict(response.getheaders()), response.read())
            finally:
                connection.close()

        def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            with proxy.lock:
                proxy.requests.append((self.command, self.path, status))
            self.send_response(status)
            skipped = {"connection", "transfer-encoding", "date", "server", "content-length"}
            for name, value in headers.items():
                if name.lower() not in skipped:
                    self.send_header(name, value)
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    for method in ("GET", "PUT", "POST", "HEAD", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer)

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        proxy = R2Like(S3.model_validate(engine.model_dump(mode="json") | {"endpoint": endpoint}), **options)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
