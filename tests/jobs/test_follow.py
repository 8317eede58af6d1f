"""A standby: pulls that are whole or change nothing, a store that is only ever read, and promotion.

The store's half is real: its Litestream replica, its `feed` and rrsync. Only SSH is not: a script of that name runs the
command that SSH would carry.
"""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploys.plan.render import render
from portal.jobs import follow, standby
from portal.jobs import status as status_job
from portal.jobs.standby import Copy, FollowError
from portal.jobs.status_line import Line
from portal.recovery import lineage
from portal.store import audit, files
from portal.store.clock import now
from portal.store.layout import Layout
from portal.store.store import Store, open_store
from tests.packages.samples import KEY
from tests.support.litestream import replicate
from tests.support.portal import Portal, Publisher, add_developer, free_port, make_store, mosis

APP = "org.example.app"
SOME = "import os, sys; n = int(sys.argv[1])\nwhile n > 0 and (b := os.read(0, n)): n -= os.write(1, b)"
SSH = """#!/bin/sh
[ "$1 $2 $3" = "-F {config} store" ] || exit 2
shift 3
[ ! -e {away} ] || {{ echo "ssh: no route to host" >&2; exit 255; }}
export SSH_ORIGINAL_COMMAND="$*"
[ ! -e {cut} ] || sh {feed} | {{ {python} -c '{some}' "$(cat {cut})"; kill $$; }}
exec sh {feed}
"""


@dataclass
class Pair:
    """A store as it lies on its disk, and its standby; the files `away` and `cut` trouble the way between them."""

    store: Layout
    standby: Store
    stages: list[Path]
    trouble: Path

    @property
    def copy(self) -> Layout:
        return self.standby.layout

    def publish(self, version_code: int) -> None:
        """The store has published that many versions, and Litestream has written it down."""
        shutil.rmtree(self.store.root, ignore_errors=True)
        shutil.copytree(self.stages[version_code - 1], self.store.root)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command on the standby."""
        return mosis(self.standby, *arguments)

    def follow(self) -> None:
        follow.follow(self.standby.settings)

    def fails(self, reason: str) -> None:
        """A pull fails for `reason`, in one sentence, and leaves data and files as they are."""
        before, known = contents(self.copy), standby.read(self.copy)
        with pytest.raises(FollowError, match=re.escape(reason)) as raised:
            self.follow()
        assert len(str(raised.value).splitlines()) == 1
        after = contents(self.copy)
        assert {path: after.get(path) for path in before} == before
        found = standby.read(self.copy)
        assert (found.success_at, found.replica) == (known.success_at, known.replica)
        assert reason in found.failure

    def codes(self) -> list[int]:
        """Version codes that the standby's database has as published."""
        query = "SELECT version_code FROM versions WHERE status = 'published' ORDER BY 1"
        return [row[0] for row in open_store(self.standby.settings).db.read().execute(query)]


def contents(layout: Layout) -> dict[str, bytes]:
    """Every file of a store but what is only known about the copy."""
    found = [layout.database, *(p for area in ("packages", "assets") for p in layout.area(area).rglob("*"))]
    return {str(p.relative_to(layout.root)): p.read_bytes() for p in found if p.is_file()}


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The root of a store when it has published one version, two, and three."""
    for program in ("rsync", "rrsync"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    directory = tmp_path_factory.mktemp("stages")
    portal = Portal(make_store(directory / "store", port=free_port(), litestream=True)).start()
    stages = [directory / str(code) for code in (1, 2, 3)]
    try:
        token = add_developer(portal.store, "dev")
        reviewer = add_developer(portal.store, "reviewer", key=None, scope="reviewer")
        with portal.client(token) as client, portal.client(reviewer) as second:
            client.post("/api/apps", json={"app_id": APP, "name": "App"}).raise_for_status()
            publisher = Publisher(portal, client, second, directory, APP, KEY)
            for code, stage in enumerate(stages, start=1):
                publisher.publish(code, payload_bytes=200_000)
                replicate(portal.store.layout)
                shutil.copytree(portal.store.layout.root, stage)
    finally:
        portal.stop()
    return stages


@pytest.fixture
def pair(stages: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return Pair(Layout(tmp_path / "store"), _standby(tmp_path), stages, tmp_path)


def _standby(directory: Path) -> Store:
    config, feed, ssh = directory / "ssh_config", directory / "feed", directory / "bin/ssh"
    feed.write_text(render("standby/feed.j2", root=directory / "store"))
    ssh.parent.mkdir()
    ssh.write_text(
        SSH.format(
            python=sys.executable, some=SOME, config=config, away=directory / "away", cut=directory / "cut", feed=feed
        )
    )
    ssh.chmod(0o755)
    made = make_store(directory / "standby", port=free_port())
    made.db.close()
    made.layout.database.unlink()
    made.layout.presign_keys.unlink()
    follows = {"store": "store", "ssh_config": str(config)}
    settings = made.settings.model_validate(made.settings.model_dump() | {"follow": follows})
    return Store(settings, made.db, made.layout)


@pytest.fixture
def followed(pair: Pair) -> Pair:
    """After one pull of one version."""
    pair.publish(1)
    pair.follow()
    return pair


def test_a_pull_brings_the_database_and_every_file_it_names(followed: Pair) -> None:
    followed.publish(2)
    assert followed.codes() == [1]
    followed.follow()
    assert followed.codes() == [1, 2]
    ours, theirs = contents(followed.copy), contents(followed.store)
    assert len(ours) == 5 and ours.keys() == theirs.keys()
    assert all(ours[path] == theirs[path] for path in ours if not path.endswith("portal.db"))
    assert audit.first_fault(open_store(followed.standby.settings).db.read()) is None


def test_a_pull_without_news_writes_no_database(followed: Pair) -> None:
    before, at = followed.copy.database.stat(), standby.read(followed.copy)
    followed.follow()
    assert followed.copy.database.stat() == before
    assert standby.read(followed.copy).success_at >= at.success_at


def test_the_store_is_never_written_to(pair: Pair) -> None:
    pair.publish(1)

    def state() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in pair.store.root.rglob("*")}

    before = state()
    pair.follow()
    assert state() == before


def test_a_store_that_is_away_changes_nothing(followed: Pair) -> None:
    (followed.trouble / "away").touch()
    followed.fails("no route to host")


@pytest.mark.parametrize("size", [0, 100, 1000, 3000])
def test_a_pull_that_is_cut_changes_nothing(followed: Pair, size: int) -> None:
    followed.publish(2)
    (followed.trouble / "cut").write_text(str(size))
    followed.fails("rsync of backups/portal/ ended with")
    (followed.trouble / "cut").unlink()
    followed.follow()
    assert followed.codes() == [1, 2]


def test_a_replica_that_is_damaged_changes_nothing(followed: Pair) -> None:
    followed.publish(2)
    for path in followed.store.replica.rglob("*.ltx"):
        path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    followed.fails("litestream ended with")


def test_a_database_whose_files_are_not_there_stays_away(followed: Pair) -> None:
    followed.publish(2)
    followed.store.package("dev", APP, 2).unlink()
    followed.fails("1 files that its database names were not there: packages/dev/")


def test_a_store_that_lost_data_does_not_take_the_copy_with_it(followed: Pair) -> None:
    shutil.rmtree(followed.store.root)
    make_store(followed.store.root, litestream=True).db.close()
    replicate(followed.store)
    followed.fails("lost data or is another store")
    assert followed.codes() == [1]


def test_data_of_this_host_is_not_replaced(pair: Pair) -> None:
    pair.publish(1)
    files.write_file(pair.copy.database, b"own")
    with pytest.raises(FollowError, match="this host's own"):
        pair.follow()
    assert pair.copy.database.read_bytes() == b"own"


def test_a_copy_of_another_store_is_not_replaced(followed: Pair) -> None:
    standby.write(followed.copy, Copy("elsewhere", success_at=1))
    with pytest.raises(FollowError, match="is a copy of elsewhere"):
        followed.follow()


def test_one_pull_at_a_time(followed: Pair) -> None:
    at = standby.read(followed.copy)
    with standby.alone(followed.copy):
        followed.follow()
    assert standby.read(followed.copy) == at


def test_what_the_store_deleted_goes_a_day_later(followed: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = followed.copy.area("packages") / "dev" / APP / "9"
    files.write_file(directory / "package.mosis", b"deleted over there")
    followed.publish(2)
    followed.follow()
    assert directory.exists()
    os.utime(directory, (0, now() - follow.KEPT_SECONDS - 60))
    followed.publish(3)
    followed.follow()
    assert not directory.exists() and followed.codes() == [1, 2, 3]


@pytest.mark.parametrize("command", [["token", "create", "dev", "--scope", "admin"], ["setup"], ["serve"], ["cleanup"]])
def test_a_standby_is_only_read(followed: Pair, command: list[str]) -> None:
    before = followed.copy.database.read_bytes()
    ran = followed.run(*command)
    assert (ran.returncode, "standby" in ran.stderr, len(ran.stderr.splitlines())) == (1, True, 1), ran.stderr
    assert followed.copy.database.read_bytes() == before


def test_status_tells_how_old_the_copy_is(pair: Pair) -> None:
    def lines() -> dict[str, Line]:
        return {line.name: line for line in status_job.status(pair.standby.settings)}

    assert (lines()["standby"].ok, lines()["standby"].text) == (False, "follows store, last success never")
    assert "mosis follow" in lines()["database"].text
    pair.publish(1)
    pair.follow()
    told = lines()
    assert [line for line in told.values() if not line.ok] == []
    assert told.keys() == {"version", "standby", "database", "disk", "versions", "storage", "audit"}
    standby.write(pair.copy, Copy("store", success_at=now() - 16 * 60, failure_at=now(), failure="away"))
    assert not lines()["standby"].ok and lines()["standby"].text.endswith(": away")


def test_prometheus_reads_when_the_copy_was_made(followed: Pair) -> None:
    ran = followed.run("follow")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    lines = dict(x.rsplit(" ", 1) for x in followed.copy.standby_metrics.read_text().splitlines() if x[0] != "#")
    assert float(lines["mosis_standby_last_success_timestamp_seconds"]) == standby.read(followed.copy).success_at


def test_a_promoted_standby_is_a_store_and_does_not_follow_again(followed: Pair) -> None:
    url = f"/downloads/dev/{APP}/1/package.mosis"
    package = followed.store.package("dev", APP, 1).read_bytes()
    with pytest.raises(FollowError, match="deploy it without"), standby.promotion(followed.standby.settings):
        pytest.fail("promoted")
    own = followed.standby.settings.model_copy(update={"follow": None})
    promoted = Store(own, followed.standby.db, followed.copy)
    assert (
        mosis(promoted, "promote").stdout.splitlines()[-1].startswith("promoted: this host has the data of store as of")
    )
    with Portal(promoted) as portal, portal.client() as client:
        assert client.get(url).content == package
    assert mosis(promoted, "audit", "verify").returncode == 0
    assert list(audit.entries(open_store(own).db.read()))[-1].action == "store.promote"
    # What the lost store had beyond the copy, on a drive for example, is not newer than what this one does from now on.
    assert lineage.point_of(promoted.layout.database, live=True).timeline == 1
    assert lineage.point_of(followed.store.database, live=True).timeline == 0
    with standby.promotion(own) as copy:
        assert copy is None
    for settings, refusal in ((own, "follows none"), (followed.standby.settings, "this host's own")):
        with pytest.raises(FollowError, match=refusal):
            follow.follow(settings)


def test_a_standby_without_a_whole_copy_is_not_promoted(pair: Pair) -> None:
    (pair.trouble / "away").touch()
    ran = pair.run("follow")
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (1, "", 1)
    own = pair.standby.settings.model_copy(update={"follow": None})
    with pytest.raises(FollowError, match="never had a whole copy"), standby.promotion(own):
        pytest.fail("promoted")
    assert not pair.copy.database.exists()


def test_a_promotion_that_lost_power_can_be_repeated(tmp_path: Path) -> None:
    """Its last changes are in the WAL, of which the database has only some pages."""
    store = make_store(tmp_path / "store")
    database, wal = store.layout.database, store.layout.wal
    store.db.close()
    size = database.stat().st_size
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("INSERT INTO apps_unindexed WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n"
                   " WHERE i < 9999) SELECT i FROM n")  # fmt: skip
        pages = wal.read_bytes()
    os.truncate(database, size)
    wal.write_bytes(pages)
    standby.write(store.layout, Copy("store", success_at=1))
    with standby.promotion(store.settings) as copy:
        assert copy
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("SELECT count(*) FROM apps_unindexed").fetchone() == (9999,)
