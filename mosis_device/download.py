"""One package into one file, continued where it broke off, and never put together from two different files."""

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path

from tuf.api.exceptions import DownloadError, DownloadHTTPError

from mosis_device.fetch import Fetcher
from mosis_device.refusals import Refused

OF_STORE = "downloads/"
"""Where a store has its packages, below its base URL; the entity tag of each is its SHA-256."""
Progress = Callable[[int, int], None]
"""Takes the bytes that are there, and of how many."""


class Part:
    """The beginning of a package. The URL that it came from continues it, if it still has the same strong entity tag.

    Another base may have another file under the same path: to continue with that one would mix the two.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._origin = path.with_suffix(".origin")

    def begin(self, url: str, etag: str) -> None:
        self.forget()
        self._origin.write_text(json.dumps({"url": url, "etag": etag}))

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)  # first: these bytes must never stand beside another origin
        self._origin.unlink(missing_ok=True)

    def from_url(self, url: str) -> tuple[int, str]:
        """How many bytes `url` can continue, and its entity tag."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            origin = json.loads(self._origin.read_text())
            if origin["url"] == url and str(origin["etag"]).startswith('"'):
                return self.path.stat().st_size, str(origin["etag"])
        return 0, ""

    def sha256(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def download(
    fetcher: Fetcher, paths: Iterable[str], size: int, sha256: str, part: Part, progress: Progress
) -> None:  # fmt: skip
    """Complete `part` to the package of `size` bytes with the digest `sha256`, hex.

    `paths` are tried below every base. A store may redirect to a bucket that is away, but not a request whose condition
    names its own entity tag, so that is tried last. Raises Refused, OSError when the file cannot be written.
    """
    failures, wrong, below = list[str](), list[str](), tuple(paths)
    itself = {"If-Match": f'"{sha256}"'}
    tries = [(base + path, dict[str, str]()) for base in fetcher.bases for path in below]
    tries += [(url, itself) for url, _ in tries if f"/{OF_STORE}" in url]
    for url, condition in tries:
        try:
            _complete(fetcher, url, condition, size, part, progress)
        except DownloadError as error:
            failures.append(str(error))
            continue
        if part.sha256() == sha256:
            return
        part.forget()
        wrong.append(url)
    if wrong:
        raise Refused("wrong-digest", f"{wrong[0]} is not the package that the catalogue names; no other copy is.")
    raise Refused("unreachable", " ".join(failures))


def _complete(
    fetcher: Fetcher, url: str, condition: dict[str, str], size: int, part: Part, progress: Progress
) -> None:  # fmt: skip
    """Try as long as each try brings something."""
    tries = fetcher.bounds.tries
    for left in reversed(range(tries)):
        before, _ = part.from_url(url)
        try:
            return _continue(fetcher, url, condition, size, part, progress)
        except DownloadHTTPError as error:
            if error.status_code == 416:
                part.forget()
            raise
        except DownloadError:
            if not left or part.from_url(url)[0] <= before:
                raise
    return None


def _continue(
    fetcher: Fetcher, url: str, condition: dict[str, str], size: int, part: Part, progress: Progress
) -> None:  # fmt: skip
    start, etag = part.from_url(url)
    if start == size:
        return
    partial = {"Range": f"bytes={start}-", "If-Range": etag} if 0 < start < size else {}
    with closing(fetcher.open(url, {"Accept-Encoding": "identity", **condition, **partial})) as response:
        if response.status == 200:
            start = 0
            part.begin(url, response.headers.get("ETag", ""))
        elif not partial or response.headers.get("Content-Range") != f"bytes {start}-{size - 1}/{size}":
            part.forget()
            raise DownloadError(f"{url} did not send the range that was asked for.")
        with part.path.open("ab") as file:
            for chunk in fetcher.body(response, size - start):
                file.write(chunk)
                progress(file.tell(), size)
    if (length := part.path.stat().st_size) < size:
        raise DownloadError(f"{url} ended after {length} of {size} bytes.")
