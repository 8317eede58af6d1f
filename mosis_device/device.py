"""What is installed below one directory, and how that changes: whole, or not at all.

    root.json                what trust begins with
    device.json              the rollout secret, and the latest time seen signed
    metadata/ documents/     the last good catalogue
    apps/APP_ID/app.json     the installed version, the one before, the keys: the truth
    apps/APP_ID/CODE/        the files of a version

A version is there once app.json names it. Everything else below apps/APP_ID/ is what a killed installation left; the
next one continues the download and removes the rest.
"""

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from tuf.api.exceptions import DownloadError

from mosis_device import document, keys, package
from mosis_device.catalogue import MEANINGS, Catalogue, Seen, check_root, newest_root
from mosis_device.disk import replace
from mosis_device.document import Document, Release, Traits
from mosis_device.download import Part, Progress, download
from mosis_device.fetch import Bounds, Fetcher
from mosis_device.refusals import Reason, Refused, storage

APP_ID = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9_-]+)+")
STALE = timedelta(days=7)  # without anything newer, a person should know
EPOCH = "1970-01-01T00:00:00+00:00"
Record = dict[str, Any]
Kind = Literal["installed", "updated", "current", "refused"]


@dataclass(frozen=True)
class Options:
    """How this device chooses. `api` is its API level; `accepted_key` a recovered key that a person agreed to."""

    api: int | None = None
    channel: str = "stable"
    automatic: bool = False
    accepted_key: str | None = None
    bounds: Bounds = field(default_factory=Bounds)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True)
class Outcome:
    """What became of one app. `path` has the files of the installed version, of which there may be none."""

    app_id: str
    outcome: Kind
    version_code: int | None = None
    version_name: str | None = None
    path: str | None = None
    reason: Reason | None = None
    detail: str | None = None


def refused(app_id: str, error: Refused | OSError, directory: Path) -> Outcome:
    """What an error means for an app, or for all of them (an empty `app_id`)."""
    known = error if isinstance(error, Refused) else storage(error, directory)
    return Outcome(app_id, "refused", reason=known.reason, detail=str(known))


class Device:
    """The apps below `directory`, installed from the stores at `bases`; `say` takes sentences for people."""

    def __init__(
        self, directory: Path, bases: Iterable[str], options: Options, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self.directory, self.options = directory, options
        self.fetcher = Fetcher(bases, options.bounds)
        self._say = say

    @property
    def trusts(self) -> bool:
        """Whether there is a root to begin with."""
        return (self.directory / "root.json").exists()

    def trust(self, root: bytes | None = None) -> str:
        """Begin trust with this root metadata from now on, without one with the first of the store.

        Its fingerprint, SHA-256 in hex, for people to compare. Raises Refused.
        """
        if root is None:
            try:
                root = self.fetcher.download_bytes("catalogue/metadata/1.root.json", self.options.bounds.metadata)
            except DownloadError as error:
                raise Refused("unreachable", MEANINGS["unreachable"].format(error=error)) from error
        check_root(root)
        with self._locked():
            replace(self.directory / "root.json", root)
        return hashlib.sha256(root).hexdigest()

    def installed(self) -> dict[str, Record]:
        """The records of all apps; empty where one is damaged, which `install` reports."""
        records: dict[str, Record] = {path.parent.name: {} for path in sorted(self.directory.glob("apps/*/app.json"))}
        for app_id in records:
            with suppress(Refused, OSError):
                records[app_id] = self._record(app_id)
        return records

    def install(self, app_ids: Iterable[str], progress: Progress = lambda done, size: None) -> list[Outcome]:
        """Install each app, or its newest version that suits. Raises Refused where none of them can be tried."""
        wanted = tuple(app_ids)
        for app_id in wanted:
            if not APP_ID.fullmatch(app_id):
                raise Refused("unknown-app", f"{app_id!r} is not an app ID, such as org.example.reader.")
        with self._locked():
            state = self._state()
            documents = self._documents(wanted, state)
            traits = Traits(self.options.api, self.options.channel, bytes.fromhex(state["secret"]),
                            self.options.automatic)  # fmt: skip
            return [self._outcome(app_id, documents.get(app_id), traits, progress) for app_id in wanted]

    def _documents(self, app_ids: tuple[str, ...], state: Record) -> dict[str, bytes]:
        seen = Seen(datetime.fromisoformat(state["seen"]), state["root"])
        try:
            root = (self.directory / "root.json").read_bytes()
        except FileNotFoundError:
            raise Refused("no-root", "This device has no root of the store yet: give one with --root, or accept"
                          " the first one of the store with --trust-first-use.") from None  # fmt: skip
        try:
            check_root(root)
        except Refused:
            path = self.directory / "root.json"
            raise Refused("storage", f"{path} is damaged: delete it, and give the root with --root, or accept the"
                          " first one of the store with --trust-first-use.") from None  # fmt: skip
        read = Catalogue(self.directory, root, self.fetcher, self.options.clock(), seen)
        documents = read.read(app_ids)
        newest = read.seen()
        if read.now() - newest.at > STALE:
            self._say(
                f"The store has signed nothing since {newest.at:%Y-%m-%d}: it is off, or this copy is not updated."
            )
        if newest.root != seen.root or newest.at > seen.at:
            changed = {"seen": newest.at.isoformat(), "root": newest.root}
            replace(self.directory / "device.json", _json(state | changed))
        return documents

    def _outcome(self, app_id: str, found: bytes | None, traits: Traits, progress: Progress) -> Outcome:
        try:
            return self._update(app_id, found, traits, progress)
        except (Refused, OSError) as error:
            return refused(app_id, error, self.directory)

    def _update(self, app_id: str, found: bytes | None, traits: Traits, progress: Progress) -> Outcome:
        if found is None:
            raise Refused("unknown-app", f"The catalogue has no app {app_id}: check the ID; if it has just been"
                          " published, run the command again in a minute, or in seven if it asks a mirror or a"
                          " CDN.")  # fmt: skip
        app, home, record = document.parse(found, app_id), self._home(app_id), self._record(app_id)
        _tidy(home, record)
        installed = record.get("version_code", 0)
        if installed in app.withdrawn:
            self._say(f"The installed version {installed} of {app_id} is withdrawn: {app.withdrawn[installed]}")
        is_lost = installed > 0 and not (home / str(installed)).is_dir()
        release = document.choose(app, installed - is_lost, traits)
        if release is None and is_lost:
            raise Refused("storage", f"The files of {app_id} in {home / str(installed)} are lost, and the catalogue"
                          f" has no release from {installed} on for this device: delete {home} and install the app"
                          " again.")  # fmt: skip
        if release is None:
            Part(home / "package.part").forget()
        else:
            self._install(home, app, release, record, progress)
            record = self._record(app_id)
        kind: Kind = "current" if release is None else "updated" if installed and not is_lost else "installed"
        code = record["version_code"]
        return Outcome(app_id, kind, code, record["version_name"], str(home / str(code)))

    def _install(self, home: Path, app: Document, release: Release, record: Record, progress: Progress) -> None:
        entries = keys.follow(app.app_id, record.get("keys", []), app.keys, self.options.accepted_key)
        signer = keys.signer(entries, release.version_code)
        if release.size > self.options.bounds.package:
            raise Refused("bad-package", f"The package has {release.size} bytes, more than this device takes.")
        home.mkdir(parents=True, exist_ok=True)
        part, fresh = Part(home / "package.part"), home / "fresh"
        download(self.fetcher, release.paths, release.size, release.sha256, part, progress)
        try:
            content = package.unpack(part.path, fresh, self.options.bounds)
            package.verify(content, app.app_id, release, signer)
            os.sync()  # every file of it; to flush them one by one takes far longer
            fresh.rename(home / str(release.version_code))
            again = release.version_code == record.get("version_code")
            previous = record.get("previous" if again else "version_code")
            replace(home / "app.json", _json({
                "app_id": app.app_id, "name": app.name, "version_code": release.version_code,
                "version_name": release.version_name, "previous": previous,
                "sha256": release.sha256, "statement_sha256": release.statement_sha256, "keys": entries,
            }))  # fmt: skip
            part.forget()
        except Refused:
            part.forget()
            raise
        finally:
            _tidy(home, self._record(app.app_id))

    def _home(self, app_id: str) -> Path:
        return self.directory / "apps" / app_id

    def _record(self, app_id: str) -> Record:
        path = self._home(app_id) / "app.json"
        try:
            record: Record = json.loads(path.read_bytes())
            if not isinstance(record["version_code"], int) or not isinstance(record["keys"], list):
                raise TypeError
        except FileNotFoundError:
            return {}
        except (ValueError, LookupError, TypeError):
            raise Refused("storage", f"{path} is damaged: delete {path.parent} and install the app again.") from None
        return record

    def _state(self) -> Record:
        """What device.json has; a member that is missing or damaged begins anew, and takes no other with it."""
        path = self.directory / "device.json"
        try:
            found = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError):
            found = None
        read = found if isinstance(found, dict) else {}
        state = {
            "secret": _valid(read.get("secret"), bytes.fromhex) or secrets.token_hex(16),
            "seen": _valid(read.get("seen"), lambda text: datetime.fromisoformat(text).astimezone()) or EPOCH,
            "root": _valid(read.get("root"), bytes.fromhex) or newest_root(self.directory / "metadata"),
        }
        if state != read:
            replace(path, _json(state))
        return state

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One installation at a time; the kernel ends the lock of one that is killed."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with (self.directory / "lock").open("ab") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise Refused(
                        "busy", f"Another installation into {self.directory} is running: wait until it has ended."
                    ) from None
                yield
        except OSError as error:
            raise storage(error, self.directory) from error


def _tidy(home: Path, record: Record) -> None:
    """Remove what no record names: unfinished files, and versions older than the one before."""
    kept = {"app.json", "package.part", "package.origin", str(record.get("version_code")), str(record.get("previous"))}
    for found in home.glob("*"):
        if found.name not in kept:
            shutil.rmtree(found) if found.is_dir() else found.unlink()


def _valid(value: object, parse: Callable[[str], object]) -> str:
    """The text, if it can be parsed; else nothing."""
    if not isinstance(value, str):
        return ""
    try:
        parse(value)
    except (ValueError, OverflowError):
        return ""
    return value


def _json(value: Record) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"
