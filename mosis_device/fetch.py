"""HTTP over several base URLs that serve the same files: the next one is asked where one fails.

Nothing that is fetched is trusted before it is verified, so plain HTTP and the caches of strangers are fine.
"""

import socket
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from threading import Timer
from typing import IO

import urllib3
from tuf.api.exceptions import DownloadError, DownloadHTTPError, DownloadLengthMismatchError
from tuf.ngclient import FetcherInterface
from urllib3.connection import HTTPConnection, HTTPSConnection

from mosis_device import __version__

CHUNK = 64 * 1024  # bytes
BUSY = (429, 502, 503, 504)  # the status of a server that will answer later


@dataclass(frozen=True)
class Bounds:
    """What a server may cost a device. Times in seconds, sizes in bytes."""

    connect: float = 10
    silence: float = 15  # between two reads, and until all headers are there
    slowest: int = 4096  # bytes per second of a whole transfer
    redirects: int = 5
    tries: int = 5  # of one URL of a package, as long as each brings something
    metadata: int = 5_000_000
    package: int = 512 * 1024 * 1024
    unpacked: int = 2 * 1024 * 1024 * 1024
    entries: int = 10_000


class Fetcher(FetcherInterface):
    """Fetches paths below `bases`, in their order; one that cannot be reached moves to the end."""

    def __init__(self, bases: Iterable[str], bounds: Bounds) -> None:
        self.bases = [base.rstrip("/") + "/" for base in bases]
        self.bounds = bounds
        self.last = ""  # URL of the last request
        self.requests = 0
        self.received = 0  # bytes of bodies, as they were sent
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=bounds.connect, read=bounds.silence),
            # A connection that was idle for long is dropped by the server just when it is used again.
            retries=urllib3.Retry(
                connect=0, read=1, status=0, other=0, redirect=bounds.redirects, respect_retry_after_header=False
            ),
            headers={"User-Agent": f"mosis-device/{__version__}"},
        )
        self._http.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """The file at the path `url`, of at most `max_length` bytes. Raises DownloadError when no base has it."""
        yield BytesIO(self._from_any(url, min(max_length, self.bounds.metadata)))

    def _fetch(self, url: str) -> Iterator[bytes]:
        return iter((self._from_any(url, self.bounds.metadata),))

    def turn(self) -> None:
        """Begin with the next base from now on."""
        self.bases.append(self.bases.pop(0))

    def _from_any(self, path: str, limit: int) -> bytes:
        failures: list[DownloadError] = []
        for base in tuple(self.bases):
            try:
                return self._read(base + path, limit)
            except DownloadError as error:
                if path.endswith(".root.json") and getattr(error, "status_code", None) in (403, 404):
                    raise  # the usual end of an update: there is no newer root
                failures.append(error)
                if not isinstance(error, DownloadHTTPError):
                    self.bases.sort(key=base.__eq__)  # to the end
        raise failures[0] if len(failures) == 1 else DownloadError(" ".join(map(str, failures)))

    def _read(self, url: str, limit: int) -> bytes:
        with closing(self.open(url, {"Accept-Encoding": "gzip"})) as response:
            body = b"".join(self.body(response, limit))
            if response.headers.get("Content-Encoding") != "gzip":
                return body
            try:
                content = zlib.decompressobj(wbits=31).decompress(body, limit + 1)
            except zlib.error as error:
                raise DownloadError(f"{url} is not the gzip that it says it is.") from error
            if len(content) > limit:
                raise DownloadLengthMismatchError(f"{url} is longer than the {limit} bytes expected.")
            return content

    def open(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """The answer to one request, with status 200 or 206. Raises DownloadError."""
        self.last = url
        self.requests += 1
        try:
            response = self._http.request("GET", url, headers=headers, preload_content=False, decode_content=False)
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise DownloadError(f"{url} cannot be reached: {_cause(error)}.") from error
        if response.status in (200, 206):
            return response
        with closing(response), suppress(DownloadError):
            for _ in self.body(response, CHUNK):  # so that the connection can be used again
                pass
        busy = ": it is busy or restarting" if response.status in BUSY else ""
        raise DownloadHTTPError(f"{url} answered {response.status}{busy}.", response.status)

    def body(self, response: urllib3.BaseHTTPResponse, limit: int) -> Iterator[bytes]:
        """The body of at most `limit` bytes as it is sent, in chunks. Raises DownloadError."""
        seconds = self.bounds.silence + limit / self.bounds.slowest
        deadline, length = time.monotonic() + seconds, 0
        try:
            with _cut_after(seconds, response.shutdown):
                while chunk := response.read1(CHUNK, decode_content=False):
                    length += len(chunk)
                    self.received += len(chunk)
                    if length > limit:
                        raise DownloadLengthMismatchError(f"{self.last} is longer than the {limit} bytes expected.")
                    if time.monotonic() > deadline:
                        raise DownloadError(f"{self.last} is sent too slowly.")
                    yield chunk
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise DownloadError(f"{self.last} broke off after {length} bytes: {_cause(error)}.") from error
        response.release_conn()


@contextmanager
def _cut_after(seconds: float, cut: Callable[[], object]) -> Iterator[None]:
    """End a connection after so many seconds: a timeout is for one read, and headers and trailers may never end."""

    def end() -> None:
        with suppress(OSError, ValueError, RuntimeError):  # it has ended
            cut()

    timer = Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Connection(HTTPConnection):
    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3 does
        with _cut_after(self.timeout or 0, partial(self.sock.shutdown, socket.SHUT_RDWR)):
            return super().getresponse()


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def _cause(error: Exception) -> str:
    """What the system says, or urllib3 without its connection."""
    cause = getattr(error, "reason", None) or error
    text = getattr(cause.__cause__, "strerror", None) or str(cause)
    return str(text).rpartition("): ")[2].rstrip(".")
