"""What is deleted for good leaves nothing behind but a tombstone, whatever cuts its removal short."""

import hashlib
import shutil
from pathlib import Path

import pytest

from portal.jobs import cleanup
from portal.recovery import records
from portal.store import (
    apps,
    assets,
    audit,
    deletion,
    files,
    known_files,
    leftovers,
    tokens,
    tombstones,
    uploads,
    versions,
)
from portal.store.errors import Refused
from portal.store.store import Store
from tests.packages.samples import APP_ID, make_package
from tests.support.portal import add_developer
from tests.support.publishing import OWNER, add_app, change, publish, upload

REASON = "By order of a court."
ADMIN = audit.Actor("admin", "admin", None, "test")


@pytest.fixture
def full(store: Store) -> Store:
    """A store whose one app has two versions and an icon, with records beside the packages."""
    add_developer(store, "acme")
    add_app(store, APP_ID)
    for code in (1, 2):
        publish(store, APP_ID, code)
    app = apps.get(store.db.read(), APP_ID)
    assets.put_icon(store, OWNER, app, {32: b"32", 64: b"64", 128: b"128"})
    records.catch_up(store)
    return store


def named(store: Store) -> list[str]:
    """Paths below the root that have the app's name."""
    return sorted(str(path.relative_to(store.layout.root)) for path in store.layout.root.rglob(f"*{APP_ID}*"))


def test_of_a_deleted_app_no_file_stays_and_its_id_is_never_used_again(full: Store) -> None:
    quarantined = full.layout.quarantine / "packages" / "acme" / APP_ID / "1" / "package.mosis"
    files.write_file(quarantined, b"damaged")
    deletion.delete_app(full, ADMIN, APP_ID, REASON)
    assert named(full) == []
    assert list(known_files.every(full.db.read(), full.layout)) == []
    with pytest.raises(Refused, match="deleted for good"):
        add_app(full, APP_ID)
    assert audit.first_fault(full.db.read()) is None


def test_tokens_that_are_bound_to_a_deleted_app_end_with_it(full: Store) -> None:
    with full.db.write() as tx:
        bound, free = (tokens.issue(tx, OWNER, "acme", "developer", 1, app_id)[0] for app_id in (APP_ID, None))
    deletion.delete_app(full, ADMIN, APP_ID, REASON)
    assert [tokens.get(full.db.read(), token.token_id).is_valid for token in (bound, free)] == [False, True]


def test_the_next_app_is_not_found_by_the_words_of_a_deleted_one(full: Store) -> None:
    """SQLite gives it the same row number."""
    deletion.delete_app(full, ADMIN, APP_ID, REASON)
    with full.db.write() as tx:
        apps.add(tx, OWNER, "org.example.next", "Next", "")
    publish(full, "org.example.next", 1, name="Next")
    found = apps.published(full.db.read(), query=APP_ID.rpartition(".")[2], limit=9)
    assert [app.app_id for app in found] == []


def test_a_deleted_version_gives_way_to_the_one_before_and_its_code_is_never_used_again(full: Store) -> None:
    files.write_file(full.layout.quarantine / "packages" / "acme" / APP_ID / "2" / "package.mosis", b"damaged")
    with full.db.write() as tx:
        tx.executemany("INSERT INTO downloads VALUES (?, ?, 1, 1)", [(APP_ID, code) for code in (1, 2)])
    deletion.delete_version(full, ADMIN, APP_ID, 2, REASON)
    assert apps.get(full.db.read(), APP_ID).published_code == 1
    assert {int(path.parent.name) for path in full.layout.root.rglob("package.mosis")} == {1}
    assert [row["version_code"] for row in full.db.read().execute("SELECT version_code FROM downloads")] == [1]
    with pytest.raises(Refused, match="must be greater than 2"):
        publish(full, APP_ID, 2)
    publish(full, APP_ID, 3)


@pytest.mark.parametrize("code", [1, 2])
def test_what_was_published_needs_a_reason_and_an_administrator(full: Store, code: int) -> None:
    with pytest.raises(Refused, match="reason"):
        deletion.delete_version(full, ADMIN, APP_ID, code, " ")
    with pytest.raises(Refused, match="an administrator any"):
        deletion.delete_version(full, OWNER, APP_ID, code, REASON)
    with pytest.raises(Refused, match="reason"):
        deletion.delete_app(full, ADMIN, APP_ID, "")
    with full.db.write() as tx:
        apps.add(tx, OWNER, "org.example.draft", "Draft", "")
    with pytest.raises(Refused, match="reason"):
        deletion.delete_app(full, ADMIN, "org.example.draft", "")
    assert len(versions.placed_of_app(full.db.read(), APP_ID)) == 2


def test_the_code_of_a_rejected_version_can_be_uploaded_again(store: Store) -> None:
    add_developer(store, "acme")
    add_app(store, APP_ID)
    with pytest.MonkeyPatch.context() as draft:
        draft.setattr("tests.support.publishing.change", lambda *_: None)
        publish(store, APP_ID, 1)
    change(store, APP_ID, 1, "submit")
    with pytest.raises(Refused, match="in_review"):
        deletion.delete_version(store, OWNER, APP_ID, 1, "")
    change(store, APP_ID, 1, "reject", "No icon.")
    stranger = audit.Actor("stranger", "developer", None, "test")
    with pytest.raises(Refused, match="There is no app"):
        deletion.delete_version(store, stranger, APP_ID, 1, "")
    deletion.delete_version(store, OWNER, APP_ID, 1, "")
    assert tombstones.highest(store.db.read(), APP_ID) == 0
    publish(store, APP_ID, 1)


def test_cleanup_removes_what_a_crash_left_of_a_deleted_app(full: Store, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(full.layout.root, kept)
    deletion.delete_app(full, ADMIN, APP_ID, REASON)
    for area in ("packages", "assets"):
        shutil.copytree(kept / area, full.layout.area(area), dirs_exist_ok=True)
    assert named(full)
    assert leftovers.unnamed(full) == []
    cleanup.cleanup(full, force=True)
    assert named(full) == []


def test_cleanup_leaves_an_app_alone_that_a_former_release_has_made_anew(full: Store) -> None:
    """That release, to which a host went back, knows no tombstones and has acknowledged the upload."""
    deletion.delete_app(full, ADMIN, APP_ID, REASON)
    with full.db.write() as tx:
        [gone] = tx.execute("DELETE FROM tombstones WHERE version_code = 0 RETURNING *").fetchall()
    add_app(full, APP_ID)
    package = upload(full, APP_ID, 3)
    with full.db.write() as tx:
        tx.execute("INSERT INTO tombstones VALUES (?, ?, ?, ?, ?)", tuple(gone))
    cleanup.cleanup(full)
    assert package.exists()


def test_cleanup_removes_what_a_crash_left_of_a_deleted_version(full: Store, tmp_path: Path) -> None:
    directory = full.layout.package_directory("acme", APP_ID, 2)
    shutil.copytree(directory, tmp_path / "kept")
    deletion.delete_version(full, ADMIN, APP_ID, 2, REASON)
    shutil.copytree(tmp_path / "kept", directory)
    assert leftovers.unnamed(full) == []
    cleanup.cleanup(full, force=True)
    assert not directory.exists()


def test_a_package_that_only_shares_the_code_of_a_deleted_one_stays(full: Store, tmp_path: Path) -> None:
    """A database from before its upload was put back: the package may be the last copy."""
    directory = full.layout.package_directory("acme", APP_ID, 2)
    shutil.copytree(directory, tmp_path / "kept")
    with full.db.write() as tx:
        version = versions.get(tx, APP_ID, 2)
        tx.execute("DELETE FROM versions WHERE version_id = ?", (version.version_id,))
        audit.append(tx, ADMIN, "version.delete", f"{APP_ID}/2", version_id="0" * 32)
    assert leftovers.unnamed(full) == [directory]


@pytest.mark.parametrize(
    ("steps", "refusal"),
    [(("submit",), "already has a version 3"), (("submit", "publish"), "must be greater than 3")],
    ids=["in review", "published"],
)
def test_an_administrator_replaces_no_more_than_an_owner(store: Store, steps: tuple[str, ...], refusal: str) -> None:
    drafted(store, 3)
    for step in steps:
        change(store, APP_ID, 3, step)
    before = versions.get(store.db.read(), APP_ID, 3)
    with pytest.raises(Refused, match=refusal):
        replace(store, 3, ADMIN)
    assert versions.get(store.db.read(), APP_ID, 3) == before


def test_a_package_that_could_not_be_placed_replaces_no_draft(store: Store) -> None:
    """A newer version has been published since: the draft stays, with its files."""
    drafted(store, 1)
    publish(store, APP_ID, 2)
    with pytest.raises(Refused, match="must be greater than 2"):
        replace(store, 1, OWNER)
    assert versions.get(store.db.read(), APP_ID, 1).status == "draft"
    assert store.layout.package("acme", APP_ID, 1).exists()


def test_a_package_replaces_a_draft_and_its_files(store: Store) -> None:
    drafted(store, 1)
    before = store.layout.package("acme", APP_ID, 1).read_bytes()
    replaced = replace(store, 1, OWNER)
    content = store.layout.package("acme", APP_ID, 1).read_bytes()
    assert content != before
    assert replaced.sha256 == hashlib.sha256(content).hexdigest()


def drafted(store: Store, code: int) -> None:
    add_developer(store, "acme")
    add_app(store, APP_ID)
    upload(store, APP_ID, code)


def replace(store: Store, code: int, actor: audit.Actor) -> versions.PlacedVersion:
    with uploads.receiving(store, apps.get(store.db.read(), APP_ID)) as incoming:
        make_package(incoming.package, app_id=APP_ID, version_code=code, payload_bytes=9)
        received = files.Received(incoming.package.stat().st_size, files.digest(incoming.package))
        return uploads.complete(store, actor, incoming, received, replace=True)
