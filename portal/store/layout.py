"""Paths of the store's files. Callers validate identifiers first (`packages.identifiers`).

No path leads out of its area all the same: somebody may have changed the database.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from portal.faults import Fault

AREAS = ("data", "packages", "assets", "temp", "backups")
USED = (*AREAS, "catalogue")
"""Directories that count as the store's use of the disk."""
IMAGE_DIGITS = 16
IMAGE_DIGEST = re.compile(rf"\.[0-9a-f]{{{IMAGE_DIGITS}}}(?=\.\w+$)")

PROPOSED = "proposed/"
"""Below the directory of an app: images that wait for a review. Releases that know none leave it alone."""

RECORD = "version.json"  # beside a package, once its version is committed; see recovery/records.py

# What Synology DSM creates inside shares, and ext4 at its mount point; see also the rsync filter of the backup.
SYSTEM_NAMES = frozenset({"@eaDir", "#recycle", "#snapshot", "@tmp", "lost+found"})


class LeadsOutside(Fault):
    """A name of the database leads out of the store: somebody changed the database."""


@dataclass(frozen=True)
class Layout:
    """Paths below one root; they are part of the store's contract with its operators."""

    root: Path

    def area(self, name: str) -> Path:
        return self.root / name

    @property
    def database(self) -> Path:
        return self.root / "data" / "portal.db"

    @property
    def wal(self) -> Path:
        return self.root / "data" / "portal.db-wal"

    @property
    def history(self) -> Path:
        """What the portal measured of itself; see `store.history`."""
        return self.root / "data" / "history.db"

    @property
    def litestream_state(self) -> Path:
        """What Litestream keeps beside the database: copies of the WAL on their way to the replica."""
        return self.root / "data" / ".portal.db-litestream"

    @property
    def serve_lock(self) -> Path:
        """Portals share it while they run; a restore holds it alone."""
        return self.root / "data" / "serve.lock"

    @property
    def replicate_lock(self) -> Path:
        """`mosis replicate` and its Litestream hold it while they run."""
        return self.root / "data" / "replicate.lock"

    @property
    def replica_state(self) -> Path:
        """What `mosis replicate` knows about the replica; see `recovery.replica`."""
        return self.root / "data" / "replica.json"

    @property
    def claims(self) -> Path:
        """What requests under way lock a byte of; see `store.claims`."""
        return self.root / "data" / "claims.lock"

    @property
    def ballast(self) -> Path:
        """Room that cleanup gives back on a full disk; see `store.ballast`."""
        return self.root / "data" / "ballast"

    @property
    def replica(self) -> Path:
        return self.root / "backups" / "portal"

    @property
    def snapshots(self) -> Path:
        return self.root / "backups" / "snapshots"

    @property
    def quarantine(self) -> Path:
        """Damaged files, under their paths below the root, until they are mended."""
        return self.root / "data" / "quarantine"

    @property
    def catalogue(self) -> Path:
        """The signed catalogue; see `portal.catalogue`."""
        return self.root / "catalogue"

    @property
    def catalogue_state(self) -> Path:
        """What the job of the catalogue remembers."""
        return self.root / "data" / "catalogue.json"

    @property
    def presign_keys(self) -> Path:
        return self.root / "secrets" / "presign-keys"

    @property
    def standby_metrics(self) -> Path:
        """The metrics of a standby, which has no portal; nginx serves them to Prometheus."""
        return self.root / "standby" / "metrics"

    def staging(self, upload_id: str) -> Path:
        return below(self.root / "temp", upload_id)

    def package_directory(self, developer_id: str, app_id: str, version_code: int) -> Path:
        return below(self.root / "packages", developer_id, app_id, str(version_code))

    def package(self, developer_id: str, app_id: str, version_code: int) -> Path:
        return self.package_directory(developer_id, app_id, version_code) / "package.mosis"

    def asset(self, app_id: str, name: str) -> Path:
        """The plain name of an image: a hard link for people and for older releases, which know only this name."""
        return below(self.root / "assets", app_id, name)

    def image(self, app_id: str, name: str, sha256: str) -> Path:
        """The file of an image: its name has the beginning of its digest, so that it is never overwritten."""
        return self.asset(app_id, image_name(name, sha256))

    def proposed(self, app_id: str, name: str, sha256: str) -> Path:
        """The file of an image that waits for a review."""
        return self.image(app_id, f"{PROPOSED}{name}", sha256)


def below(directory: Path, *names: str) -> Path:
    """The path of these names below a directory. Raises LeadsOutside."""
    path = directory.joinpath(*names)
    if ".." in path.parts or path == directory or not path.is_relative_to(directory):
        raise LeadsOutside(
            f"The database names {'/'.join(names)!a} below {directory}, which no release writes: somebody changed it."
            " Run `mosis restore --replace-database`."
        )
    return path


def image_name(name: str, sha256: str) -> str:
    """The name of an image with this plain name and digest, both below the directory of its app."""
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{sha256[:IMAGE_DIGITS]}.{suffix}"


def plain_name(name: str) -> str:
    """The plain name of an image, given that or the one with its digest."""
    return IMAGE_DIGEST.sub("", name)
