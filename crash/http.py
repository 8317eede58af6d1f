"""A client of the store that knows whether a request was answered."""

import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPMessage
from typing import NamedTuple

SECONDS = 60.0
INSIST_SECONDS = 30.0
POLL_SECONDS = 0.02
DOWN = (502, 503, 504)  # nginx for a portal that died


class Unanswered(Exception):
    """The server died before it answered: whether the request had an effect is not known."""


class Answer(NamedTuple):
    status: int
    headers: HTTPMessage
    body: bytes


class Client:
    """One connection, opened anew after it broke, with a token."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        self._token = token

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Raises Unanswered."""
        sent = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            self._connection.request(method, path, body, sent | dict(headers or {}))
            response = self._connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        except (OSError, HTTPException) as error:
            self._connection.close()
            raise Unanswered(f"{method} {path}: {error!r}") from None
        if answer.status in DOWN:
            raise Unanswered(f"{method} {path}: {answer.status} {answer.body[:200]!r}")
        return answer

    def insist(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request that may be repeated until it is answered. Raises Unanswered after INSIST_SECONDS."""
        deadline = time.monotonic() + INSIST_SECONDS
        while True:
            try:
                return self.ask(method, path, body, headers)
            except Unanswered:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)

    def close(self) -> None:
        self._connection.close()


def form(name: str, data: bytes, **fields: str) -> tuple[bytes, dict[str, str]]:
    """A multipart body with one file, and its header fields."""
    boundary = "------------------------d74496d66958873e8e1f2a"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = "".join(parts).encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
