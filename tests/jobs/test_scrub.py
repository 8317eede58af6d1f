"""A scrub finds every changed byte of the store and of the drive, and mends what has a good copy, while it serves."""

import dataclasses
import errno
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.jobs import backup, drill, mirror, scrub
from portal.jobs.scrub import Finding
from portal.mirror.client import Bucket
from portal.recovery import drive, mending, records
from portal.recovery.errors import BackupError
from portal.settings import S3
from portal.store import audit, job_runs, known_files
from portal.store.known_files import NamedFile
from portal.store.layout import Layout
from portal.store.store import Store
from tests.http.test_images import png
from tests.jobs.conftest import SHM
from tests.support.many import fill, flip
from tests.support.portal import MOSIS, Portal, Publisher, add_developer, mosis, problem
from tests.support.small_disk import SmallDisk

FLIPS = 1000


@pytest.fixture
def filled(saved: Store) -> Iterator[Store]:
    """A store of 800 files, all of them on the drive too."""
    fill(saved, 50, versions_each=15)
    backup.packages(saved)
    yield saved
    saved.db.close()


def named(store: Store) -> list[NamedFile]:
    return list(known_files.every(store.db.read(), store.layout))


def on_drive(store: Store, file: NamedFile) -> Path:
    return drive.trees(store.settings.backup)[0] / file.path


def in_store(store: Store, file: NamedFile) -> Path:
    return store.layout.root / file.path


def scrubbed(store: Store, **options: bool) -> tuple[list[Finding], bool]:
    """What a scrub found, and whether something remains damaged."""
    found: list[Finding] = []
    try:
        scrub.scrub(store, report=found.append, **options)
    except BackupError:
        return found, True
    return found, False


def test_each_of_a_thousand_flipped_bits_is_found_and_mended_where_a_good_copy_is(filled: Store) -> None:
    rng = random.Random(20261126)
    places = [(file, place) for file in named(filled) for place in (in_store, on_drive)]
    flipped = rng.sample(places, FLIPS)
    for file, place in flipped:
        flip(place(filled, file), rng.randrange(file.size * 8))
    lost = {file.path for file, _ in flipped if sum(other.path == file.path for other, _ in flipped) == 2}
    assert lost

    found, remains = scrubbed(filled, repair=True)

    assert len(found) == FLIPS and remains
    assert {finding.path for finding in found} == {
        file.path if place is in_store else place(filled, file) for file, place in flipped
    }
    assert all(bool(finding.mended_from) != any(finding.path.match(str(path)) for path in lost) for finding in found)
    for file in named(filled):
        assert file.is_good(filled.layout.root) == (file.path not in lost)
        assert in_store(filled, file).exists() == (file.path not in lost), "damaged bytes are never served"
    assert mending.quarantined(filled.layout) == len(lost)
    counts = {name: job_runs.counters(filled.db.read(), f"scrub_{name}")[""] for name in ("corrupt", "repaired")}
    assert counts == {"corrupt": FLIPS, "repaired": FLIPS - 2 * len(lost)}
    assert audit.first_fault(filled.db.read()) is None


def test_a_good_store_is_left_as_it_is(filled: Store) -> None:
    before = {path: path.stat().st_mtime_ns for path in filled.layout.root.rglob("packages/**/*")}
    assert scrubbed(filled, repair=True) == ([], False)
    assert {path: path.stat().st_mtime_ns for path in filled.layout.root.rglob("packages/**/*")} == before
    assert job_runs.counters(filled.db.read(), "scrub_checked") == {"": 800}


def test_unfinished_files_of_older_releases_go(filled: Store) -> None:
    left = in_store(filled, named(filled)[0]).with_name(".manifest.json.99.0123abcd")
    left.write_bytes(b"left")
    assert scrubbed(filled, repair=False) == ([], False)
    assert left.exists()
    assert scrubbed(filled, repair=True) == ([], False)
    assert not left.exists()


def test_a_dry_run_changes_nothing(filled: Store) -> None:
    damaged, missing, *_ = named(filled)
    flip(in_store(filled, damaged), 3)
    in_store(filled, missing).unlink()
    head, bytes_ = audit.head(filled.db.read()), in_store(filled, damaged).read_bytes()
    found, remains = scrubbed(filled, dry_run=True)
    assert [str(finding) for finding in found] == [f"{damaged.path} is damaged", f"{missing.path} is missing"]
    assert not remains and in_store(filled, damaged).read_bytes() == bytes_
    assert audit.head(filled.db.read()) == head and job_runs.counters(filled.db.read(), "scrub_checked") == {}


def test_without_repair_damage_is_set_aside_and_a_later_run_mends_it(filled: Store) -> None:
    file = named(filled)[0]
    flip(in_store(filled, file), 99)
    found, remains = scrubbed(filled)
    assert remains and len(found) == 1 and not in_store(filled, file).exists()
    assert mending.quarantined(filled.layout) == 1
    [finding], remains = scrubbed(filled, repair=True)
    assert not remains and finding.mended_from == str(on_drive(filled, file))
    assert file.is_good(filled.layout.root) and mending.quarantined(filled.layout) == 0
    rows = [(entry.action, entry.subject) for entry in audit.entries(filled.db.read())][-2:]
    assert rows == [("file.quarantine", str(file.path)), ("file.repair", str(file.path))]


def test_manifests_and_lost_directories_come_back(filled: Store) -> None:
    changed, gone, *_ = named(filled)
    manifest = in_store(filled, changed).with_name("manifest.json")
    flip(manifest, 5)
    shutil.rmtree(in_store(filled, gone).parent)
    flip(on_drive(filled, gone).with_name("manifest.json"), 5)
    found, remains = scrubbed(filled, repair=True)
    assert not remains and all(finding.mended_from for finding in found)
    assert [finding.path for finding in found] == [
        manifest.relative_to(filled.layout.root),
        gone.path,
        gone.path.with_name("manifest.json"),
        on_drive(filled, gone).with_name("manifest.json"),
    ]
    assert on_drive(filled, gone).with_name("manifest.json").read_text() == gone.manifest
    assert manifest.read_text() == changed.manifest
    assert gone.is_good(filled.layout.root)
    assert in_store(filled, gone).with_name("manifest.json").read_text() == gone.manifest


def test_a_file_that_cannot_be_read_is_damaged(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    file, read = named(filled)[0], mending.read

    def bad_sector(path: Path, took: mending.Throttle) -> mending.Read:
        if path == in_store(filled, file) and path.stat().st_ino == inode:
            raise OSError(5, "Input/output error")
        return read(path, took)

    inode = in_store(filled, file).stat().st_ino
    monkeypatch.setattr(mending, "read", bad_sector)
    [finding], remains = scrubbed(filled, repair=True)
    assert finding.fault == "cannot be read: Input/output error" and not remains
    assert file.is_good(filled.layout.root)


def test_an_interrupted_run_is_continued(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub, "NOTED_EVERY", 10)
    first = named(filled)[0]
    for place in (in_store, on_drive):
        flip(place(filled, first), 1)

    def interrupt(done: int, total: int) -> None:
        if done == 105:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scrub.scrub(filled, progress=interrupt)
    done: list[int] = []
    with pytest.raises(BackupError, match=str(first.path)):  # although this run did not read it
        scrub.scrub(filled, progress=lambda n, total: done.append(n))
    assert done[0] == 106 and done[-1] == 800
    assert job_runs.counters(filled.db.read(), "scrub_checked") == {"": 800}
    scrub.scrub(filled, dry_run=True)  # a new pass
    assert not (filled.layout.area("data") / "scrub.json").exists()


def test_what_is_deleted_or_replaced_meanwhile_is_no_damage(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    deleted, replaced, *_ = named(filled)
    fault = mending.fault

    def race(path: Path, file: NamedFile, took: mending.Throttle) -> tuple[str, int] | None:
        if path == in_store(filled, deleted):
            with filled.db.write() as tx:
                tx.execute("DELETE FROM versions WHERE app_id = ? AND version_code = ?", file.position[1:])
            path.unlink()
        if path == in_store(filled, replaced):
            good = path.read_bytes()
            flip(path, 1)
            found = fault(path, file, took)
            (path.parent / "new").write_bytes(good)
            (path.parent / "new").replace(path)
            return found
        return fault(path, file, took)

    monkeypatch.setattr(mending, "fault", race)
    shutil.rmtree(on_drive(filled, deleted).parents[4] / "packages")
    assert scrubbed(filled, repair=True) == ([], False)
    assert replaced.is_good(filled.layout.root)


def test_the_rate_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(mending, "monotonic", lambda: clock[0])
    monkeypatch.setattr(mending, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    took = mending.throttle(1000)
    for _ in range(50):
        took(100)
    assert clock[0] == pytest.approx(105)
    clock[0] += 3600  # what was not read while the machine slept is not made up for
    took(1000)
    assert clock[0] == pytest.approx(3706)


def test_a_portal_serves_while_a_scrub_mends(published: Publisher) -> None:
    portal: Portal = published.portal
    store, client = portal.store, published.client
    backup.packages(store)
    url = "/downloads/acme/org.example.app/2/package.mosis"
    good = client.get(url)
    flip(store.layout.package("acme", "org.example.app", 2), 4000)
    assert mosis(store, "scrub").returncode == 1
    problem(client.get(url), 404, "FILE_NOT_FOUND")
    assert "mosis_quarantined_files 1.0" in client.get("/metrics").text
    ran = mosis(store, "scrub", "--repair")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "3 files checked, 1 damaged, 1 mended"
    again = client.get(url)
    assert again.content == good.content and again.headers["etag"] == good.headers["etag"]
    text = client.get("/metrics").text
    for line in ("mosis_scrub_checked_total 6.0", "mosis_scrub_corrupt_total 2.0", "mosis_scrub_repaired_total 1.0"):
        assert line in text, text
    assert "mosis_quarantined_files 0.0" in text
    status = json.loads(mosis(store, "status", "--json").stdout)
    [line] = [line for line in status["lines"] if line["name"] == "scrub"]
    assert line["ok"], line


def test_an_image_that_the_disk_changed_is_never_sent_and_is_mended(published: Publisher) -> None:
    client, store, app = published.client, published.portal.store, f"/api/apps/{published.app_id}"
    icon = client.post(f"{app}/icon", files={"icon": png(256, 256)}).raise_for_status().json()["assets"][1]
    screenshot = client.post(f"{app}/screenshots", files={"screenshot": png(1280, 720)}).raise_for_status().json()
    published.approve_images()
    backup.packages(store)
    sent = {asset["url"]: client.get(asset["url"]).content for asset in (icon, screenshot)}
    for file in (file for file in named(store) if file.plain):
        flip(in_store(store, file), 1001)
    for url in sent:
        problem(client.get(url), 507, "STORAGE_ERROR")
    assert scrubbed(store)[1]
    for url in sent:
        problem(client.get(url), 404, "FILE_NOT_FOUND")
    assert not scrubbed(store, repair=True)[1]
    assert {url: client.get(url).content for url in sent} == sent
    for file in (file for file in named(store) if file.plain):
        assert (store.layout.root / file.plain).samefile(in_store(store, file)), "the plain name is that file again"


def test_a_file_that_generations_of_the_drive_share_is_mended_in_all_of_them(filled: Store) -> None:
    add_developer(filled, "other", key=None)
    backup.packages(filled)
    shared, trees = named(filled)[3], drive.trees(filled.settings.backup)
    assert len(trees) == 2 and (trees[0] / shared.path).samefile(trees[1] / shared.path)
    flip(trees[0] / shared.path, 17)
    found, remains = scrubbed(filled, repair=True)
    assert [finding.mended_from for finding in found] == ["the store"] and not remains
    assert all(shared.is_good(tree) for tree in trees)
    assert (trees[0] / shared.path).samefile(trees[1] / shared.path)


def test_what_had_the_path_before_is_no_damage(filled: Store) -> None:
    """A draft that was deleted and uploaded again: an older generation has the first one."""
    file = named(filled)[0]
    old = on_drive(filled, file)
    body = b"the version that was uploaded again"
    with filled.db.write() as tx:
        tx.execute(
            "UPDATE versions SET sha256 = ?, size = ?, created_at = ? WHERE app_id = ? AND version_code = ?",
            (hashlib.sha256(body).hexdigest(), len(body), int(old.stat().st_mtime) + 60, *file.position[1:]),
        )
    in_store(filled, file).write_bytes(body)
    assert scrubbed(filled, repair=True) == ([], False)
    assert file.is_good(drive.trees(filled.settings.backup)[0])


def test_what_cannot_be_read_on_the_drive_is_not_called_damaged(filled: Store) -> None:
    package, other = named(filled)[:2]
    for path in (on_drive(filled, package), on_drive(filled, other).with_name("manifest.json")):
        path.unlink()
        path.mkdir()
    found, _ = scrubbed(filled, repair=False)
    assert [finding.fault for finding in found] == ["cannot be read: not a regular file"] * 2
    with pytest.raises(BackupError, match=r"package\.mosis cannot be read: not a regular file\. .*replace a drive"):
        drill.drill(filled)


def test_what_had_the_path_later_is_no_damage(filled: Store) -> None:
    """A code that was used again, before a restore of the time before that: newer generations have the second one."""
    file = named(filled)[0]
    code = (file.position.app_id, file.position.key)
    [row] = filled.db.read().execute("SELECT * FROM versions WHERE app_id = ? AND version_code = ?", code).fetchall()
    later, body = on_drive(filled, file), b"the version that was uploaded again, and lost by the restore"
    later.write_bytes(body)
    rows = {"versions": [dict(row) | {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}]}
    later.with_name("version.json").write_bytes(records.to_json(rows))
    assert scrubbed(filled, repair=True) == ([], False)
    assert later.read_bytes() == body

    later.with_name("version.json").write_bytes(records.to_json({"versions": [dict(row)]}))
    assert [finding.mended_from for finding in scrubbed(filled, repair=True)[0]] == ["the store"]


@pytest.fixture
def mirrored(filled: Store, empty: S3) -> Store:
    """The store, all of whose published files are in a bucket as well."""
    store = dataclasses.replace(filled, settings=filled.settings.model_copy(update={"mirror": empty}))
    mirror.mirror(store)
    return store


def test_what_neither_store_nor_drive_has_comes_from_the_bucket(mirrored: Store) -> None:
    package, image = named(mirrored)[7], named(mirrored)[-1]
    for file in (package, image):
        flip(in_store(mirrored, file), 70)
        for path in (file.path, file.plain or file.path):
            (drive.trees(mirrored.settings.backup)[0] / path).unlink(missing_ok=True)
    found, remains = scrubbed(mirrored, repair=True)
    assert [finding.mended_from for finding in found] == ["the mirror's bucket"] * 2 and not remains
    assert all(file.is_good(mirrored.layout.root) for file in (package, image))
    assert not list(mirrored.layout.area("temp").iterdir())
    [entry, _] = [one for one in audit.entries(mirrored.db.read()) if one.action == "file.repair"]
    assert json.loads(entry.detail)["copy"] == "the mirror's bucket"


def test_a_bucket_that_has_other_bytes_or_is_away_mends_nothing(mirrored: Store) -> None:
    changed, longer = named(mirrored)[3], named(mirrored)[4]
    bucket = Bucket(mirrored.settings.mirror)
    bucket.call("put_object", Key=str(changed.path), Body=b"x" * changed.size)
    bucket.call("put_object", Key=str(longer.path), Body=b"x" * (longer.size + 1))
    for file in (changed, longer):
        in_store(mirrored, file).unlink()
        on_drive(mirrored, file).unlink()
    found, remains = scrubbed(mirrored, repair=True)
    assert [finding.mended_from for finding in found] == [None, None] and remains
    away = S3(endpoint="http://127.0.0.1:1", bucket="mosis", credentials=mirrored.settings.mirror.credentials)
    lonely = dataclasses.replace(mirrored, settings=mirrored.settings.model_copy(update={"mirror": away}))
    assert scrubbed(lonely, repair=True)[1]
    assert not list(mirrored.layout.area("temp").iterdir())


def test_a_manifest_that_is_damaged_here_too_mends_none_on_the_drive(
    saved: Store, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_store: Store, _file: NamedFile) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    fill(saved, 1, 1)
    backup.packages(saved)
    here = saved.layout.package("acme", "org.example.app0", 1).with_name("manifest.json")
    [there] = drive.rglob("manifest.json")
    for manifest in (here, there):
        manifest.write_text("rot")
    monkeypatch.setattr(mending, "mend_manifest", refuse)  # as where it belongs to root
    found: list[Finding] = []
    with pytest.raises(BackupError, match="2 files are not as the database has them"):
        scrub.scrub(saved, repair=True, report=found.append)
    assert [finding.mended_from for finding in found] == [None, None]


def test_a_damaged_file_is_not_served_although_quarantine_is_on_another_disk(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = named(filled)[0]
    flip(in_store(filled, file), 7)
    with tempfile.TemporaryDirectory(dir=SHM) as other:  # /dev/shm is one
        filled.layout.quarantine.symlink_to(other)
        assert scrubbed(filled)[1]
        assert not in_store(filled, file).exists() and mending.quarantined(filled.layout) == 1
        filled.layout.quarantine.unlink()
    assert not scrubbed(filled, repair=True)[1] and file.is_good(filled.layout.root)

    flip(in_store(filled, file), 7)
    monkeypatch.setattr(shutil, "move", _no_room)
    assert scrubbed(filled)[1]
    assert not in_store(filled, file).exists()


def _no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_is_lost_is_reported_in_one_line(filled: Store) -> None:
    shutil.rmtree(filled.layout.area("packages") / "acme")
    with pytest.raises(BackupError) as failed:
        scrub.scrub(filled)
    assert str(failed.value).startswith("750 files are not") and len(str(failed.value)) < 600


ON_SMALL_DISK = """
import sys
from pathlib import Path
from portal.store import ballast
from tests.support.many import fill
from tests.support.portal import environ, make_store
store = make_store(Path(sys.argv[1]), litestream=True)
environ(store)
fill(store, 1, versions_each=2)
ballast.take(store.layout)
"""


def test_a_full_disk_keeps_no_damaged_file_where_devices_get_it(small_disk: SmallDisk) -> None:
    root = small_disk.path / "store"
    small_disk.run(sys.executable, "-c", ON_SMALL_DISK, root)
    layout = Layout(small_disk.seen / "store")
    damaged, good = sorted(layout.area("packages").rglob("package.mosis"))
    flip(damaged, 7)
    small_disk.fill()
    assert shutil.disk_usage(small_disk.seen).free == 0
    environment = os.environ | {"MOSIS_CONFIG": str(root / "mosis.toml")}
    command = [*small_disk.inside(), MOSIS, "scrub", "--repair"]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ran.returncode == 1 and "1 files are not as the database has them" in ran.stderr
    assert (damaged.exists(), good.exists(), mending.quarantined(layout)) == (False, True, 1)
