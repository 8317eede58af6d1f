"""A client of a store's HTTP API: one request at a time, each refusal an exception with cause and remedy."""

import json
import ssl
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from portal import __version__
from portal.developer.credentials import Account, is_url
from portal.developer.errors import Problem, SignedOut, Unreachable
from portal.faults import Fault

CONNECT_SECONDS, SILENCE_SECONDS = 15, 60
MOVED = (301, 302, 307, 308)
BUSY = (408, 423, 429, 500, 502, 503, 504)  # a later try may succeed
PROBLEM_TYPE = "application/problem+json"
MOST_MOVES = 5
NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")  # as releases of OpenSSL call plain HTTP


class Busy(Unreachable):
    """The store answered that it cannot serve this request now; `retry_after` is in seconds, None if it named none."""

    def __init__(self, text: str, retry_after: float | None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of a request that succeeded; `document` is the JSON of the body, None without one."""

    status: int
    headers: Mapping[str, str]
    document: Any


class Client:
    """The API of one store. `moved` is called with the new URL of a store that redirects from http to https."""

    def __init__(self, account: Account, moved: Callable[[str], None] = lambda url: None) -> None:
        self.url = account.url
        self._token = account.token
        self._moved = moved
        self._http = _pool(account.url)

    def get(self, path: str) -> Any:
        """The JSON at `path`. Raises Problem, Unreachable, Fault."""
        return self.request("GET", path).document

    def post(self, path: str, body: Mapping[str, object] | None = None, *, once: bool = False) -> Any:
        """The JSON that answers; `once` marks a request that creates something, so that a repeated one does not."""
        headers = {"Content-Type": "application/json"}
        if once:
            headers["Idempotency-Key"] = uuid.uuid4().hex
        return self.request("POST", path, json.dumps(body or {}).encode(), headers).document

    def request(
        self,
        method: str,
        path: str,
        body: bytes | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        signed: bool = False,
    ) -> Answer:
        """One request with the token, or without it to a `signed` URL. Raises Problem, Unreachable, Fault."""
        sent = {"User-Agent": f"mosis/{__version__}", "Accept": "application/json", **(headers or {})}
        if not signed:
            sent["Authorization"] = f"Bearer {self._token}"
        for _ in range(MOST_MOVES):
            response = self._send(method, path, body, sent)
            if response.status not in MOVED:
                return self._answer(response)
            self._follow(response, path)
        raise Fault(f"{self.url} redirects in a circle: check the URL of the store.")

    def _send(
        self, method: str, path: str, body: bytes | IO[bytes] | None, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._http.request(
                method, self.url + path, body=body, headers=headers, retries=False, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            if _speaks_http(error):
                raise Fault(f"{self.url} speaks HTTP: try http{self.url.removeprefix('https')}.") from error
            raise Unreachable(f"{self.url} cannot be reached: {_cause(error)}.") from error

    def _follow(self, response: urllib3.BaseHTTPResponse, path: str) -> None:
        """Go to the same store by https where it asks for that; a token is never sent to another host."""
        target = response.headers.get("Location", "")
        base, old = target.removesuffix(path).rstrip("/"), urlsplit(self.url)
        if not target.endswith(path) or not is_url(base):
            raise Fault(f"{self.url} is no store: it redirects to {target[:200]!r}.")
        new = urlsplit(base)
        if (new.scheme, new.hostname) != ("https", old.hostname):
            raise SignedOut(f"The store has moved from {self.url} to {base}: if you trust that, `mosis login {base}`.")
        self.url, self._http = base, _pool(base)
        self._moved(base)

    def _answer(self, response: urllib3.BaseHTTPResponse) -> Answer:
        document = _json(response)
        if response.status < 300 and (document is not None or not response.data):
            return Answer(response.status, response.headers, document)
        if response.status in BUSY and not _is_refusal(document):
            raise Busy(self._said(response, document), _seconds(response.headers.get("Retry-After")))
        if not _is_problem(document) and response.data:
            raise Fault(f"{self.url} is no store: it answered {response.status} with {_kind(response)}.")
        raise _problem(response.status, document or {}, self.url)

    def _said(self, response: urllib3.BaseHTTPResponse, document: Any) -> str:
        if _is_problem(document):
            return str(_problem(response.status, document, self.url))
        return f"{self.url} answered {response.status}: it is busy or restarting. Try again later."


def _pool(url: str) -> urllib3.PoolManager:
    """Connections to the store, through the proxy that the environment names for it."""
    parts = urlsplit(url)
    proxy = None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS)
    if not proxy:
        return urllib3.PoolManager(timeout=timeout)
    try:
        return urllib3.ProxyManager(proxy if "://" in proxy else f"http://{proxy}", timeout=timeout)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise Fault(f"The proxy {proxy!r} of the environment cannot be used: {error}.") from None


def _json(response: urllib3.BaseHTTPResponse) -> Any:
    try:
        return json.loads(response.data) if response.data else None
    except (ValueError, RecursionError):
        return None


def _is_problem(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("code"), str)


def _is_refusal(document: Any) -> bool:
    """Whether waiting a little would change nothing."""
    return _is_problem(document) and document["code"] in ("QUOTA_EXCEEDED", "INTERNAL_ERROR")


def _problem(status: int, document: Mapping[str, Any], url: str) -> Problem:
    reasons = tuple(str(reason) for reason in document.get("errors") or ())
    detail = str(document.get("detail") or document.get("title") or f"The store answered {status}.")
    return Problem(status, str(document.get("code", "")), detail, reasons, url)


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None


def _kind(response: urllib3.BaseHTTPResponse) -> str:
    return response.headers.get("Content-Type", "no type").partition(";")[0]


def _speaks_http(error: Exception) -> bool:
    """Whether the answer to a TLS handshake was none of TLS."""
    cause = _innermost(error)
    return isinstance(cause, ssl.SSLError) and cause.reason in NOT_TLS


def _innermost(error: Exception) -> BaseException:
    cause: BaseException = error
    while inner := next((e for e in (cause.__cause__, *cause.args[::-1]) if isinstance(e, BaseException)), None):
        cause = inner
    return cause


def _cause(error: Exception) -> str:
    """What the system says, or urllib3 without its objects."""
    cause = _innermost(error)
    text = str(getattr(cause, "strerror", None) or cause).rpartition("): ")[2].rstrip(".")
    return text[:1].lower() + text[1:]
