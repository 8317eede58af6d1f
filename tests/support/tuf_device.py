"""A device with python-tuf's own client, which reads the catalogue from files."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

BASE = "https://store.example/catalogue"


class Files(FetcherInterface):
    """Answers as a web server that has these files; `asked` has the paths of each update."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []

    def _fetch(self, url: str) -> Iterator[bytes]:
        self.asked.append(path := url.removeprefix(f"{BASE}/"))
        try:
            yield (self.root / path).read_bytes()
        except FileNotFoundError:
            raise DownloadHTTPError("missing", 404) from None


class TufDevice:
    """Remembers what it has seen from one update to the next, as a device does."""

    def __init__(self, catalogue: Path, root: bytes | None = None) -> None:
        self.files = Files(catalogue)
        self._root = root or (catalogue / "metadata/1.root.json").read_bytes()
        self._place = Path(tempfile.mkdtemp(prefix="device-", dir=catalogue.parent))

    def copy(self) -> "TufDevice":
        """Another device that has seen the same."""
        twin = TufDevice(self.files.root, self._root)
        shutil.copytree(self._place, twin._place, dirs_exist_ok=True)
        return twin

    def updated(self) -> Updater:
        """The client after an update. Raises RepositoryError and DownloadError."""
        self.files.asked.clear()
        place = self._place
        (place / "targets").mkdir(exist_ok=True)
        client = Updater(
            str(place / "metadata"), f"{BASE}/metadata/", str(place / "targets"), f"{BASE}/targets/", self.files,
            bootstrap=self._root,
        )  # fmt: skip
        client._trusted_set.reference_time = datetime.fromtimestamp(time.time(), UTC)  # which tests move
        client.refresh()
        return client

    def documents(self, *app_ids: str) -> dict[str, Any]:
        """The documents of these apps, None for one without."""
        client, found = self.updated(), {}
        for app_id in app_ids:
            target = client.get_targetinfo(f"apps/{app_id}.json")
            path = target and (client.find_cached_target(target) or client.download_target(target))
            found[app_id] = json.loads(Path(path).read_bytes()) if path else None
        return found
