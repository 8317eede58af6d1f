"""`mosis mirror` brings what is published to a real bucket, whatever happens on the way, and deletes nothing early."""

import dataclasses
import os
import pty
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from portal.jobs import mirror, status
from portal.jobs.alone import RunningError, alone
from portal.jobs.mirror import DELETE_AFTER_SECONDS
from portal.jobs.status_line import Line
from portal.metrics import Metrics
from portal.mirror import objects
from portal.mirror.claim import MARKER
from portal.mirror.client import Bucket, MirrorError
from portal.mirror.record import Record
from portal.settings import S3, SettingsError
from portal.store import apps, assets, audit, clock, files, job_runs, retention, versions
from portal.store.store import Store
from tests.http.test_images import png
from tests.mirror.r2_like import r2_like
from tests.support.clock import move
from tests.support.cutting import CuttingProxy
from tests.support.many import OWNER, fill, flip
from tests.support.portal import MOSIS, Publisher, environ, make_store, mosis

pytestmark = pytest.mark.seconds(120)

APPS, VERSIONS = 4, 5
FILES = APPS * (2 * VERSIONS + 1)  # a package and a manifest each, and a screenshot per app


@pytest.fixture
def filled(tmp_path: Path, empty: S3) -> Iterator[Store]:
    """A store of published versions, and its empty bucket."""
    store = make_store(tmp_path / "store", mirror=empty.model_dump(mode="json"))
    fill(store, APPS, VERSIONS)
    yield store
    store.db.close()


def through(store: Store, engine: S3) -> Store:
    """The same store, with another way to its bucket."""
    return dataclasses.replace(store, settings=store.settings.model_copy(update={"mirror": engine}))


def bucket_of(store: Store) -> Bucket:
    return Bucket(store.settings.mirror)


def in_bucket(store: Store) -> dict[str, bytes]:
    """Every object but the marker."""
    bucket = bucket_of(store)
    keys = [found.key for found in objects.listed(bucket) if found.key != MARKER]
    return {key: bucket.call("get_object", Key=key)["Body"].read() for key in keys}


def in_store(store: Store) -> dict[str, bytes]:
    """Every file below packages and assets under the name that its row has."""
    root = store.layout.root
    packages = [path for path in (root / "packages").rglob("*") if path.is_file()]
    images = list((root / "assets").rglob("*.*.png"))
    return {str(path.relative_to(root)): path.read_bytes() for path in packages + images}


def yank(store: Store, app_id: str, code: int) -> None:
    with store.db.write() as tx:
        versions.change(tx, OWNER, apps.get(tx, app_id), code, "yank", "broken")


def pending(store: Store) -> int:
    with closing(Record.read(store.layout)) as record:
        return record.pending().number


def status_line(store: Store, name: str) -> Line:
    [found] = [one for one in status.status(store.settings) if one.name == name]
    return found


def test_what_is_published_is_in_the_bucket_byte_for_byte(filled: Store) -> None:
    done = mirror.mirror(filled)
    assert in_bucket(filled) == in_store(filled)
    assert len(done.copied) == len(set(done.copied)) == FILES


def test_a_second_run_asks_the_bucket_once_and_copies_nothing(filled: Store, empty: S3) -> None:
    mirror.mirror(filled)
    with r2_like(empty) as proxy:
        done = mirror.mirror(through(filled, proxy.engine))
    assert proxy.requests == [("GET", f"/{empty.bucket}/{MARKER}", 200)]
    assert not done.copied and not done.deleted


def test_what_devices_may_not_download_stays_out_of_the_bucket(publisher: Publisher, empty: S3, tmp_path: Path) -> None:
    """Through the portal, as developers and reviewers change it."""
    store, icon = through(publisher.portal.store, empty), png(256, 256)
    publisher.upload(publisher.package(1)).raise_for_status()
    publisher.client.post(f"/api/apps/{publisher.app_id}/icon", files={"icon": icon}).raise_for_status()
    publisher.approve_images()
    prefixes = (f"packages/{publisher.developer_id}/{publisher.app_id}/", f"assets/{publisher.app_id}/")

    def keys() -> list[str]:
        with suppress(MirrorError):  # other tests take packages away from this portal
            mirror.mirror(store)
        return sorted(key.rsplit("/", 2)[-1] for key in in_bucket(store) if key.startswith(prefixes))

    assert keys() == []
    for action in ("submit", "publish"):
        publisher.step(1, action).raise_for_status()
    publisher.upload(publisher.package(2)).raise_for_status()
    published = keys()
    assert [name.partition(".")[0] for name in published] == ["icon-128", "icon-32", "icon-64", "manifest", "package"]
    publisher.client.post(f"/api/apps/{publisher.app_id}/icon", files={"icon": png(300, 300)}).raise_for_status()
    assert keys() == published, "nobody has reviewed it"
    publisher.approve_images()
    assert len(keys()) == len(published) + 3, "devices may still ask for the old icon"


def test_objects_say_what_they_are_and_how_long_they_may_be_cached(filled: Store) -> None:
    mirror.mirror(filled)
    head = bucket_of(filled).call("head_object", Key="packages/acme/org.example.app0/1/package.mosis")
    assert (head["ContentType"], head["CacheControl"], head["ContentDisposition"]) == (
        "application/octet-stream",
        "public, max-age=86400, immutable",
        "attachment; filename=org.example.app0-1.0.0.mosis",
    )
    assert head["Metadata"]["sha256"] == files.digest(
        filled.layout.package("acme", "org.example.app0", 1)
    )  # fmt: skip


def test_a_document_is_copied_after_all_files_of_its_app(filled: Store, empty: S3) -> None:
    flip(filled.layout.package("acme", "org.example.app0", 3), 8)
    with pytest.raises(MirrorError, match=r"^packages/acme/org.example.app0/3/package.mosis is damaged in the store"):
        mirror.mirror(filled)
    kept = {key for key in in_store(filled) if key.startswith("packages/acme/org.example.app0/")}
    documents = {key for key in kept if key.endswith("manifest.json")}
    assert set(in_store(filled)) - set(in_bucket(filled)) == documents | {
        "packages/acme/org.example.app0/3/package.mosis"
    }
    flip(filled.layout.package("acme", "org.example.app0", 3), 8)
    mirror.mirror(filled)
    assert in_bucket(filled) == in_store(filled)


def test_a_run_that_is_killed_is_continued(filled: Store, empty: S3) -> None:
    copied: list[str] = []
    for _ in range(3):
        with subprocess.Popen([MOSIS, "mirror"], stdout=subprocess.PIPE, text=True, env=environ(filled)) as process:
            for line in process.stdout:
                copied.append(line.split()[1])
                if len(copied) % 10 == 0:
                    process.kill()
                    break
    done = mirror.mirror(filled)
    assert in_bucket(filled) == in_store(filled)
    assert len(set(copied)) == len(copied), "what was recorded is not copied again"
    assert not set(copied) & set(done.copied)


def in_some_runs(store: Store) -> None:
    """Run until one succeeds."""
    for _ in range(15):
        try:
            mirror.mirror(store)
        except MirrorError:
            continue
        return


def test_a_bucket_that_cuts_connections_gets_everything_in_the_end(filled: Store, empty: S3) -> None:
    with CuttingProxy(empty.endpoint.port, cuts=15, after=2000) as proxy:
        in_some_runs(through(filled, S3.model_validate(empty.model_dump(mode="json") | {"endpoint": proxy.url})))
    assert in_bucket(filled) == in_store(filled)


def test_a_bucket_like_r2_that_throttles_gets_everything_in_the_end(filled: Store, empty: S3) -> None:
    with r2_like(empty, slow_down_every=7) as proxy:
        in_some_runs(through(filled, proxy.engine))
    assert in_bucket(filled) == in_store(filled)
    assert {status for _, _, status in proxy.requests} == {200, 404, 503}


def test_a_bucket_that_only_throttles_is_left_alone_until_the_next_run(filled: Store, empty: S3) -> None:
    remaining = pytest.raises(MirrorError, match=rf"SlowDown.* {FILES} files remain to be copied")
    with r2_like(empty, slow_down_every=1) as proxy, remaining:
        mirror.mirror(through(filled, proxy.engine))
    assert len({path for _, path, _ in proxy.requests}) < FILES / 2


def test_an_engine_that_is_away_fails_no_publish_and_loses_nothing(
    filled: Store, empty: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = through(filled, S3.model_validate(empty.model_dump(mode="json") | {"endpoint": "http://127.0.0.1:1"}))
    for _ in range(2):
        with pytest.raises(MirrorError, match="Could not connect"):
            mirror.mirror(away)
        assert pending(filled) == FILES
    yank(filled, "org.example.app0", 2)
    mirror.mirror(filled)
    kept = {key: body for key, body in in_store(filled).items() if "org.example.app0/2/" not in key}
    assert in_bucket(filled) == kept


def test_after_days_without_the_engine_nothing_is_deleted_before_devices_could_know(
    filled: Store, empty: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the engine is back, what is in the bucket names the version: its days begin then."""
    monkeypatch.setattr(clock, "synchronized", lambda: True)
    mirror.mirror(filled)
    away = through(filled, S3.model_validate(empty.model_dump(mode="json") | {"endpoint": "http://127.0.0.1:1"}))
    yank(filled, "org.example.app0", 2)
    for days in range(1, 10):
        move(monkeypatch, days * retention.DAY)
        with pytest.raises(MirrorError, match="Could not connect"):
            mirror.mirror(away)
        assets.put_screenshot(filled, OWNER, apps.get(filled.db.read(), "org.example.app1"), 1, b"%d" % days)
    assert pending(away) == 1, "of the screenshots only the last one"
    assert status_line(away, "bucket").ok is False
    back = mirror.mirror(filled)
    assert (len(back.copied), back.deleted) == (1, [])
    move(monkeypatch, 9 * retention.DAY + DELETE_AFTER_SECONDS - 60)
    assert mirror.mirror(filled).deleted == []
    move(monkeypatch, 9 * retention.DAY + DELETE_AFTER_SECONDS + 60)
    assert len(mirror.mirror(filled).deleted) == 3, "the version's two, and the first screenshot"
    assert in_bucket(filled) == {key: body for key, body in in_store(filled).items() if "app0/2/" not in key}


def test_what_is_unwanted_stays_while_documents_of_its_app_wait(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "synchronized", lambda: True)
    mirror.mirror(filled)
    yank(filled, "org.example.app0", 2)
    yank(filled, "org.example.app1", 2)
    assets.add_screenshot(filled, OWNER, apps.get(filled.db.read(), "org.example.app0"), b"new")
    new = next(path for path in filled.layout.area("assets").rglob("2.*.png"))
    flip(new, 8)
    for seconds in (0, DELETE_AFTER_SECONDS + 60):
        move(monkeypatch, seconds)
        with pytest.raises(MirrorError, match="is damaged in the store"):
            mirror.mirror(filled)
    kept = {key.split("/")[2] for key in in_bucket(filled) if key.endswith("/2/package.mosis")}
    assert kept == {"org.example.app0", "org.example.app2", "org.example.app3"}


@pytest.mark.parametrize(
    ("credentials", "sentence"),
    [("stranger\nnot-a-secret\n", "InvalidAccessKeyId"), ("mosis-test\nwrong-key\n", "SignatureDoesNotMatch")],
)
def test_wrong_credentials_are_one_sentence_with_a_remedy(
    filled: Store, empty: S3, tmp_path: Path, credentials: str, sentence: str
) -> None:
    file = tmp_path / "credentials"
    file.write_text(credentials)
    with pytest.raises(
        MirrorError, match=rf"{sentence}.*Check the two lines of {file}: access key, secret key\.$"
    ) as e:
        mirror.mirror(through(filled, empty.model_copy(update={"credentials": file})))
    assert "wrong-key" not in str(e.value)
    assert "wrong-key" not in job_runs.every(filled.db.read())["mirror"].failure


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_that_is_wrong_is_one_sentence(filled: Store, monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    wrong = datetime.now(UTC).replace(tzinfo=None) + timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: wrong)
    with pytest.raises(MirrorError, match=r"RequestTimeTooSkewed.*The clock of this host is wrong: turn on time synch"):
        mirror.mirror(filled)
    assert pending(filled) == FILES


def test_a_bucket_with_something_in_it_is_not_taken_without_being_asked_to(filled: Store) -> None:
    bucket = bucket_of(filled)
    bucket.call("put_object", Key="family/photo.jpg", Body=b"dear")
    with pytest.raises(MirrorError, match="not empty and not marked as this store's"):
        mirror.mirror(filled)
    assert in_bucket(filled) == {"family/photo.jpg": b"dear"}
    mirror.mirror(filled, adopt=True)
    assert in_bucket(filled) == in_store(filled) | {"family/photo.jpg": b"dear"}
    assert mirror.mirror(filled, verify=True).strangers == ["family/photo.jpg"]


def test_the_mirror_of_another_store_is_refused(filled: Store, tmp_path: Path) -> None:
    mirror.mirror(filled)
    other = make_store(tmp_path / "other", mirror=filled.settings.mirror.model_dump(mode="json"))
    fill(other, 1, 1)
    with pytest.raises(MirrorError, match="the mirror of another store"):
        mirror.mirror(other)
    other.db.close()
    assert in_bucket(filled) == in_store(filled)


@pytest.mark.parametrize("options", [{}, {"verify": True}], ids=["emptied", "emptied but for the marker"])
def test_an_emptied_bucket_is_filled_again(filled: Store, options: dict[str, bool]) -> None:
    mirror.mirror(filled)
    for key in (*in_bucket(filled), *(() if options else (MARKER,))):
        bucket_of(filled).call("delete_object", Key=key)
    assert len(mirror.mirror(filled, **options).copied) == FILES
    assert in_bucket(filled) == in_store(filled)


def test_an_object_that_is_lost_is_written_again_within_a_day(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.mirror(filled)
    key = "packages/acme/org.example.app0/1/package.mosis"
    bucket_of(filled).call("delete_object", Key=key)
    assert mirror.mirror(filled).copied == []
    move(monkeypatch, mirror.VERIFY_SECONDS + 60)
    assert mirror.mirror(filled).copied == [key]


def test_an_object_that_somebody_changed_is_written_again(filled: Store) -> None:
    mirror.mirror(filled)
    key = "packages/acme/org.example.app0/1/package.mosis"
    bucket_of(filled).call("put_object", Key=key, Body=b"not what the store has")
    assert mirror.mirror(filled, verify=True).copied == [key]
    assert in_bucket(filled) == in_store(filled)


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "damaged"])
def test_a_record_that_is_lost_or_damaged_is_made_again_without_copying(filled: Store, empty: S3, lost: bool) -> None:
    mirror.mirror(filled)
    record = filled.layout.area("data") / "mirror.db"
    for path in filled.layout.area("data").glob("mirror.db*"):
        path.unlink()
    if not lost:
        record.write_bytes(b"not a database" * 1000)
    with r2_like(empty) as proxy:
        mirror.mirror(through(filled, proxy.engine))
    written = [path for method, path, _ in proxy.requests if method == "PUT"]
    assert written == [f"/{empty.bucket}/{MARKER}"]


def test_a_yanked_version_stays_until_no_cache_can_name_it(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.mirror(filled)
    yank(filled, "org.example.app0", 2)
    before = in_bucket(filled)
    mirror.mirror(filled)
    move(monkeypatch, DELETE_AFTER_SECONDS - 60)
    assert mirror.mirror(filled).deleted == []
    assert in_bucket(filled) == before
    move(monkeypatch, DELETE_AFTER_SECONDS + 60)
    with pytest.raises(MirrorError, match=r"^Nothing was deleted from the bucket\. The clock is 7 days ahead"):
        mirror.mirror(filled)
    assert in_bucket(filled) == before
    gone = [f"packages/acme/org.example.app0/2/{name}" for name in ("manifest.json", "package.mosis")]
    assert mirror.preview(filled).deleted == gone
    assert mirror.mirror(filled, force=True).deleted == gone
    assert in_bucket(filled).keys() == before.keys() - set(gone)


def test_a_deletion_that_the_engine_only_reports_is_noticed(
    filled: Store, empty: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.mirror(filled)
    assets.delete_screenshot(filled, OWNER, apps.get(filled.db.read(), "org.example.app0"), 1)
    mirror.mirror(filled)
    move(monkeypatch, DELETE_AFTER_SECONDS + 60)
    with r2_like(empty, lies=1) as proxy:
        with pytest.raises(MirrorError, match="as deleted and still has it"):
            mirror.mirror(through(filled, proxy.engine), force=True)
        assert len(mirror.mirror(through(filled, proxy.engine), force=True).deleted) == 1


def test_versions_that_vanish_without_a_row_of_the_log_are_kept(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that was restored to an earlier time: the bucket may have the last copy of what came later."""
    with closing(sqlite3.connect(tmp_path / "earlier.db")) as earlier:
        filled.db.read().backup(earlier)
    with filled.db.write() as tx:
        app = apps.add(tx, OWNER, "org.example.later", "Later", "")
    assets.add_screenshot(filled, OWNER, app, b"later")
    with filled.db.write() as tx:
        tx.execute("UPDATE versions SET app_id = 'org.example.later' WHERE app_id = 'org.example.app0'")
        audit.append(tx, OWNER, "test", "org.example.app0")
        audit.append(tx, OWNER, "test", "org.example.later")
    (filled.layout.root / "packages/acme/org.example.app0").rename(
        filled.layout.root / "packages/acme/org.example.later"
    )
    mirror.mirror(filled)
    later = {key for key in in_bucket(filled) if "org.example.later" in key}
    assert later
    filled.db.close()
    shutil.copy(tmp_path / "earlier.db", filled.layout.database)
    (filled.layout.root / "packages/acme/org.example.later").rename(
        filled.layout.root / "packages/acme/org.example.app0"
    )
    mirror.mirror(filled)
    move(monkeypatch, DELETE_AFTER_SECONDS + 60)
    assert mirror.mirror(filled, force=True).deleted == []
    assert later <= in_bucket(filled).keys()


def test_a_run_that_would_delete_very_much_asks(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "DELETE_MAX", 5)
    mirror.mirror(filled)
    for number in range(APPS):
        for code in range(1, VERSIONS + 1):
            yank(filled, f"org.example.app{number}", code)
    mirror.mirror(filled)
    before = in_bucket(filled)
    move(monkeypatch, DELETE_AFTER_SECONDS + 60)
    monkeypatch.setattr(clock, "synchronized", lambda: True)
    with pytest.raises(MirrorError, match=f"{FILES} of {FILES} objects are to be deleted, and none was"):
        mirror.mirror(filled)
    assert in_bucket(filled) == before
    assert len(mirror.mirror(filled, force=True).deleted) == FILES
    assert in_bucket(filled) == {}


def test_a_dry_run_says_it_all_and_changes_nothing(filled: Store) -> None:
    shown = mosis(filled, "mirror", "--dry-run")
    assert (shown.returncode, len(shown.stdout.splitlines())) == (0, FILES)
    assert not list(filled.layout.area("data").glob("mirror*")) and not list(objects.listed(bucket_of(filled)))
    real = mosis(filled, "mirror")
    assert {line.split()[-1] for line in real.stdout.splitlines()} == {
        line.split()[-1] for line in shown.stdout.splitlines()
    }
    assert mosis(filled, "mirror", "--dry-run").stdout == mosis(filled, "mirror").stdout == ""


def test_a_run_beside_another_one_is_no_failure(filled: Store) -> None:
    with alone(filled, mirror.JOB):
        ran = mosis(filled, "mirror")
        with pytest.raises(RunningError):
            mirror.mirror(filled)
    assert (ran.returncode, ran.stdout) == (0, "mirror is running already, or a restore is.\n")
    assert "mirror" not in job_runs.every(filled.db.read())


def test_a_terminal_shows_how_far_it_is(filled: Store) -> None:
    ours, theirs = pty.openpty()
    shown = b""
    with subprocess.Popen([MOSIS, "mirror"], env=environ(filled), stdout=subprocess.PIPE, stderr=theirs) as running:
        os.close(theirs)
        with suppress(OSError):  # how a terminal ends
            while piece := os.read(ours, 4096):
                shown += piece
    os.close(ours)
    assert running.returncode == 0
    assert b"copying to the bucket" in shown and b"100%" in shown
    assert pending(filled) == 0


def test_metrics_and_status_say_what_the_bucket_lacks_and_since_when(filled: Store) -> None:
    def metric(name: str) -> float:
        text = Metrics(filled).exposition().decode()
        [line] = [line for line in text.splitlines() if line.startswith(f"mosis_mirror_{name} ")]
        return float(line.split()[1])

    def line() -> Line:
        return status_line(filled, "bucket")

    assert metric("pending") == FILES and metric("last_success_timestamp_seconds") == 0
    assert line().ok and f"lacks {FILES} published files" in line().text
    mirror.mirror(filled)
    assert (metric("pending"), metric("pending_since_timestamp_seconds")) == (0, 0)
    assert metric("last_success_timestamp_seconds") > 0
    assert line().ok and "has every published file" in line().text
    assets.add_screenshot(filled, OWNER, apps.get(filled.db.read(), "org.example.app0"), b"new")
    yank(filled, "org.example.app1", 1)
    assert metric("pending") == 1 and metric("pending_since_timestamp_seconds") > 0


def test_a_file_that_waits_too_long_is_a_fault(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    away = S3(endpoint="http://127.0.0.1:1", bucket="mosis", credentials=filled.settings.mirror.credentials)
    with pytest.raises(MirrorError):
        mirror.mirror(through(filled, away))
    move(monkeypatch, 3660)
    assert not status_line(filled, "bucket").ok


def test_without_a_mirror_the_command_says_so(store: Store) -> None:
    with pytest.raises(SettingsError, match="No mirror is configured"):
        mirror.mirror(store)
