"""Good copies of the store's files in the mirror's bucket, for jobs that mend or restore files."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.faults import sentence
from portal.mirror import objects
from portal.mirror.client import Bucket, MirrorError
from portal.settings import Settings, SettingsError
from portal.store import files
from portal.store.known_files import NamedFile
from portal.store.layout import Layout


class BucketCopies:
    """The bucket of a store. Without a mirror it has nothing.

    Once it does not answer, `fault` says why, and it is not asked again.
    """

    def __init__(self, settings: Settings) -> None:
        self._layout = Layout(settings.root)
        self._bucket: Bucket | None = None
        self.fault: str | None = None
        if settings.mirror:
            try:
                self._bucket = Bucket(settings.mirror)
            except (MirrorError, SettingsError) as error:
                self.fault = sentence(error)

    def has(self, file: NamedFile) -> bool:
        """Whether the bucket has the file, by its own word."""
        with self._asking() as bucket:
            key = str(file.path)
            return bucket is not None and bool(objects.find(bucket, key, size=file.size, sha256=file.sha256))
        return False

    @contextmanager
    def tree(self, file: NamedFile) -> Iterator[Path | None]:
        """A directory, until the block ends, that has a good copy of the file under its path; None if there is none."""
        if self._bucket is None:
            yield None
            return
        root = self._layout.staging(f"bucket-{secrets.token_hex(8)}")
        files.make_directory((root / file.path).parent)
        try:
            yield root if self._fetched(file, root / file.path) else None
        finally:
            files.discard(root)

    def _fetched(self, file: NamedFile, target: Path) -> bool:
        with self._asking() as bucket:
            key = str(file.path)
            return bucket is not None and objects.fetch(bucket, key, target, size=file.size, sha256=file.sha256)
        return False

    @contextmanager
    def _asking(self) -> Iterator[Bucket | None]:
        try:
            yield self._bucket
        except MirrorError as error:
            self._bucket, self.fault = None, sentence(error)
