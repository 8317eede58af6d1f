"""A client of a store's HTTP API: one request at a time, each refusal an exception with cause and remedy."""

import json
import ssl
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from pydantic import ValidationError

from portal import __version__
from portal.developer import answers
from portal.developer.answers import D, L, ProblemDocument
from portal.developer.credentials import Account, is_url
from portal.developer.errors import Problem, SignedOut, Unreachable
from portal.faults import Fault
from portal.printable import printable

CONNECT_SECONDS, SILENCE_SECONDS = 15, 60
PAGES_MAX = 1000  # of a list: no store makes a command run for ever
MOVED = (301, 302, 307, 308)
BUSY = (408, 423, 429, 500, 502, 503, 504)  # a later try may succeed
REFUSALS = ("QUOTA_EXCEEDED", "INTERNAL_ERROR")  # for which waiting a little would change nothing
MOST_MOVES = 5
ANSWER_MAX = 32 * 1024 * 1024  # bytes of JSON; 10,000 apps are 8 MB
NUMBER_DIGITS_MAX = 16
NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")  # as releases of OpenSSL call plain HTTP


class Busy(Unreachable):
    """The store answered that it cannot serve this request now; `retry_after` is in seconds, None if it named none."""

    def __init__(self, text: str, retry_after: float | None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Answer:
    """What a request that succeeded got; `document` is the JSON of the body, None without one."""

    asked: str  # method and URL
    headers: Mapping[str, str]
    document: object

    def read(self, kind: type[D]) -> D:
        """Raises Fault for an answer of another shape."""
        return answers.read(kind, self.document, self.asked)

    def number(self, header: str) -> int:
        """Raises Fault for a header that is missing or no number."""
        text = self.headers.get(header, "")
        if not (text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS_MAX):
            raise Fault(f"The answer to {self.asked} is not what a store sends ({header}: no number): check the URL.")
        return int(text)


class Client:
    """The API of one store. `moved` is called with the new URL of a store that redirects from http to https.

    `renewed` returns another token for one that has expired meanwhile.
    """

    def __init__(
        self,
        account: Account,
        moved: Callable[[str], None] = lambda url: None,
        renewed: Callable[[], str] | None = None,
    ) -> None:
        self.url = account.url
        self._token = account.token
        self._moved, self._renewed = moved, renewed
        self._http = _pool(account.url)

    def get(self, path: str, kind: type[D]) -> D:
        """The document at `path`. Raises Problem, Unreachable, Fault."""
        return self.request("GET", path).read(kind)

    def every(self, path: str, kind: type[L], member: str) -> L:
        """All pages of the list at `path`, whose rows are the `member` of each, as one. Raises as `get` does."""
        found = page = self.get(path, kind)
        for _ in range(PAGES_MAX):
            if not page.cursor:
                break
            page = self.get(f"{path}?{urlencode({'cursor': page.cursor})}", kind)
            getattr(found, member).extend(getattr(page, member))
        return found

    def post(
        self,
        path: str,
        kind: type[D],
        body: Mapping[str, object] | None = None,
        *,
        once: bool = False,
        signed: bool = False,
    ) -> D:
        """The document that answers; `once` marks a request that creates something, so that a repeated one does not."""
        headers = {"Content-Type": "application/json"}
        if once:
            headers["Idempotency-Key"] = uuid.uuid4().hex
        return self.request("POST", path, json.dumps(body or {}).encode(), headers, signed=signed).read(kind)

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
        try:
            return self._request(method, path, body, headers, signed=signed)
        except Problem as problem:
            if signed or problem.code != "UNAUTHENTICATED" or self._renewed is None:
                raise
        self._token = self._renewed()
        return self._request(method, path, body, headers)

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | IO[bytes] | None,
        headers: Mapping[str, str] | None,
        *,
        signed: bool = False,
    ) -> Answer:
        sent = {"User-Agent": f"mosis/{__version__}", "Accept": "application/json", **(headers or {})}
        if not signed:
            sent["Authorization"] = f"Bearer {self._token}"
        for _ in range(MOST_MOVES):
            response, content = self._send(method, path, body, sent)
            if response.status not in MOVED:
                return self._answer(f"{method} {self.url}{path.partition('?')[0]}", response, content)
            self._follow(response, path)
        raise Fault(f"{self.url} redirects in a circle: check the URL of the store.")

    def _send(
        self, method: str, path: str, body: bytes | IO[bytes] | None, headers: Mapping[str, str]
    ) -> tuple[urllib3.BaseHTTPResponse, bytes]:
        """The head and the body of the answer."""
        try:
            response = self._http.request(
                method, self.url + path, body=body, headers=headers, retries=False, redirect=False,
                preload_content=False, decode_content=False,
            )  # fmt: skip
            return response, self._body(response)
        except urllib3.exceptions.HTTPError as error:
            if _speaks_http(error):
                raise Fault(f"{self.url} speaks HTTP: try http{self.url.removeprefix('https')}.") from error
            raise Unreachable(f"{self.url} cannot be reached: {_cause(error)}.") from error

    def _body(self, response: urllib3.BaseHTTPResponse) -> bytes:
        content = response.read(ANSWER_MAX + 1)
        if len(content) > ANSWER_MAX:
            response.close()
            raise Fault(f"{self.url} is no store: it answered with more than {ANSWER_MAX >> 20} MiB.")
        response.release_conn()
        return content

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

    def _answer(self, asked: str, response: urllib3.BaseHTTPResponse, content: bytes) -> Answer:
        document = _json(content)
        if response.status < 300 and (document is not None or not content):
            return Answer(asked, response.headers, document)
        problem = _problem(document)
        if response.status in BUSY and not (problem and problem.code in REFUSALS):
            reason = str(self._raised(response, problem)) if problem else ""
            raise Busy(reason or self._busy(response), _seconds(response.headers.get("Retry-After")))
        if not problem and content:
            raise Fault(f"{self.url} is no store: it answered {response.status} with {_kind(response)}.")
        raise self._raised(response, problem or ProblemDocument(code=""))

    def _raised(self, response: urllib3.BaseHTTPResponse, problem: ProblemDocument) -> Problem:
        detail = problem.detail or problem.title or f"The store answered {response.status}."
        return Problem(response.status, problem.code, detail, tuple(problem.errors), self.url)

    def _busy(self, response: urllib3.BaseHTTPResponse) -> str:
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


def _json(content: bytes) -> object:
    try:
        return json.loads(content) if content else None
    except (ValueError, RecursionError):
        return None


def _problem(document: object) -> ProblemDocument | None:
    try:
        return ProblemDocument.model_validate(document)
    except ValidationError:
        return None


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None


def _kind(response: urllib3.BaseHTTPResponse) -> str:
    return printable(response.headers.get("Content-Type", "no type").partition(";")[0][:100])


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
    return printable(text[:1].lower() + text[1:])
