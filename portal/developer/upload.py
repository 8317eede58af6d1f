"""Uploading a package by tus 1.0, over lost connections, a store that restarts, and expired URLs."""

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from portal.developer import places, private_file
from portal.developer.answers import OpenUpload, Placed
from portal.developer.client import Client
from portal.developer.errors import Problem, Unreachable
from portal.developer.patience import Patience
from portal.faults import Fault
from portal.packages.remedies import remedies

CHUNK = 8 * 1024 * 1024  # bytes in one request
TUS = {"Tus-Resumable": "1.0.0"}
GONE = ("NOT_FOUND", "UPLOAD_EXPIRED", "UPLOAD_USED")
MOST_STARTS = 3
UPLOAD_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """A package to upload: an open file, its bytes, its SHA-256 in hex."""

    file: IO[bytes]
    size: int
    sha256: str


class _Part:
    """The next bytes of a file, as a body of a request; `sent` is called with the position in the file."""

    def __init__(self, source: Source, offset: int, sent: Callable[[int], None]) -> None:
        self._file, self._left, self._sent = source.file, min(CHUNK, source.size - offset), sent
        self._file.seek(offset)
        self.size = self._left

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(chunk)
        self._sent(self._file.tell())
        return chunk


class Upload:
    """One upload at the store, continued from an earlier command where that is possible."""

    def __init__(
        self, client: Client, app_id: str, source: Source, patience: Patience, progress: Callable[[int, int], None]
    ) -> None:
        self._client, self._app_id, self._source = client, app_id, source
        self._patience, self._progress = patience, progress
        self._note = _note(client.url, app_id, source.sha256)
        self._upload_id, self._target = "", ""
        self._renewed = False  # and nothing has been sent since

    def send(self) -> Placed:
        """Upload the package and complete it; returns the version. Raises Problem, Unreachable, Fault."""
        for _ in range(MOST_STARTS):
            try:
                self._start()
                self._send_all()
                version = self._complete()
            except Problem as problem:
                if problem.code not in GONE:
                    raise
                self._forget()
            else:
                self._forget()
                return version
        raise Fault(f"The store gave up {MOST_STARTS} uploads of the package before they were whole: try again later.")

    def _start(self) -> None:
        if not self._continue(self._remembered()):
            self._create()

    def _continue(self, upload_id: str | None) -> bool:
        """Whether an upload that an earlier command began is still open."""
        if upload_id is None:
            return False
        try:
            self._issued(self._again(lambda: self._client.post(f"/api/uploads/{upload_id}/url", OpenUpload)))
        except Problem:
            self._forget()
            return False
        return True

    def _create(self) -> None:
        body = {"size": self._source.size, "sha256": self._source.sha256}
        path = f"/api/apps/{self._app_id}/uploads"
        self._issued(self._again(lambda: self._client.post(path, OpenUpload, body, once=True)))
        self._remember()

    def _issued(self, opened: OpenUpload) -> None:
        """The URL may name the store as devices see it; this client goes the way that it came."""
        self._upload_id, self._target = opened.upload_id, opened.target

    def _send_all(self) -> None:
        offset = self._offset()
        while offset < self._source.size:
            try:
                offset = self._append(offset)
                self._patience.succeeded()
                self._renewed = False
            except (Unreachable, Problem) as fault:
                offset = self._after(fault, offset)

    def _append(self, offset: int) -> int:
        part = _Part(self._source, offset, lambda position: self._progress(position, self._source.size))
        headers = {
            **TUS,
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(part.size),
            "Upload-Offset": str(offset),
        }
        # urllib3 wants no more of a file than `read`.
        answer = self._client.request("PATCH", self._target, part, headers, signed=True)  # type: ignore[arg-type]
        reached = answer.number("Upload-Offset")
        if not offset < reached <= self._source.size:
            raise Fault(f"{self._client.url} is no store: it received bytes and has {reached} of {self._source.size}.")
        return reached

    def _after(self, fault: Unreachable | Problem, offset: int) -> int:
        """The offset to continue at. Raises `fault` where trying again is of no use."""
        if isinstance(fault, Problem):
            if fault.status == 403:
                self._renew(fault)
            elif fault.code != "OFFSET_CONFLICT":
                raise fault
        self._patience.wait(fault)
        found = self._offset()
        if found > offset:
            self._patience.succeeded()
        return found

    def _offset(self) -> int:
        """How many bytes the store has."""

        def ask() -> int:
            try:
                answer = self._client.request("HEAD", self._target, headers=TUS, signed=True)
            except Problem as problem:
                if problem.status in (404, 410):  # an answer to HEAD has no body to tell why
                    raise Problem(404, "NOT_FOUND", str(problem)) from None
                if problem.status != 403:
                    raise
                self._renew(problem)
                answer = self._client.request("HEAD", self._target, headers=TUS, signed=True)
            return answer.number("Upload-Offset")

        offset = self._again(ask)
        self._progress(offset, self._source.size)
        return offset

    def _renew(self, refused: Problem) -> None:
        """Get another URL for the same upload: an answer to HEAD does not say why it is 403. Raises `refused` if the
        store has refused the URL before this one too.
        """
        if self._renewed:
            raise refused
        self._issued(self._again(lambda: self._client.post(f"/api/uploads/{self._upload_id}/url", OpenUpload)))
        self._renewed = True

    def _complete(self) -> Placed:
        try:
            version = self._again(lambda: self._client.post(f"/api/uploads/{self._upload_id}/complete", Placed))
        except Problem as problem:
            self._forget()  # it cannot be completed a second time
            if problem.reasons:
                raise Fault("\n".join([str(problem), *remedies(problem.reasons)])) from None
            raise
        return version

    def _again(self, ask: Callable[[], T]) -> T:
        """The answer of `ask`, tried until the store can be reached."""
        while True:
            try:
                answer = ask()
            except Unreachable as fault:
                self._patience.wait(fault)
            else:
                return answer

    def _remembered(self) -> str | None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            noted = str(json.loads(self._note.read_bytes())["upload_id"])
            return noted if UPLOAD_ID.fullmatch(noted) else None
        return None

    def _remember(self) -> None:
        with suppress(OSError):  # a later command then starts anew
            private_file.write(self._note, json.dumps({"upload_id": self._upload_id}).encode())

    def _forget(self) -> None:
        with suppress(OSError):
            self._note.unlink(missing_ok=True)


def _note(url: str, app_id: str, sha256: str) -> Path:
    name = hashlib.sha256(f"{url}\n{app_id}\n{sha256}\n".encode()).hexdigest()
    return places.cache() / "uploads" / f"{name}.json"
