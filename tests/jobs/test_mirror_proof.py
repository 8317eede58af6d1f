"""Two hundred versions, a bad network, and every process killed: the bucket is the store, and was never ahead of it."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from portal.jobs import mirror
from portal.jobs.mirror import DELETE_AFTER_SECONDS
from portal.mirror import objects
from portal.mirror.client import Bucket, MirrorError
from portal.settings import S3
from portal.store.store import Store
from tests.jobs.test_mirror import in_bucket, in_store, yank
from tests.mirror.r2_like import CUT, R2Like, r2_like
from tests.mirror.seaweed import Seaweed, running_seaweed
from tests.support.clock import move
from tests.support.many import fill
from tests.support.portal import MOSIS, environ, make_store

APPS, VERSIONS = 10, 20
RUNS_MAX = 40


@pytest.fixture(scope="module")
def running() -> Iterator[Seaweed]:
    """An engine that tests may kill."""
    with running_seaweed() as engine:
        yield engine


@dataclass
class Watcher:
    """Looks into the bucket again and again, past the proxy: has each app whose documents are there all its files?"""

    bucket: Bucket
    files: dict[str, set[str]]
    looks: int = 0
    missing: set[str] = field(default_factory=set)
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.stop.is_set():
            with suppress(MirrorError):  # the engine is killed meanwhile
                documents = {key.split("/")[2] for key in self._keys("packages/") if key.endswith("manifest.json")}
                there = {
                    *self._keys("packages/"),
                    *self._keys("assets/"),
                }  # after the documents: nothing goes meanwhile
                for app_id in documents:
                    self.missing |= self.files[app_id] - there
                self.looks += 0 < len(documents) < len(self.files)

    def _keys(self, prefix: str) -> list[str]:
        return [found.key for found in objects.listed(self.bucket, prefix)]

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def files_of(store: Store, *, without: set[str]) -> dict[str, set[str]]:
    """Packages and images of each app, except versions that are about to be yanked."""
    found: dict[str, set[str]] = {}
    for key in in_store(store):
        parts = key.split("/")
        app_id = parts[2] if parts[0] == "packages" else parts[1]
        if not key.endswith("manifest.json") and key.rpartition("/")[0] not in without:
            found.setdefault(app_id, set()).add(key)
    return found


@dataclass
class Killer:
    """Kills engine or mirror with SIGKILL around the PUTs of `schedule`: number, whether before it, and the victim."""

    engine: Seaweed
    schedule: dict[tuple[int, bool], str]
    process: "subprocess.Popen[bytes] | None" = None
    killed: list[str] = field(default_factory=list)

    def around(self, *, before: bool) -> Callable[[int], None]:
        def kill(number: int) -> None:
            victim = self.schedule.get((number, before))
            if victim == "engine":
                self.engine.kill()
            elif victim and self.process:
                self.process.kill()
            self.killed += [victim] if victim else []

        return kill

    def until_done(self, store: Store, between: Iterator[None]) -> None:
        """Run the mirror until it succeeds, with a change of the store before each run."""
        for _ in range(RUNS_MAX):
            next(between, None)
            self.engine.start()
            with subprocess.Popen([MOSIS, "mirror"], stdout=subprocess.DEVNULL, env=environ(store)) as self.process:
                pass
            if self.process.returncode == 0:
                return
        raise AssertionError(f"not done after {RUNS_MAX} runs")


SCHEDULE = {
    (40, True): "engine", (90, False): "mirror", (140, False): "engine", (200, True): "mirror",
    (260, True): "engine", (320, False): "mirror",
}  # fmt: skip


def test_two_hundred_versions_survive_every_kill(
    running: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Engine and mirror are killed three times each, behind a proxy that throttles, resets, and lies once."""
    engine = S3.model_validate(running.engine.model_dump(mode="json") | {"provider": "cloudflare-r2"})
    with r2_like(engine, slow_down_every=61, cut_every=53) as proxy:
        store = make_store(tmp_path / "store", mirror=proxy.engine.model_dump(mode="json"))
        fill(store, APPS, VERSIONS)
        killer = Killer(running, SCHEDULE)
        proxy.before_put, proxy.after_put = killer.around(before=True), killer.around(before=False)
        yanked = [(f"org.example.app{number}", 5 + number) for number in range(APPS - 2)]
        without = {f"packages/acme/{app_id}/{code}" for app_id, code in yanked}

        def yanks() -> Iterator[None]:
            yield
            for app_id, code in yanked:
                yank(store, app_id, code)
                yield

        with Watcher(Bucket(engine), files_of(store, without=without)) as watcher:
            between = yanks()
            killer.until_done(store, between)
        assert len(list(between)) < len(yanked), "some left the store between two runs"
        assert (watcher.missing, watcher.looks > 0) == (set(), True)
        assert sorted(killer.killed) == ["engine"] * 3 + ["mirror"] * 3
        assert_written_once(proxy)
        assert_equal_in_the_end(store, proxy, without, monkeypatch)
        store.db.close()


def assert_written_once(proxy: R2Like) -> None:
    """A second PUT of an object only after one whose answer the mirror did not get."""
    for path, statuses in proxy.statuses("PUT").items():
        *before, last = statuses
        assert last in (200, 412, CUT), (path, statuses)  # of a version that was yanked, the only one may be cut
        assert set(before) <= {CUT, 503}, (path, statuses)


def assert_equal_in_the_end(store: Store, proxy: R2Like, yanked: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what a killed run wrote, did not record, and found yanked afterwards."""
    proxy.slow_down_every = proxy.cut_every = 0
    assert mirror.mirror(store, verify=True).strangers == []
    move(monkeypatch, DELETE_AFTER_SECONDS + 60)
    proxy.lies = 1
    with pytest.raises(MirrorError, match="as deleted and still has it"):
        mirror.mirror(store, verify=True, force=True)
    done = mirror.mirror(store, verify=True, force=True)
    assert (done.copied, done.strangers) == ([], [])
    gone = tuple(f"{directory}/" for directory in yanked)
    assert in_bucket(store) == {key: body for key, body in in_store(store).items() if not key.startswith(gone)}
