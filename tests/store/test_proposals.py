"""Images of a published app change by a review, however a request or the store breaks off."""

import hashlib
import shutil
from types import ModuleType

import pytest

from portal.store import (
    apps,
    asset_rows,
    assets,
    audit,
    budget,
    clock,
    deletion,
    known_files,
    leftovers,
    placement,
    proposals,
    quotas,
    transfers,
    usage,
)
from portal.store.asset_rows import Asset
from portal.store.errors import Refused
from portal.store.store import Store
from tests.packages.samples import APP_ID
from tests.support.many import add_version
from tests.support.portal import add_developer

DEVELOPER = audit.Actor("acme", "developer", None, "test")
REVIEWER = audit.Actor("second", "reviewer", None, "test")


@pytest.fixture
def app(store: Store) -> apps.App:
    """An app with an icon and two screenshots that was published, in a store where somebody else reviews."""
    add_developer(store, "acme", key=None)
    add_developer(store, "second", None, "reviewer")
    with store.db.write() as tx:
        added = apps.add(tx, DEVELOPER, APP_ID, "Reader", "")
    assets.put_icon(store, DEVELOPER, added, {32: b"icon"})
    for png in (b"one", b"two"):
        assets.add_screenshot(store, DEVELOPER, added, png)
    with store.db.write() as tx:
        add_version(store, tx, APP_ID, 1)
        tx.execute("UPDATE versions SET status = 'published', published_at = 1")
        tx.execute("UPDATE apps SET published_code = 1")
        return apps.get(tx, APP_ID)


def shown(store: Store) -> dict[str, bytes]:
    return contents(store, asset_rows.of_app(store.db.read(), APP_ID), proposed=False)


def proposed(store: Store) -> dict[str, bytes]:
    return contents(store, proposals.applied(store.db.read(), APP_ID), proposed=True)


def contents(store: Store, images: list[Asset], *, proposed: bool) -> dict[str, bytes]:
    """The bytes of images, which are those that their rows say."""
    found = {}
    for image in images:
        path = store.layout.image(APP_ID, image.name, image.sha256)
        if proposed and image.name in proposals.changed(store.db.read(), APP_ID):
            path = store.layout.proposed(APP_ID, image.name, image.sha256)
        found[image.name] = path.read_bytes()
        assert hashlib.sha256(found[image.name]).hexdigest() == image.sha256
    return found


def seen(store: Store) -> str:
    return proposals.digest(proposals.applied(store.db.read(), APP_ID))


def publish(store: Store, digest: str) -> None:
    with store.db.write() as tx:
        proposals.publish(tx, store, REVIEWER, apps.get(tx, APP_ID), digest)


def files(store: Store) -> set[str]:
    directory = store.layout.area("assets") / APP_ID
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def change_everything(store: Store, app: apps.App) -> dict[str, bytes]:
    """Every change that an owner can make; returns the images that the owner then has."""
    assets.put_icon(store, DEVELOPER, app, {32: b"new icon"})
    assets.add_screenshot(store, DEVELOPER, app, b"three")
    assets.put_screenshot(store, DEVELOPER, app, 1, b"better one")
    assets.delete_screenshot(store, DEVELOPER, app, 2)
    assets.order_screenshots(store, DEVELOPER, app, [3, 1])
    return {"icon-32.png": b"new icon", "screenshots/1.png": b"three", "screenshots/2.png": b"better one"}


def test_changes_of_a_published_app_are_shown_after_a_review(store: Store, app: apps.App) -> None:
    before = shown(store)
    after = change_everything(store, app)
    assert (shown(store), proposed(store)) == (before, after)
    assert [one.app_id for one in proposals.waiting(store.db.read())] == [APP_ID]
    publish(store, seen(store))
    assert shown(store) == proposed(store) == after
    assert proposals.waiting(store.db.read()) == []
    for name, png in after.items():
        assert store.layout.asset(APP_ID, name).read_bytes() == png
    assert len(files(store)) == 2 * len(after)
    assert [*leftovers.found(store, 0)] == []


def test_a_screenshot_is_deleted_after_a_review(store: Store, app: apps.App) -> None:
    before = shown(store)
    assets.delete_screenshot(store, DEVELOPER, app, 2)
    assert shown(store) == before
    publish(store, seen(store))
    assert before.keys() - shown(store).keys() == {"screenshots/2.png"}
    assert not [name for name in files(store) if name.startswith("screenshots/2")]


def test_an_app_that_was_never_published_has_its_images_at_once(store: Store, app: apps.App) -> None:
    with store.db.write() as tx:
        tx.execute("UPDATE versions SET status = 'draft', published_at = NULL")
        tx.execute("UPDATE apps SET published_code = NULL")
    after = change_everything(store, app)
    assert shown(store) == after
    assert proposals.find(store.db.read(), APP_ID) is None


def test_a_yank_does_not_open_a_way_round_the_review(store: Store, app: apps.App) -> None:
    before = shown(store)
    with store.db.write() as tx:
        tx.execute("UPDATE versions SET status = 'yanked'")
        tx.execute("UPDATE apps SET published_code = NULL")
    change_everything(store, app)
    assert shown(store) == before


def test_nobody_approves_what_nobody_has_seen(store: Store, app: apps.App) -> None:
    before = shown(store)
    assets.put_icon(store, DEVELOPER, app, {32: b"good"})
    digest = seen(store)
    assets.put_icon(store, DEVELOPER, app, {32: b"evil"})
    with pytest.raises(Refused, match="were changed"):
        publish(store, digest)
    with store.db.write() as tx, pytest.raises(Refused, match="were changed"):
        proposals.reject(tx, REVIEWER, app, digest, "No.")
    assert shown(store) == before


def test_nobody_approves_own_images(store: Store, app: apps.App) -> None:
    assets.put_icon(store, DEVELOPER, app, {32: b"new"})
    own = audit.Actor("acme", "reviewer", None, "test")
    with store.db.write() as tx, pytest.raises(Refused, match="own app"):
        proposals.publish(tx, store, own, app, seen(store))


def test_a_rejection_has_its_reason_until_the_next_change(store: Store, app: apps.App) -> None:
    before = shown(store)
    assets.put_icon(store, DEVELOPER, app, {32: b"new"})
    with store.db.write() as tx:
        proposals.reject(tx, REVIEWER, app, seen(store), "It is blurred.")
    with store.db.write() as tx, pytest.raises(Refused, match="were rejected already"):
        proposals.reject(tx, REVIEWER, app, seen(store), "No.")
    found = proposals.find(store.db.read(), APP_ID)
    assert found is not None and found.reason == "It is blurred."
    assert proposals.waiting(store.db.read()) == []
    assets.put_icon(store, DEVELOPER, app, {32: b"sharp"})
    assert [one.reason for one in proposals.waiting(store.db.read())] == [""]
    assert shown(store) == before


def test_rejected_images_that_changed_meanwhile_do_not_expire(store: Store, app: apps.App) -> None:
    after = change_everything(store, app)
    with store.db.write() as tx:
        proposals.reject(tx, REVIEWER, app, seen(store), "It is blurred.")
    later = clock.now() + proposals.KEPT_SECONDS
    assert proposals.expired(store.db.read(), later) == [APP_ID]
    assets.put_icon(store, DEVELOPER, app, {32: b"sharp"})
    assert not proposals.expire(store, later, APP_ID)
    assert proposed(store) == after | {"icon-32.png": b"sharp"}


def test_changes_that_are_undone_or_taken_back_leave_nothing(store: Store, app: apps.App) -> None:
    before, named = shown(store), files(store)
    change_everything(store, app)
    proposals.discard(store, DEVELOPER, app)
    assert (shown(store), proposed(store), files(store)) == (before, before, named)
    assets.order_screenshots(store, DEVELOPER, app, [2, 1])
    assets.order_screenshots(store, DEVELOPER, app, [2, 1])
    assets.put_icon(store, DEVELOPER, app, {32: b"icon"})
    assert proposals.find(store.db.read(), APP_ID) is None
    assert (shown(store), files(store)) == (before, named)


def test_changed_images_count_and_are_known_to_jobs(store: Store, app: apps.App) -> None:
    before = usage.by_area(store.db.read(), store.layout)["assets"]
    after = change_everything(store, app)
    sizes = sum(len(png) for png in after.values())
    assert usage.by_area(store.db.read(), store.layout)["assets"] == before + sizes
    named = {str(file.path) for file in known_files.every(store.db.read(), store.layout)}
    assert sum("/proposed/" in path for path in named) == len(after)
    assert all(
        file.is_good(store.layout.root)
        for file in known_files.every(store.db.read(), store.layout)
        if file.manifest is None
    )
    assert known_files.count(store.db.read()) == len(named)
    assert [*leftovers.found(store, 0)] == []
    with pytest.raises(Refused), store.db.write() as tx:
        budget.require(tx, store, "acme", store.settings.developer_max_bytes - sizes)


@pytest.mark.parametrize(
    ("module", "step"), [(placement, "link_images"), (placement, "name_image"), (audit, "append")]
)  # fmt: skip
def test_a_publish_that_breaks_off_shows_all_or_nothing(
    store: Store, app: apps.App, module: ModuleType, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shown(store)
    after = change_everything(store, app)
    digest = seen(store)

    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "broken")

    with monkeypatch.context() as patched:
        patched.setattr(module, step, broken)
        try:
            publish(store, digest)
        except OSError:
            assert shown(store) == before
    for leftover in [*leftovers.found(store, 0)]:
        assert "/proposed/" not in str(leftover.path) or shown(store) == after
    leftovers.sweep(store, leftovers.found(store, 0), lambda _: None, pytest.fail)
    assert proposed(store) == after
    if shown(store) != after:
        assert shown(store) == before
        publish(store, seen(store))
    assert shown(store) == after


def test_changed_images_have_a_quota_beside_those_that_they_replace(store: Store, app: apps.App) -> None:
    used = quotas.usage(store.db.read(), "acme")["bytes"]
    full = Store(store.settings.model_copy(update={"developer_max_bytes": used}), store.db, store.layout)
    with pytest.raises(Refused, match="exceed the quota"):
        assets.put_icon(full, DEVELOPER, app, {32: b"new"})
    assert proposals.find(store.db.read(), APP_ID) is None


def test_each_step_of_changed_images_is_in_the_log(store: Store, app: apps.App) -> None:
    before = audit.head(store.db.read()).seq
    assets.put_icon(store, DEVELOPER, app, {32: b"first"})
    with store.db.write() as tx:
        proposals.reject(tx, REVIEWER, app, seen(store), "It is blurred.")
    proposals.discard(store, DEVELOPER, app)
    assets.put_icon(store, DEVELOPER, app, {32: b"second"})
    for _ in range(2):  # the second time nothing waits, and nothing is noted
        publish(store, seen(store))
    steps = [(entry.actor, entry.action) for entry in audit.entries(store.db.read(), before)]
    assert steps == [
        ("acme", "icon.put"), ("second", "images.reject"), ("acme", "images.discard"),
        ("acme", "icon.put"), ("second", "images.publish"),
    ]  # fmt: skip


def test_an_app_is_deleted_with_its_changed_images(store: Store, app: apps.App) -> None:
    change_everything(store, app)
    deletion.delete_app(store, REVIEWER, APP_ID, "So.")
    assert not (store.layout.area("assets") / APP_ID).exists()
    assert store.db.read().execute("SELECT count(*) FROM proposed_assets").fetchone()[0] == 0


def test_changes_of_the_owner_before_end_with_a_transfer(store: Store, app: apps.App) -> None:
    """Who changed them, and reviews for the store, could else approve them: the app is another's then."""
    add_developer(store, "other", key=None)
    before = files(store)
    change_everything(store, app)
    transfers.transfer(store, audit.Actor("admin", "admin", None, "test"), APP_ID, "other", "Sold.")
    assert proposals.find(store.db.read(), APP_ID) is None
    assert files(store) == before
    with pytest.raises(Refused, match="There is no app"):
        proposals.discard(store, DEVELOPER, app)


@pytest.mark.parametrize("step", ["publish", "order"])
@pytest.mark.parametrize("lost", ["one file", "all of them"])
def test_a_lost_file_is_named_with_the_remedy(store: Store, app: apps.App, step: str, lost: str) -> None:
    """It is no failing disk: the owner can upload the image again, or discard the changes."""
    before = shown(store)
    assets.put_screenshot(store, DEVELOPER, app, 1, b"better one")
    [image] = proposals.changed(store.db.read(), APP_ID).values()
    if lost == "one file":
        image.proposed_path(store.layout).unlink()
    else:
        shutil.rmtree(store.layout.area("assets") / APP_ID / "proposed")
    with pytest.raises(Refused, match=rf"screenshots/1\.png of {APP_ID} is missing .* upload it again") as refused:
        if step == "publish":
            publish(store, seen(store))
        else:
            assets.order_screenshots(store, DEVELOPER, app, [2, 1])
    assert refused.value.code == "FILE_NOT_FOUND"
    assert shown(store) == before
    assets.put_screenshot(store, DEVELOPER, app, 1, b"better one")
    assert proposed(store) == before | {"screenshots/1.png": b"better one"}
    image.proposed_path(store.layout).unlink()
    proposals.discard(store, DEVELOPER, app)
    assert proposed(store) == before


def test_a_lost_upload_is_a_fault_of_the_disk(store: Store, app: apps.App) -> None:
    lost = placement.Staged(store.layout.staging("images-0") / "0", 3, "0" * 64)
    with pytest.raises(FileNotFoundError), store.db.write() as tx:
        proposals.propose(tx, store, DEVELOPER, app, "icon.put", {"icon-32.png": lost})


def test_a_lost_file_of_a_published_image_is_named_too(store: Store, app: apps.App) -> None:
    for path in (store.layout.area("assets") / APP_ID / "screenshots").glob("1.*png"):
        path.unlink()
    with pytest.raises(Refused, match=r"screenshots/1\.png of .* is missing"):
        assets.order_screenshots(store, DEVELOPER, app, [2, 1])
    with store.db.write() as tx:
        tx.execute("UPDATE versions SET status = 'draft', published_at = NULL")
        tx.execute("UPDATE apps SET published_code = NULL")
    with pytest.raises(Refused, match=r"screenshots/1\.png of .* is missing"):
        assets.order_screenshots(store, DEVELOPER, app, [2, 1])
