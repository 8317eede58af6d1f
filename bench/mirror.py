"""What the mirror costs: a first copy beside `rclone copy` of the same files to the same engine, and an empty run."""

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path

from bench.processes import BenchError
from bench.stack import MOSIS
from portal import settings
from portal.mirror import claim, wanted
from portal.mirror.client import Bucket
from portal.mirror.providers import engine_of
from portal.mirror.record import Record
from portal.mirror.scan import scan
from portal.settings import S3
from portal.store import apps, audit, files, presign, schema
from portal.store.clock import now
from portal.store.layout import AREAS, Layout
from portal.store.store import Store, open_store
from tests.mirror.r2_like import r2_like
from tests.mirror.seaweed import ACCESS_KEY, SECRET_KEY, running_seaweed
from tests.support import many
from tests.support.portal import add_developer

RCLONE = Path(sys.executable).with_name("rclone")
APP = "org.example.app"
VERSIONS = 100  # a package and a manifest each
PACKAGE_BYTES = 5_000_000
MANY = 100  # apps, of VERSIONS_EACH
VERSIONS_EACH = 100
LISTED_PER_REQUEST = 1_000
MB = 1_000_000


class Mirror:
    """An engine of its own, and stores below `directory`; both are made when they are needed."""

    def __init__(self, directory: Path, exits: ExitStack) -> None:
        self._directory, self._exits = directory, exits
        self._numbers = count()

    @cached_property
    def _engine(self) -> S3:
        return self._exits.enter_context(running_seaweed()).engine

    @cached_property
    def _few(self) -> Store:
        store = self._store("few")
        add_developer(store, "acme", key=None)
        with store.db.write() as tx:
            apps.add(tx, many.OWNER, APP, "App", "")
            for code in range(1, VERSIONS + 1):
                many.add_version(store, tx, APP, code, os.urandom(PACKAGE_BYTES))
        return store

    @cached_property
    def _many(self) -> Store:
        """Its record is as after a first run, which takes a minute and is not what is measured."""
        store = self._store("many")
        many.fill(store, MANY, VERSIONS_EACH)
        with closing(Record.open(store.layout)) as record:
            claim.check(Bucket(engine_of(store.settings)), record, str(audit.origin(store.db.read())), 0)
            record.listed_at = now()
            scan(store.db.read(), store.layout, record)
            for app_id in record.apps():
                for one in wanted.of_app(store.db.read(), store.layout, app_id).values():
                    record.have(one.key, app_id, one.sha256, "")
        return store

    def copied(self) -> float:
        """MB/s of `mosis mirror` into an empty bucket."""
        store = _with(self._few, self._bucket())
        for path in store.layout.area("data").glob("mirror.db*"):
            path.unlink()
        return _size(store) / _seconds(store)

    def copied_by_rclone(self) -> float:
        """MB/s of the same files into an empty bucket, as rclone is without options."""
        engine = self._bucket()
        remote = (
            f":s3,provider=Other,endpoint='{engine.endpoint}',access_key_id={ACCESS_KEY},"
            f"secret_access_key={SECRET_KEY},no_check_bucket=true:{engine.bucket}/packages"
        )
        began = time.perf_counter()
        _run([RCLONE, "--config", os.devnull, "copy", self._few.layout.area("packages"), remote])
        return _size(self._few) / (time.perf_counter() - began)

    def empty(self) -> float:
        """Seconds of a run over very many versions that finds nothing to do."""
        return _seconds(self._many)

    def empty_of_few(self) -> float:
        """The same over few."""
        _seconds(self._few)
        return _seconds(self._few)

    def requests(self) -> float:
        """To the engine, of such a run."""
        with r2_like(engine_of(self._many.settings)) as proxy:
            _seconds(_with(self._many, proxy.engine))
            return len(proxy.requests)

    def requests_of_a_list(self) -> float:
        """Which a tool without a record needs."""
        with closing(Record.read(self._many.layout)) as record:
            return -(-record.count() // LISTED_PER_REQUEST)

    def _bucket(self) -> S3:
        engine = self._engine.model_copy(update={"bucket": f"bench-{next(self._numbers)}"})
        Bucket(engine).call("create_bucket")
        return engine

    def _store(self, name: str) -> Store:
        root = self._directory / f"mirror-{name}"
        chosen = settings.parse({"root": root, "mirror": self._bucket().model_dump(mode="json")})
        for area in AREAS:
            files.make_directory(root / area)
        schema.migrate(Layout(root).database, litestream=True)
        presign.create(Layout(root).presign_keys)
        return self._exits.enter_context(_closing(open_store(chosen)))


def _with(store: Store, engine: S3) -> Store:
    return dataclasses.replace(store, settings=store.settings.model_copy(update={"mirror": engine}))


def _size(store: Store) -> float:
    return sum(path.stat().st_size for path in store.layout.area("packages").rglob("*") if path.is_file()) / MB


def _seconds(store: Store) -> float:
    """Of `mosis mirror`, with its start."""
    config = store.layout.root / "mosis.toml"
    config.write_text(store.settings.to_toml())
    began = time.perf_counter()
    _run([MOSIS, "mirror"], **{settings.CONFIG_VARIABLE: str(config)})
    return time.perf_counter() - began


def _run(command: Sequence[str | Path], **environment: str) -> None:
    ran = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise BenchError(f"{' '.join(map(str, command[:2]))}: {ran.stderr.strip()}")


@contextmanager
def _closing(store: Store) -> Iterator[Store]:
    with closing(store.db):
        yield store
