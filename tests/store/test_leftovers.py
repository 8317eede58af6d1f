"""Whatever a crash leaves is listed and removed, and nothing else is."""

import json
import os
import threading
from collections.abc import Collection
from pathlib import Path

import pytest

from portal.store import apps, asset_rows, assets, audit, leftovers, placement, signed_uploads, uploads, versions
from portal.store.clock import now
from portal.store.layout import RECORD
from portal.store.leftovers import Leftover
from portal.store.placement import Target
from portal.store.store import Store
from tests.packages.samples import APP_ID, make_package
from tests.support.portal import add_developer

DEVELOPER = audit.Actor("acme", "developer", None, "test")
HOUR = 3600


@pytest.fixture
def app(store: Store) -> apps.App:
    add_developer(store, "acme")
    with store.db.write() as tx:
        return apps.add(tx, DEVELOPER, APP_ID, "Reader", "")


@pytest.fixture
def version(store: Store, app: apps.App, tmp_path: Path) -> versions.PlacedVersion:
    """A version of the app, which has an icon and a screenshot too."""
    make_package(tmp_path / "p.mosis")
    with uploads.receiving(store, app) as incoming:
        sink = uploads.files.Sink(incoming.package, 10**9, durable=False)
        sink.write((tmp_path / "p.mosis").read_bytes())
        placed = uploads.complete(store, DEVELOPER, incoming, sink.finish())
    assets.put_icon(store, DEVELOPER, app, {32: b"icon"})
    assets.put_screenshot(store, DEVELOPER, app, 3, b"screenshot")
    return placed


def files_of(store: Store) -> set[Path]:
    return {path for path in store.layout.root.rglob("*") if path.is_file() and "data" not in path.parts}


def found(store: Store, ownerless: Collection[str] = ()) -> set[Leftover]:
    return set(leftovers.found(store, now(), ownerless))


def swept(store: Store, ownerless: Collection[str] = ()) -> list[Leftover]:
    removed: list[Leftover] = []
    leftovers.sweep(store, leftovers.found(store, now(), ownerless), removed.append, pytest.fail)
    return removed


def write(path: Path, age: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"left")
    for changed in (path, path.parent):
        os.utime(changed, (now() - age, now() - age))
    return path


@pytest.mark.usefixtures("version")
def test_each_kind_is_removed_and_every_file_with_a_row_stays(store: Store, app: apps.App) -> None:
    layout, icons = store.layout, store.layout.area("assets") / APP_ID
    kept_upload = signed_uploads.issue(store, app, 10, None)
    kept = files_of(store)
    made = {
        Leftover("temp", write(layout.staging("drill-1/portal.db"), HOUR).parent),
        Leftover("temp", write(layout.staging("f" * 32) / "package.mosis", HOUR).parent),
        Leftover("partial", write(layout.presign_keys.with_name(".presign-keys.12.0123abcd"))),
        Leftover("partial", write(layout.snapshots / ".portal-20261126T000000Z.db-journal", HOUR)),
        Leftover("partial", write(layout.area("data") / ".scrub.json.7.0123abcd", HOUR)),
        Leftover("orphan", write(layout.package("acme", APP_ID, 2)).parent),
        Leftover("orphan", write(layout.package("gone", "org.example.gone", 1)).parent),
        Leftover("image", write(icons / "icon-32.0123456789abcdef.png")),
        Leftover("image", write(icons / "screenshots" / "3.0123456789abcdef.png")),
        Leftover("image", write(icons / "screenshots" / "4.png")),
        Leftover("image", write(icons / ".icon-32.png.99.0123abcd")),
    }
    signed = signed_uploads.issue(store, app, 10, None)
    uploads.files.discard(layout.staging(signed.upload_id))
    made.add(Leftover("uploading", layout.staging(signed.upload_id)))
    for unrelated in (layout.staging("@eaDir/x"), icons / "@eaDir" / "x", icons / "notes.txt"):
        kept.add(write(unrelated, HOUR))

    assert found(store) == made
    assert set(swept(store)) == made
    assert found(store) == set()
    assert files_of(store) == kept
    assert signed_uploads.find(store.db.read(), kept_upload.upload_id) == kept_upload


@pytest.mark.usefixtures("version")
def test_a_package_that_was_a_version_stays_unless_the_log_has_its_deletion(store: Store) -> None:
    """As after an old copy of the database was put back by hand: its rows are gone, its bytes are all there is."""
    newer, deleted, again, damaged = (store.layout.package("acme", APP_ID, code).parent for code in (7, 8, 9, 10))
    with store.db.write() as tx:
        for code in (8, 9, 10):
            audit.append(tx, audit.OPERATOR, "version.expire", f"{APP_ID}/{code}", rule="draft")
    for directory, created_at in ((newer, now()), (deleted, now() - HOUR), (again, now() + HOUR)):
        record = {"rows": {"versions": [{"created_at": created_at}]}}
        write(directory / RECORD).write_text(json.dumps(record))
    write(damaged / RECORD)
    assert leftovers.unnamed(store) == [damaged, newer, again]
    assert swept(store) == [Leftover("orphan", deleted)]


def test_what_is_young_may_be_in_use(store: Store) -> None:
    write(store.layout.staging("drill-1/portal.db"))
    write(store.layout.snapshots / ".portal-20261126T000000Z.db")
    assert found(store) == set()


def test_without_another_portal_the_uploads_of_forms_have_no_owner(store: Store, app: apps.App) -> None:
    form, signed = uploads.new(store, app), signed_uploads.issue(store, app, 10, None)
    uploads.begin(store, form)
    write(form.package)
    image = write(store.layout.staging("image-x1y2/icon")).parent
    job = write(store.layout.staging("drill-1/portal.db"))
    assert found(store) == set()
    assert set(swept(store, leftovers.ownerless(store, is_job_running=False))) == {
        Leftover("uploading", form.directory), Leftover("temp", image),
    }  # fmt: skip
    assert uploads.version_of(store.db.read(), form.upload_id) is None
    assert sorted(store.layout.area("temp").iterdir()) == sorted([store.layout.staging(signed.upload_id), job.parent])


def test_a_package_that_is_being_placed_is_no_orphan(store: Store, app: apps.App, tmp_path: Path) -> None:
    make_package(tmp_path / "p.mosis")
    source = store.layout.staging("a" * 32)
    for name in (placement.PACKAGE, placement.MANIFEST):
        write(source / name)
    listed: list[set[Leftover]] = []

    def look() -> None:
        listed.append({leftover for leftover in found(store) if leftover.label == "orphan"})
        store.db.close()

    looking = threading.Thread(target=look)
    with placement.linked(store, source, Target("acme", APP_ID, 1), lambda _: None) as tx:
        assert store.layout.package("acme", APP_ID, 1).exists()
        looking.start()
        looking.join(0.2)
        assert listed == []  # it waits for this one to end
        tx.execute(
            "INSERT INTO versions VALUES"
            " ('v', ?, 'acme', 'draft', 1, 1, NULL, NULL, '[]', 1, '1', 4, 's', 'k', 's', 'm')",
            (app.app_id,),
        )
    looking.join()
    assert listed == [set()]


@pytest.mark.usefixtures("version")
def test_what_was_named_since_it_was_listed_stays(store: Store, app: apps.App) -> None:
    old = assets.get(store.db.read(), APP_ID, "icon-32.png")
    write(store.layout.image(APP_ID, old.name, "0" * 64))
    [leftover] = found(store)
    with store.db.write() as tx:
        tx.execute("UPDATE assets SET sha256 = ? WHERE name = ?", ("0" * 64, old.name))
    removed: list[Leftover] = []
    leftovers.sweep(store, iter([leftover]), removed.append, pytest.fail)
    assert removed == []
    assert leftover.path.exists()


@pytest.mark.usefixtures("version")
def test_images_get_the_name_that_they_lack(store: Store) -> None:
    icon, shot = asset_rows.of_app(store.db.read(), APP_ID)
    pairs = [(store.layout.image(APP_ID, a.name, a.sha256), store.layout.asset(APP_ID, a.name)) for a in (icon, shot)]
    pairs[0][0].unlink()  # an icon of an older release
    pairs[1][1].unlink()
    write(pairs[1][1])  # a crash came before the plain name was changed
    leftovers.name_images(store)
    assert all(path.samefile(plain) for path, plain in pairs)
    assert [path.read_bytes() for path, _ in pairs] == [b"icon", b"screenshot"]
    assert found(store) == set()


def test_one_that_cannot_be_removed_keeps_no_other(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("drill-1", "drill-2"):
        write(store.layout.staging(f"{name}/x"), HOUR)
    discard, failed, removed = uploads.files.discard, list[str](), list[Leftover]()

    def fails(path: Path) -> None:
        if path.name == "drill-1":
            raise OSError(5, "Input/output error", str(path))
        discard(path)

    monkeypatch.setattr(uploads.files, "discard", fails)
    leftovers.sweep(store, leftovers.found(store, now()), removed.append, failed.append)
    assert [leftover.path.name for leftover in removed] == ["drill-2"]
    assert len(failed) == 1
    assert "drill-1" in failed[0]


@pytest.mark.usefixtures("version")
def test_what_a_request_has_removed_since_it_was_listed_does_not_count(store: Store) -> None:
    leftover = Leftover("image", store.layout.image(APP_ID, "icon-32.png", "0" * 64))
    removed: list[Leftover] = []
    leftovers.sweep(store, iter([leftover]), removed.append, pytest.fail)
    assert removed == []


@pytest.mark.usefixtures("version")
def test_an_icon_that_an_older_release_has_replaced_is_adopted(store: Store) -> None:
    """Releases go back and forth: an older one reads and writes only the plain name."""
    old, name = assets.get(store.db.read(), APP_ID, "icon-32.png"), "icon-32.png"
    received = uploads.files.write_file(store.layout.asset(APP_ID, name), b"of the older release")
    with store.db.write() as tx:
        tx.execute("UPDATE assets SET size = ?, sha256 = ? WHERE name = ?", (received.size, received.sha256, name))
    new, path = assets.located(store.db.read(), store.layout, APP_ID, name)
    assert (new.sha256, path) == (received.sha256, store.layout.asset(APP_ID, name))
    assert swept(store) == [Leftover("image", store.layout.image(APP_ID, name, old.sha256))]
    leftovers.name_images(store)
    assert store.layout.image(APP_ID, name, received.sha256).samefile(path)
    assert path.read_bytes() == b"of the older release"
