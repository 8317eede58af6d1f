"""What the signed catalogue of a large store costs: a run after a publish, and what a device downloads in a day."""

import gzip
import random
import resource
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bench.fixtures import catalogue_app
from bench.processes import BenchError
from bench.stack import MOSIS
from portal.jobs import catalogue, catalogue_keys
from portal.packages.signature import key_id, raw_public_key
from portal.store import app_keys, apps, files, versions
from portal.store.store import Store
from tests.packages.samples import KEY, make_package
from tests.support.portal import add_developer, environ, make_store
from tests.support.publishing import OWNER, publish
from tests.support.tuf_device import TufDevice

LARGE, SMALL = 10_000, 100  # apps
INSTALLED = [catalogue_app(app) for app in range(0, LARGE, 333)][:30]
CHANGED_A_DAY = LARGE // 100
INSERT = (
    "INSERT INTO versions (version_id, app_id, developer_id, status, status_at, created_at, published_at, version_code,"
    " version_name, size, sha256, key_id, signature, manifest)"
    " VALUES (?, ?, 'acme', 'published', 1, 1, 1, 1, '1.0.0', ?, ?, ?, ?, ?)"
)
KB = 1000


class Catalogue:
    """Stores below `directory`, one for each number of apps, made and signed when they are needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._random = random.Random(1)
        self._store = cache(self._made)

    def publish(self, number: int) -> float:
        """Seconds of processor time of a whole `mosis catalogue` after one publish, among so many apps."""
        store = self._store(number)
        self._publish(store, range(number), 1)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([MOSIS, "catalogue"], env=environ(store), capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if len(done.stdout.splitlines()) != 4:  # document, bin, snapshot, timestamp
            raise BenchError(f"mosis catalogue: {done.stdout}")
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def day(self) -> float:
        """Kilobytes, compressed, of the daily check of a device that has some apps of very many."""
        store = self._store(LARGE)
        device = TufDevice(store.layout.catalogue)
        device.documents(*INSTALLED)
        self._publish(store, range(LARGE), CHANGED_A_DAY)
        catalogue.catalogue(store)
        return _downloaded(device)

    def first(self) -> float:
        """The same of a device that has seen nothing yet."""
        return _downloaded(TufDevice(self._store(LARGE).layout.catalogue))

    def _publish(self, store: Store, among: Sequence[int], number: int) -> None:
        for app_id in map(catalogue_app, self._random.sample(among, number)):
            publish(store, app_id, versions.highest_published(store.db.read(), app_id) + 1, payload_bytes=10)

    def _made(self, number: int) -> Store:
        store = make_store(self._directory / f"catalogue-{number}")
        _fill(store, number)
        catalogue_keys.make(store, [KEY])
        catalogue.catalogue(store)
        return store


def _downloaded(device: TufDevice) -> float:
    device.documents(*INSTALLED)
    paths = (device.files.root / path for path in device.files.asked)
    return sum(len(gzip.compress(path.read_bytes())) for path in paths if path.exists()) / KB


def _fill(store: Store, number: int) -> None:
    """So many apps with one published version each, whose package is the same small file."""
    add_developer(store, OWNER.developer_id)
    path = store.layout.area("temp") / "small.mosis"
    package = make_package(path, payload_bytes=10)
    size, sha256, signer = path.stat().st_size, files.digest(path), key_id(raw_public_key(KEY))
    row = (size, sha256, signer, package.signature, package.manifest_bytes.decode())
    with store.db.write() as tx:
        for app_id in map(catalogue_app, range(number)):
            apps.add(tx, OWNER, app_id, app_id, f"An app with the number {app_id}.")
            app_keys.add(tx, app_id, "pin", signer, 1, 0)
            tx.execute(INSERT, (f"{app_id}-1", app_id, *row))
            place = store.layout.package(OWNER.developer_id, app_id, 1)
            place.parent.mkdir(parents=True)
            place.hardlink_to(path)
        tx.execute("UPDATE apps SET published_code = 1")
