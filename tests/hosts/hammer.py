"""A client that never rests: it downloads and uploads for as long as a host is worked on, and counts what failed."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.hosts.store import Store, Upload
from tests.support import kept

UPLOADS = {"uploads_per_hour": 3600}
"""Settings of a store that is hammered."""

UPLOAD_PAUSE = 2.0  # seconds
DOWNLOAD_PAUSE = 0.02


class Hammer:
    """Use as a context manager; afterwards `failures` has a line for every request that was not answered as it should.

    `str` of it counts them, and the downloads that were sent again because nginx, reloading, closed a kept connection.
    """

    def __init__(self, store: Store, wanted: Upload, directory: Path, first_code: int) -> None:
        """`wanted` is downloaded again and again; versions from `first_code` on, made in `directory`, are uploaded."""
        self._store, self._wanted, self._directory = store, wanted, directory
        self._codes, self._over = count(first_code), threading.Event()
        self._uploaded: dict[int, str] = {}
        self._counts: Counter[str] = Counter()
        self._slowest = 0.0
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        steps = {"download": (self._download, DOWNLOAD_PAUSE), "upload": (self._upload, UPLOAD_PAUSE)}
        self._threads = [threading.Thread(target=self._again, args=(kind, *step)) for kind, step in steps.items()]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def __str__(self) -> str:
        done = ", ".join(f"{number} {kind}s" for kind, number in sorted(self._counts.items()))
        return f"{done}, {len(self.failures)} failed, slowest {self._slowest:.1f} s"

    def all_is_there(self) -> None:
        """Raises AssertionError unless every upload that was answered is given back to its owner byte for byte."""
        owner = {"Authorization": f"Bearer {self._store.developer}"}
        assert self._uploaded, "nothing was uploaded"
        for code, sha256 in self._uploaded.items():
            content = self._store.get(self._store.path(code), headers=owner).content
            assert hashlib.sha256(content).hexdigest() == sha256, f"version {code} is another one"

    def _again(self, kind: str, step: Callable[[], None], pause: float) -> None:
        while not self._over.wait(pause):
            began = time.monotonic()
            try:
                step()
            except Exception as error:  # whatever it is, the client's request was not served
                self.failures.append(f"{kind}: {error!r}"[:500])
            self._counts[kind] += 1
            self._slowest = max(self._slowest, time.monotonic() - began)

    def _download(self) -> None:
        answer, again = kept.get(self._store.client, self._store.path(self._wanted.version_code))
        self._counts["resend"] += again
        assert answer.status_code == 200, f"status {answer.status_code}: {answer.text[:300]}"
        assert answer.content == self._wanted.content, f"{len(answer.content)} other bytes than those uploaded"

    def _upload(self) -> None:
        code = next(self._codes)
        self._uploaded[code] = self._store.upload(self._directory, code, megabytes=1).sha256
        (self._directory / f"{code}.mosis").unlink()
