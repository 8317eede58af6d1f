"""Good copies of the store's files in the mirror's bucket, for jobs that mend files."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.mirror import objects
from portal.mirror.client import Bucket, MirrorError
from portal.store import files
from portal.store.known_files import NamedFile
from portal.store.store import Store


class BucketCopies:
    """The bucket of a store; it has none without a mirror, and is not asked again once it does not answer."""

    def __init__(self, store: Store) -> None:
        self._layout, self._engine = store.layout, store.settings.mirror
        self._bucket: Bucket | None = None

    @contextmanager
    def of(self, file: NamedFile) -> Iterator[Path | None]:
        """A good copy of the file, on the store's disk until the block ends; None if the bucket does not give one."""
        place = self._layout.staging(f"bucket-{secrets.token_hex(8)}")
        files.make_directory(place)
        try:
            yield self._fetched(file, place / file.path.name)
        finally:
            files.discard(place)

    def _fetched(self, file: NamedFile, target: Path) -> Path | None:
        if self._engine is None:
            return None
        try:
            self._bucket = self._bucket or Bucket(self._engine)
            good = objects.fetch(self._bucket, str(file.path), target, size=file.size, sha256=file.sha256)
        except MirrorError:
            self._engine = None
            return None
        return target if good else None
