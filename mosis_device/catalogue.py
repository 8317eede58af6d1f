"""The signed catalogue: which document an app has, proved by TUF metadata (theupdateframework.io)."""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tuf.api import exceptions as tuf
from tuf.api.metadata import Metadata, Root, TargetFile, Timestamp
from tuf.ngclient import Updater

from mosis_device.disk import flush
from mosis_device.fetch import Fetcher
from mosis_device.refusals import Reason, Refused

VALIDITY = timedelta(days=30)  # of timestamp.json, so that its expiry says when it was signed
MEANINGS: dict[Reason, str] = {
    "unreachable": "{error} Check the URL and the network, or try again later.",
    "malformed": "{file} is not metadata of a catalogue: check the URL.",
    "forged": "{file} is not signed by the keys that this device trusts: it is forged, or from another store.",
    "expired": "The catalogue of {base} has expired: the store has not signed it for long, or this device's clock"
    " ({now}) is wrong.",
    "rolled-back": "{file} is older than what this device has seen: a lagging copy, or an old one that is replayed.",
    "mixed": "{file} does not belong to the rest of the catalogue: its copy is wrong.",
}


def check_root(data: bytes) -> None:
    """Check that this is root metadata that signs itself. Raises Refused."""
    try:
        root = Metadata[Root].from_bytes(data)
        root.verify_delegate("root", root)
    except tuf.RepositoryError:
        raise Refused("malformed", "The root is not root metadata of a catalogue: check the file or the URL.") from None


def newest_root(metadata: Path) -> str:
    """SHA-256 of the newest root that was verified, in hex; nothing without one."""
    with suppress(FileNotFoundError):
        return hashlib.sha256((metadata / "root.json").read_bytes()).hexdigest()
    return ""


@dataclass(frozen=True)
class Seen:
    """When the newest timestamp was signed that this device has seen, and the SHA-256 of the newest root then, in hex.

    Another root ends it: a thief of the key of the timestamp could have set it in the future.
    """

    at: datetime
    root: str


class Catalogue:
    """The catalogue at the bases of `fetcher`, with its last good metadata and documents below `directory`.

    `root` is the root metadata that trust begins with; `clock` and `seen` decide what has expired.
    """

    def __init__(self, directory: Path, root: bytes, fetcher: Fetcher, clock: datetime, seen: Seen) -> None:
        self._metadata, self._documents = directory / "metadata", directory / "documents"
        self._root, self._fetcher, self._clock, self._seen = root, fetcher, clock, seen
        self._now = clock

    def read(self, app_ids: Iterable[str]) -> dict[str, bytes]:
        """Fetch what changed; the documents of those apps that the catalogue has.

        A base that answers with a bad catalogue is passed over for the next one. Raises Refused when all are bad.
        """
        wanted, faults = tuple(app_ids), list[Refused]()
        for _ in tuple(self._fetcher.bases):
            try:
                return self._read(wanted)
            except (tuf.RepositoryError, tuf.DownloadError) as error:
                faults.append(self._refused(error))
                self._fetcher.turn()
        raise next((fault for fault in faults if fault.reason != "unreachable"), faults[0])

    def seen(self) -> Seen:
        """What was seen by now."""
        newest = Metadata[Timestamp].from_file(str(self._metadata / "timestamp.json"))
        return Seen(newest.signed.expires - VALIDITY, self._newest_root())

    def now(self) -> datetime:
        """The time: a device without a battery begins in 1970, and takes the latest time that it saw signed."""
        return max(self._clock, self._seen.at) if self._seen.root == self._newest_root() else self._clock

    def _newest_root(self) -> str:
        return newest_root(self._metadata)

    def _read(self, app_ids: tuple[str, ...]) -> dict[str, bytes]:
        try:
            return self._read_once(app_ids)
        except tuf.ExpiredMetadataError:
            if self.now() == self._now:
                raise
            return self._read_once(app_ids)  # there is a new root, so it is another time

    def _read_once(self, app_ids: tuple[str, ...]) -> dict[str, bytes]:
        updater = self._updater()
        updater.refresh()
        targets = {app_id: updater.get_targetinfo(f"apps/{app_id}.json") for app_id in app_ids}
        documents = {app_id: self._document(updater, target) for app_id, target in targets.items() if target}
        self._flush()
        return documents

    def _updater(self) -> Updater:
        for directory in (self._metadata, self._documents):
            directory.mkdir(parents=True, exist_ok=True)
        self._now = self.now()  # before the updater, which has root.json begin anew
        metadata, documents = (str(self._metadata), "catalogue/metadata/"), (str(self._documents), "catalogue/targets/")
        updater = Updater(*metadata, *documents, self._fetcher, bootstrap=self._root)
        updater._trusted_set.reference_time = self._now  # noqa: SLF001  no public way to say what time it is
        return updater

    @staticmethod
    def _document(updater: Updater, target: TargetFile) -> bytes:
        found = updater.find_cached_target(target) or updater.download_target(target)
        return Path(found).read_bytes()

    def _flush(self) -> None:
        """Keep through a power cut what protects from a rollback; remove what a kill left unfinished."""
        for file in self._metadata.iterdir():
            if file.suffix == ".json" and file.is_file():
                flush(file)
            elif file.name.startswith("tmp"):
                file.unlink()
        flush(self._metadata)

    def _refused(self, error: Exception) -> Refused:
        reason, file = self._reason(error), self._fetcher.last
        base, now = file.partition("/catalogue/")[0], f"{self._now:%Y-%m-%d %H:%M}"
        return Refused(reason, MEANINGS[reason].format(error=error, file=file, base=base, now=now))

    def _reason(self, error: Exception) -> Reason:
        role = self._fetcher.last.rpartition("/")[2].removesuffix(".json").rpartition(".")[2]
        match error:
            case tuf.ExpiredMetadataError():
                return "expired"
            case tuf.UnsignedMetadataError():
                return "forged"
            case tuf.BadVersionNumberError() if role in ("timestamp", "snapshot"):
                return "rolled-back"
            case tuf.DownloadLengthMismatchError() if role in ("timestamp", "root"):
                return "malformed"
            case tuf.BadVersionNumberError() | tuf.LengthOrHashMismatchError() | tuf.DownloadLengthMismatchError():
                return "mixed"
            case tuf.DownloadError():
                return "unreachable"
        return "malformed"
