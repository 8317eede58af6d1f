"""`mosis catalogue` keeps what devices verify up to date; python-tuf's own client is the judge."""

import hashlib
import re
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tuf.api.exceptions import ExpiredMetadataError

from portal.catalogue import bins
from portal.catalogue import draft as drafts
from portal.catalogue.prune import KEEP_SECONDS
from portal.catalogue.tree import Tree
from portal.jobs import catalogue as job
from portal.jobs import catalogue_keys, status
from portal.jobs.alone import RunningError, alone
from portal.jobs.catalogue import CatalogueError, catalogue, preview
from portal.jobs.status_line import Line
from portal.metrics import Metrics
from portal.packages import package as packages
from portal.packages import signature
from portal.store import apps, assets, audit, clock, developers, key_changes, keys
from portal.store.store import Store, open_store
from tests.packages.samples import APP_ID, KEY
from tests.support.clock import move
from tests.support.many import flip
from tests.support.portal import add_developer, mosis, registration
from tests.support.publishing import OWNER, add_app, change, delete_app, publish
from tests.support.small_disk import SmallDisk
from tests.support.tuf_device import TufDevice

HOUR, DAY = 3600, 86400
real_time = time.time
OTHER_ID = "org.example.writer"


@pytest.fixture
def signed(store: Store) -> Store:
    """A store with a catalogue, and two apps that have a published version each."""
    fill(store)
    return store


def fill(store: Store) -> None:
    catalogue_keys.make(store, [KEY])
    add_developer(store, "acme")
    for app_id in (APP_ID, OTHER_ID):
        add_app(store, app_id)
        publish(store, app_id, 1)
    catalogue(store)


def device(store: Store) -> TufDevice:
    return TufDevice(store.layout.catalogue)


def codes(document: dict[str, Any]) -> list[int]:
    return [release["version_code"] for release in document["releases"]]


def reasons(document: dict[str, Any]) -> dict[int, str]:
    """Of what is withdrawn, by version code."""
    return {one["version_code"]: one["reason"] for one in document["withdrawn"]}


def kinds(paths: list[str]) -> list[str]:
    """What was written: documents, bins and other roles, in the order of writing."""
    names = (Path(path).name.split(".") for path in paths)
    found = ["document" if "targets/" in path else name[-2] for path, name in zip(paths, names, strict=True)]
    return ["bin" if bins.NAME.fullmatch(kind) else kind for kind in found]


def test_a_device_gets_the_document_of_each_app(signed: Store) -> None:
    assets.put_icon(signed, OWNER, apps.get(signed.db.read(), APP_ID), {64: b"large", 32: b"small"})
    described = {"description": "What it does.\nMore.", "changelog": "Faster."}
    path = publish(signed, APP_ID, 2, min_api=7, permissions=["camera"], **described)
    catalogue(signed)
    found = device(signed).documents(APP_ID, OTHER_ID, "org.example.none")
    assert found["org.example.none"] is None
    document = found[APP_ID]
    assert (document["format"], document["name"], document["summary"]) == (1, "Reader", "What it does.")
    assert (document["developer_id"], document["developer"]) == ("acme", "Acme")
    assert [(icon["size"], icon["bytes"]) for icon in document["icons"]] == [(32, 5), (64, 5)]
    assert (signed.layout.root / document["icons"][0]["paths"][0]).read_bytes() == b"small"
    newest, oldest = document["releases"]
    assert (newest["version_code"], newest["min_api"], oldest["version_code"], oldest["min_api"]) == (2, 7, 1, None)
    assert (newest["permissions"], newest["changelog"]) == (["camera"], "Faster.")
    assert newest["paths"][0] == str(path.relative_to(signed.layout.root))
    package = packages.read(path)
    assert newest["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert newest["statement_sha256"] == hashlib.sha256(package.statement).hexdigest()
    assert [key["key_id"] for key in document["signing"]["keys"]] == [newest["key_id"]] == [package.key_id]


def test_a_run_writes_what_changed_and_nothing_else(signed: Store) -> None:
    phone = device(signed)
    phone.documents(APP_ID, OTHER_ID)
    assert catalogue(signed).written == preview(signed).written == []
    add_developer(signed, "other", key=None)
    assert catalogue(signed).written == []
    publish(signed, APP_ID, 2)
    would = preview(signed)
    done = catalogue(signed)
    assert kinds(done.written) == kinds(would.written) == ["document", "bin", "snapshot", "timestamp"]
    assert codes(phone.documents(APP_ID, OTHER_ID)[APP_ID]) == [2]
    assert kinds(phone.files.asked) == ["root", "timestamp", "snapshot", "bin", "document"]
    assert catalogue(signed, verify=True).written == []


def test_a_yanked_version_is_withdrawn(signed: Store) -> None:
    publish(signed, APP_ID, 2)
    change(signed, APP_ID, 2, "yank", "It lost files.")
    catalogue(signed)
    document = device(signed).documents(APP_ID)[APP_ID]
    assert (codes(document), reasons(document)) == ([1], {2: "It lost files."})
    change(signed, APP_ID, 1, "yank", "It too.")
    catalogue(signed)
    phone = device(signed)
    document = phone.documents(APP_ID)[APP_ID]
    assert (codes(document), len(document["withdrawn"])) == ([], 2)
    assert phone.updated().get_targetinfo(bins.path_of(APP_ID)).custom == {"c": 0}


def test_a_version_that_is_put_back_is_a_release_again(signed: Store) -> None:
    publish(signed, APP_ID, 2)
    change(signed, APP_ID, 2, "yank", "It lost files.")
    catalogue(signed)
    change(signed, APP_ID, 2, "unyank")
    catalogue(signed)
    document = device(signed).documents(APP_ID)[APP_ID]
    assert (codes(document), reasons(document)) == ([2], {})


def test_a_second_yank_stays_though_an_older_database_has_only_the_unyank(
    signed: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(signed, APP_ID, 2)
    change(signed, APP_ID, 2, "yank", "It lost files.")
    change(signed, APP_ID, 2, "unyank")
    signed.db.read().execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    move(monkeypatch, HOUR)
    change(signed, APP_ID, 2, "yank", "Again.")
    catalogue(signed, force=True)
    restored = put_back(signed, tmp_path / "copy.db")
    with pytest.raises(CatalogueError, match=f"{APP_ID} 2 was yanked.*yank it again"):
        catalogue(restored, force=True)
    assert reasons(device(signed).documents(APP_ID)[APP_ID]) == {2: "Again."}
    restored.db.close()


def test_a_deleted_app_has_no_document(signed: Store) -> None:
    delete_app(signed, OTHER_ID)
    assert preview(signed).removed == [OTHER_ID]
    catalogue(signed)
    found = device(signed).documents(APP_ID, OTHER_ID)
    assert (codes(found[APP_ID]), found[OTHER_ID]) == ([1], None)


def test_a_recovered_key_is_there_as_soon_as_it_is_in_force(signed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which no row of the log says."""
    new = Ed25519PrivateKey.generate()
    with signed.db.write() as tx:
        key = keys.register(tx, OWNER, "acme", **registration("acme", new))
        announced = key_changes.recover(tx, OWNER, apps.get(tx, APP_ID), key.key_id, "lost")
    phone = device(signed)
    for seconds, pending, in_force in ((-HOUR, True, 1), (HOUR, False, 2)):
        move(monkeypatch, announced.effective_at - real_time() + seconds)
        catalogue(signed, force=True)
        signing = phone.documents(APP_ID)[APP_ID]["signing"]
        assert (signing["pending_recovery"] is not None, len(signing["keys"])) == (pending, in_force)


def test_a_draft_has_no_document(signed: Store) -> None:
    add_app(signed, "org.example.draft")
    assert catalogue(signed).written == []
    assert device(signed).documents("org.example.draft") == {"org.example.draft": None}


def cut_everywhere(store: Store, begin: Callable[[], object], accepted: Callable[[TufDevice], None]) -> None:
    """Whatever the last file is that a run wrote, devices accept what is there, and the next run ends the work."""
    begin()
    seen = device(store)
    place, kept = store.layout.catalogue, store.layout.root / "kept"
    shutil.copytree(place, kept)
    state = store.layout.catalogue_state.read_bytes()
    seen.updated()
    whole = len(preview(store).written)
    for last in {*range(3), *range(whole - 6, whole)} & {*range(whole)}:  # of many bins some are enough
        shutil.rmtree(place)
        shutil.copytree(kept, place)
        store.layout.catalogue_state.write_bytes(state)
        left = [last]

        def cut(_path: str, left: list[int] = left) -> None:
            if not left[0]:
                raise InterruptedError
            left[0] -= 1

        with pytest.raises(InterruptedError):
            catalogue(store, wrote=cut)
        for phone in (seen.copy(), device(store)):
            phone.documents(APP_ID, OTHER_ID)
        catalogue(store)
        for phone in (seen.copy(), device(store)):
            accepted(phone)
    shutil.rmtree(kept)


def test_a_run_that_is_cut_off_anywhere_leaves_a_catalogue_that_devices_accept(signed: Store) -> None:
    cut_everywhere(
        signed,
        lambda: (publish(signed, APP_ID, 2), delete_app(signed, OTHER_ID)),
        lambda phone: codes(phone.documents(APP_ID)[APP_ID]) == [2] or pytest.fail("the old document"),
    )


@pytest.mark.parametrize("changes", [{"new_store_key": True}, {"new_root_keys": [Ed25519PrivateKey.generate()]}, {}])
def test_a_change_of_keys_that_is_cut_off_anywhere_locks_no_device_out(changes: dict[str, Any], signed: Store) -> None:
    def current(phone: TufDevice) -> None:
        assert codes(phone.documents(APP_ID)[APP_ID]) == [1]
        assert phone.updated()._trusted_set.root.version == 2

    cut_everywhere(signed, lambda: catalogue_keys.renew(signed, [KEY], **changes), current)


def test_keys_that_changed_twice_lock_no_device_out_that_has_neither_root_yet(signed: Store) -> None:
    for _ in range(2):
        catalogue_keys.renew(signed, [KEY], new_store_key=True)
    catalogue(signed)
    phone = device(signed)
    for version in (2, 3):
        (signed.layout.catalogue / f"metadata/{version}.root.json").unlink()
    assert codes(phone.documents(APP_ID)[APP_ID]) == [1]


def test_an_older_database_does_not_bring_older_versions(signed: Store, tmp_path: Path) -> None:
    """Restored from a copy: what it does not know is gone, and devices accept that."""
    signed.db.read().execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    publish(signed, APP_ID, 2)
    add_app(signed, "org.example.later")
    publish(signed, "org.example.later", 1)
    catalogue(signed)
    phone = device(signed)
    assert codes(phone.documents(APP_ID)[APP_ID]) == [2]
    restored = put_back(signed, tmp_path / "copy.db")
    assert catalogue(restored).removed == ["org.example.later"]
    found = phone.documents(APP_ID, "org.example.later")
    assert (codes(found[APP_ID]), found["org.example.later"]) == ([1], None)
    restored.db.close()


def test_what_was_withdrawn_stays_so_in_an_older_database(signed: Store, tmp_path: Path) -> None:
    publish(signed, APP_ID, 2)
    signed.db.read().execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    change(signed, APP_ID, 2, "yank", "It lost files.")
    catalogue(signed)
    restored = put_back(signed, tmp_path / "copy.db")
    with pytest.raises(CatalogueError, match=f"{APP_ID} 2 was yanked.*yank it again"):
        catalogue(restored)
    phone = device(signed)
    document = phone.documents(APP_ID)[APP_ID]
    assert (codes(document), reasons(document)) == ([1], {2: "It lost files."})
    change(restored, APP_ID, 2, "yank", "Again.")
    catalogue(restored)
    document = phone.documents(APP_ID)[APP_ID]
    assert (codes(document), reasons(document)) == ([1], {2: "Again."})
    restored.db.close()


def test_a_key_that_devices_know_stays_in_an_older_database(signed: Store, tmp_path: Path) -> None:
    signed.db.read().execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    rotate(signed)
    catalogue(signed)
    phone = device(signed)
    known = phone.documents(APP_ID)[APP_ID]["signing"]["keys"]
    assert [key["kind"] for key in known] == ["pin", "rotation"]
    restored = put_back(signed, tmp_path / "copy.db")
    with pytest.raises(CatalogueError, match=f"rotation of {APP_ID}.*from version 2.*repeat it"):
        catalogue(restored)
    assert phone.documents(APP_ID)[APP_ID]["signing"]["keys"] == known
    rotate(restored)
    catalogue(restored)
    assert [key["key_id"] for key in phone.documents(APP_ID)[APP_ID]["signing"]["keys"]] == [
        key["key_id"] for key in known
    ]
    restored.db.close()


REVOCATIONS: dict[str, Callable[[Connection], object]] = {
    "the key": lambda tx: keys.revoke(tx, OWNER, "acme", signature.key_id(signature.raw_public_key(KEY))),
    "its developer": lambda tx: developers.disable(tx, audit.OPERATOR, "acme", "Gone."),
}


@pytest.mark.parametrize("revoke", REVOCATIONS.values(), ids=REVOCATIONS)
def test_devices_see_when_a_key_was_revoked(revoke: Callable[[Connection], object], signed: Store) -> None:
    phone = device(signed)
    assert [key["revoked_at"] for key in phone.documents(APP_ID)[APP_ID]["signing"]["keys"]] == [None]
    with signed.db.write() as tx:
        revoke(tx)
    catalogue(signed)
    for document in phone.documents(APP_ID, OTHER_ID).values():
        assert [key["revoked_at"] is not None for key in document["signing"]["keys"]] == [True]
        assert codes(document) == [1]


def test_a_key_stays_revoked_in_an_older_database(
    signed: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed.db.read().execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    with signed.db.write() as tx:
        REVOCATIONS["the key"](tx)
    catalogue(signed)
    phone = device(signed)
    known = phone.documents(APP_ID)[APP_ID]["signing"]["keys"]
    restored = put_back(signed, tmp_path / "copy.db")
    with pytest.raises(CatalogueError, match=f"key {known[0]['key_id']} of {APP_ID} was revoked.*revoke it again"):
        catalogue(restored)
    assert phone.documents(APP_ID)[APP_ID]["signing"]["keys"] == known
    move(monkeypatch, 60)
    with restored.db.write() as tx:
        REVOCATIONS["the key"](tx)
    catalogue(restored)
    assert phone.documents(APP_ID)[APP_ID]["signing"]["keys"] == known, "since the first time"
    restored.db.close()


def rotate(store: Store) -> None:
    """To another key, from version 2 on."""
    new = Ed25519PrivateKey.from_private_bytes(bytes(32))
    with store.db.write() as tx:
        key = keys.register(tx, OWNER, "acme", **registration("acme", new))
        old_id = signature.key_id(signature.raw_public_key(KEY))
        statement = signature.rotation_statement(APP_ID, old_id, key.key_id, 2)
        proofs = (signature.sign(KEY, statement), signature.sign(new, statement))
        key_changes.rotate(tx, OWNER, apps.get(tx, APP_ID), key.key_id, 2, *proofs)


def put_back(store: Store, copy: Path) -> Store:
    """The store with an older copy of its database."""
    store.db.close()
    for name in ("portal.db-wal", "portal.db-shm"):
        (store.layout.area("data") / name).unlink(missing_ok=True)
    shutil.move(copy, store.layout.database)
    return open_store(store.settings)


def test_a_lost_catalogue_is_made_again_with_later_versions(signed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = device(signed)
    phone.documents(APP_ID)
    shutil.rmtree(signed.layout.catalogue)
    move(monkeypatch, 5)
    catalogue(signed)
    assert codes(phone.documents(APP_ID)[APP_ID]) == [1]


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "document", "bin"])
@pytest.mark.parametrize("harm", ["lost", "damaged", "empty"])
def test_a_lost_or_damaged_file_is_written_again(role: str, harm: str, signed: Store) -> None:
    phone = device(signed)
    phone.documents(APP_ID, OTHER_ID)
    for path in [path for path in signed.layout.catalogue.rglob("*.json") if kinds([str(path)]) == [role]]:
        if harm == "lost":
            path.unlink()
        elif harm == "empty":
            path.write_bytes(b"")
        else:
            flip(path, 8 * path.stat().st_size // 2)
    catalogue(signed, verify=True)
    for one in (phone, device(signed)):
        assert codes(one.documents(APP_ID, OTHER_ID)[APP_ID]) == [1]


def test_a_damaged_package_keeps_its_document_and_holds_up_no_other(signed: Store) -> None:
    path = publish(signed, APP_ID, 2)
    good = path.read_bytes()
    publish(signed, OTHER_ID, 2)
    flip(path, 8 * len(good) // 2)
    with pytest.raises(CatalogueError, match=f"{APP_ID}.*damaged.*scrub --repair"):
        catalogue(signed)
    phone = device(signed)
    found = phone.documents(APP_ID, OTHER_ID)
    assert (codes(found[APP_ID]), codes(found[OTHER_ID])) == ([1], [2])
    path.unlink()
    with pytest.raises(CatalogueError, match="is missing"):
        catalogue(signed, verify=True)
    assert codes(phone.documents(APP_ID)[APP_ID]) == [1]
    path.write_bytes(good)
    catalogue(signed)
    assert codes(phone.documents(APP_ID)[APP_ID]) == [2]


def test_an_app_that_cannot_be_described_holds_up_no_other(signed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for app_id in (APP_ID, OTHER_ID):
        publish(signed, app_id, 2)
    described = apps.get

    def get(db: Connection, app_id: str) -> apps.App:
        return described(db, app_id if app_id != OTHER_ID else "org.example.none")

    monkeypatch.setattr(apps, "get", get)
    with pytest.raises(CatalogueError, match=r"There is no app org\.example\.none"):
        catalogue(signed)
    found = device(signed).documents(APP_ID, OTHER_ID)
    assert (codes(found[APP_ID]), codes(found[OTHER_ID])) == ([2], [1])


def test_a_version_is_withdrawn_though_the_package_of_another_one_is_damaged(signed: Store) -> None:
    publish(signed, APP_ID, 2, min_api=7)
    catalogue(signed)
    signed.layout.package("acme", APP_ID, 1).unlink()
    change(signed, APP_ID, 2, "yank", "It lost files.")
    for verify in (False, True):
        with pytest.raises(CatalogueError, match="is missing"):
            catalogue(signed, verify=verify)
        document = device(signed).documents(APP_ID)[APP_ID]
        assert (codes(document), [one["version_code"] for one in document["withdrawn"]]) == ([1], [2])


def test_nothing_is_signed_by_a_clock_in_doubt(signed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(signed, APP_ID, 2)
    monkeypatch.setattr(clock, "synchronized", lambda: False)
    for seconds in (400 * DAY, -400 * DAY):
        move(monkeypatch, seconds)
        with pytest.raises(CatalogueError, match=r"Nothing was signed.*mosis catalogue --force"):
            catalogue(signed)
    move(monkeypatch, 0)
    catalogue(signed)
    assert codes(device(signed).documents(APP_ID)[APP_ID]) == [2]


def test_it_runs_alone(signed: Store) -> None:
    with alone(signed, job.JOB), pytest.raises(RunningError):
        catalogue(signed)


def test_the_timestamp_is_signed_daily_and_ends_after_an_outage(signed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = device(signed)
    for day in (1, 2):
        move(monkeypatch, day * DAY + 60)
        assert kinds(catalogue(signed, force=True).written) == ["timestamp"]
        assert catalogue(signed, force=True).written == []
    move(monkeypatch, 32 * DAY)
    phone.updated()
    move(monkeypatch, 32 * DAY + 120)
    with pytest.raises(ExpiredMetadataError, match=r"timestamp\.json is expired"):
        phone.updated()
    catalogue(signed, force=True)
    phone.updated()


def test_no_bin_expires_and_they_are_signed_anew_a_few_a_day(signed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    phone, most = device(signed), 0
    for day in range(300, 372):
        move(monkeypatch, day * DAY)
        most = max(most, kinds(catalogue(signed, force=True).written).count("bin"))
    assert most == drafts.BINS_A_DAY
    client = phone.updated()
    assert all(client.get_targetinfo(f"apps/org.example.app{number}.json") is None for number in range(300))


def test_more_apps_have_more_bins(signed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = device(signed)
    for most, expected in ((((1, 64), (4, 256), (9, 1_024)), 256), (((0, 64), (1, 256), (9, 1_024)), 1_024)):
        monkeypatch.setattr(bins, "SIZES", most)
        catalogue(signed, verify=True)
        assert Tree(signed.layout.catalogue).number == expected
        assert [codes(found) for found in phone.documents(APP_ID, OTHER_ID).values()] == [[1], [1]]
    monkeypatch.undo()
    assert catalogue(signed, verify=True).written == []  # never fewer again


def test_superseded_files_go_after_two_days_and_roots_never(signed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    place = signed.layout.catalogue
    before = {path.relative_to(place) for path in place.rglob("*.json")}
    (place / "metadata/.7.snapshot.json.1.ab").write_bytes(b"of a killed run")
    publish(signed, APP_ID, 2)
    catalogue_keys.renew(signed, [KEY])
    catalogue(signed)
    assert before <= {path.relative_to(place) for path in place.rglob("*.json")}
    move(monkeypatch, KEEP_SECONDS + DAY)
    catalogue(signed, force=True)
    left = [path.name for path in place.rglob("*") if path.is_file()]
    assert len(left) == 2 + 64 + 1 + 1 + 1 + 2  # documents, bins, targets, snapshot, timestamp, roots
    assert {"1.root.json", "2.root.json"} <= set(left)
    device(signed).documents(APP_ID)


def test_a_database_without_most_apps_removes_none(signed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "REMOVED_MAX", 1)
    for app_id in (APP_ID, OTHER_ID):
        delete_app(signed, app_id)
    with pytest.raises(CatalogueError, match=r"2 of 2 apps would be removed.*--dry-run"):
        catalogue(signed)
    assert codes(device(signed).documents(APP_ID)[APP_ID]) == [1]
    catalogue(signed, force=True)
    assert device(signed).documents(APP_ID) == {APP_ID: None}


@pytest.mark.parametrize(("apps_left", "is_refused"), [(0, True), (1, True), (2, False)])
def test_a_small_store_is_guarded_too(apps_left: int, is_refused: bool, store: Store) -> None:
    """Twelve apps: more than ten may not vanish at once, whatever part of all that is."""
    catalogue_keys.make(store, [KEY])
    add_developer(store, "acme")
    app_ids = [f"org.example.app{number}" for number in range(12)]
    for app_id in app_ids:
        add_app(store, app_id)
        publish(store, app_id, 1)
    catalogue(store)
    for app_id in app_ids[apps_left:]:
        delete_app(store, app_id)
    with pytest.raises(CatalogueError, match="apps would be removed") if is_refused else nullcontext():
        catalogue(store)
    there = {app_id for app_id, found in device(store).documents(*app_ids).items() if found}
    assert there == {*app_ids[: None if is_refused else apps_left]}


def test_the_command_says_what_it_would_write_and_what_it_wrote(signed: Store) -> None:
    publish(signed, APP_ID, 2)
    would = mosis(signed, "catalogue", "--dry-run")
    done = mosis(signed, "catalogue")
    assert would.returncode == done.returncode == 0, done.stderr
    assert kinds([line.split()[-1] for line in would.stdout.splitlines()]) == [
        "document", "bin", "snapshot", "timestamp",
    ]  # fmt: skip
    assert kinds([line.split()[-1] for line in done.stdout.splitlines()]) == kinds(
        [line.split()[-1] for line in would.stdout.splitlines()]
    )
    assert mosis(signed, "catalogue").stdout == ""


def test_a_full_disk_leaves_the_catalogue_that_was_there(store: Store, small_disk: SmallDisk) -> None:
    store.layout.catalogue.symlink_to(small_disk.seen)
    fill(store)
    phone = TufDevice(store.layout.catalogue)
    publish(store, APP_ID, 2)
    small_disk.fill()
    with pytest.raises(OSError, match="No space left"):
        catalogue(store)
    assert codes(phone.documents(APP_ID)[APP_ID]) == [1]
    (small_disk.seen / "fill").unlink()
    catalogue(store)
    assert codes(phone.documents(APP_ID)[APP_ID]) == [2]


def test_status_and_metrics_say_until_when_devices_accept_it(signed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def line() -> Line:
        return next(one for one in status.status(signed.settings) if one.name == "signatures")

    def expires() -> dict[str, float]:
        found = re.findall(
            rb'^mosis_catalogue_expires_timestamp_seconds{role="(.*)"} (.*)$', exposition(), re.MULTILINE
        )
        return {role.decode(): float(at) for role, at in found}

    def exposition() -> bytes:
        return Metrics(signed).exposition()

    assert line().ok
    assert "(timestamp)" in line().text
    assert "root.pem" not in line().text
    assert expires().keys() == {"root", "targets", "snapshot", "timestamp", "bins"}
    assert min(expires().values()) == expires()["timestamp"]
    (signed.settings.catalogue_key_directory / "root.pem").touch()
    assert "move" in line().text
    move(monkeypatch, 11 * DAY)
    assert not line().ok
    catalogue(signed, force=True)
    assert line().ok
    move(monkeypatch, 4.6 * 365 * DAY)
    catalogue(signed, force=True)
    assert not line().ok
    assert "`mosis catalogue renew`" in line().text
