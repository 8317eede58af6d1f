"""Icons and screenshots of concurrent requests never mix."""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from portal.store import apps, asset_rows, assets, audit, files, known_files
from portal.store.errors import Refused
from portal.store.store import Store
from tests.packages.samples import APP_ID
from tests.support.portal import add_developer

DEVELOPER = audit.Actor("acme", "developer", None, "test")
ROUNDS = 10


@pytest.fixture
def app(store: Store) -> apps.App:
    add_developer(store, "acme", key=None)
    with store.db.write() as tx:
        return apps.add(tx, DEVELOPER, APP_ID, "Reader", "")


def at_once(store: Store, *calls: Callable[[], object]) -> list[object]:
    """Start all calls at the same time, each in a thread of its own; the result of each, or its Refused."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return call()
        except Refused as refused:
            return refused
        finally:
            store.db.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_screenshots_added_at_once_have_numbers_of_their_own(store: Store, app: apps.App) -> None:
    for _ in range(ROUNDS):
        pngs = [b"png %d" % n for n in range(8)]
        results = at_once(
            store, *(lambda png=png: (png, assets.add_screenshot(store, DEVELOPER, app, png)) for png in pngs)
        )
        added = [result for result in results if not isinstance(result, Refused)]
        assert sorted(asset.name for _, asset in added) == [f"screenshots/{n}.png" for n in range(1, 6)]
        assert [refused.code for refused in results if isinstance(refused, Refused)] == ["TOO_MANY_SCREENSHOTS"] * 3
        for png, asset in added:
            assert store.layout.asset(APP_ID, asset.name).read_bytes() == png
        for number in range(1, 6):
            assets.delete_screenshot(store, DEVELOPER, app, number)


def test_a_screenshot_is_deleted_before_another_writer_can_store_its_successor(
    store: Store, app: apps.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets.put_screenshot(store, DEVELOPER, app, 1, b"png")
    unlink, free = Path.unlink, []

    def observed(path: Path, missing_ok: bool = False) -> None:
        free.append(is_free(store))
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", observed)
        assets.delete_screenshot(store, DEVELOPER, app, 1)
    assert free == [False, False]
    assert is_free(store)


def is_free(store: Store) -> bool:
    """Whether another writer could start now."""
    directory = os.open(store.layout.database.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(directory)
    return True


def test_a_deleted_screenshot_is_gone_from_the_disk_only_once_its_row_is(store: Store, app: apps.App) -> None:
    assets.put_screenshot(store, DEVELOPER, app, 1, b"png")
    store.db.read().execute("CREATE TEMP TRIGGER broken AFTER INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END")
    with pytest.raises(sqlite3.IntegrityError):
        assets.delete_screenshot(store, DEVELOPER, app, 1)
    assert store.layout.asset(APP_ID, "screenshots/1.png").read_bytes() == b"png"


def test_an_icon_that_cannot_be_committed_leaves_the_one_in_service(store: Store, app: apps.App) -> None:
    assets.put_icon(store, DEVELOPER, app, {32: b"old", 64: b"old too"})
    store.db.read().execute("CREATE TEMP TRIGGER broken AFTER INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END")
    with pytest.raises(sqlite3.IntegrityError):
        assets.put_icon(store, DEVELOPER, app, {32: b"new", 64: b"new too"})
    for name, png in (("icon-32.png", b"old"), ("icon-64.png", b"old too")):
        found, path = assets.located(store.db.read(), store.layout, APP_ID, name)
        assert path == store.layout.image(APP_ID, name, found.sha256)
        assert path.read_bytes() == store.layout.asset(APP_ID, name).read_bytes() == png


def test_an_image_and_its_plain_name_are_one_file_and_the_one_before_is_gone(store: Store, app: apps.App) -> None:
    for png in (b"first", b"second", b"second", b"first"):
        assets.put_screenshot(store, DEVELOPER, app, 2, png)
        found, path = assets.located(store.db.read(), store.layout, APP_ID, "screenshots/2.png")
        assert path.read_bytes() == png
        assert path.samefile(store.layout.asset(APP_ID, "screenshots/2.png"))
        assert sorted(p.name for p in path.parent.iterdir()) == sorted([path.name, "2.png"])
    assert path.name == f"2.{found.sha256[:16]}.png"
    assert list(store.layout.area("temp").iterdir()) == []


def test_an_image_of_an_older_release_is_found_under_its_plain_name(store: Store, app: apps.App) -> None:
    asset = assets.put_screenshot(store, DEVELOPER, app, 1, b"png")
    store.layout.image(APP_ID, asset.name, asset.sha256).unlink()
    [file] = known_files.every(store.db.read(), store.layout)
    assert file.is_good(store.layout.root)
    plain = store.layout.asset(APP_ID, asset.name)
    assert assets.located(store.db.read(), store.layout, APP_ID, asset.name) == (asset, plain)
    assets.delete_screenshot(store, DEVELOPER, app, 1)
    assert not plain.exists()


def test_who_reads_an_image_while_it_is_replaced_gets_the_new_one(
    store: Store, app: apps.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = assets.put_screenshot(store, DEVELOPER, app, 1, b"old")
    exists = Path.exists

    def replaced_first(path: Path) -> bool:
        if path.name == store.layout.image(APP_ID, old.name, old.sha256).name:
            monkeypatch.undo()
            assets.put_screenshot(store, DEVELOPER, app, 1, b"new")
        return exists(path)

    monkeypatch.setattr(Path, "exists", replaced_first)
    found, path = assets.located(store.db.read(), store.layout, APP_ID, old.name)
    assert (found.size, path.read_bytes()) == (3, b"new")
    assert path == store.layout.image(APP_ID, old.name, found.sha256)


def shots(store: Store) -> list[tuple[str, bytes]]:
    """Each screenshot as its row, its file and its plain name have it."""
    found = [asset for asset in asset_rows.of_app(store.db.read(), APP_ID) if asset.name.startswith(assets.SCREENSHOTS)]
    paths = [assets.located(store.db.read(), store.layout, APP_ID, asset.name)[1] for asset in found]
    for asset, path in zip(found, paths, strict=True):
        assert path.samefile(store.layout.asset(APP_ID, asset.name))
        assert files.digest(path) == asset.sha256
    here = {path.name for path in (store.layout.area("assets") / APP_ID / "screenshots").iterdir()}
    assert here == {
        name for asset, path in zip(found, paths, strict=True) for name in (path.name, Path(asset.name).name)
    }
    return [(asset.name[-5], path.read_bytes()) for asset, path in zip(found, paths, strict=True)]


@pytest.mark.parametrize("order", [[1, 2, 4], [2, 1, 4], [4, 2, 1], [4, 1, 2]])
def test_screenshots_are_numbered_anew_in_their_order(store: Store, app: apps.App, order: list[int]) -> None:
    pngs = {1: b"first", 2: b"second", 4: b"first"}  # one image twice, and a number that was deleted
    for number, png in pngs.items():
        assets.put_screenshot(store, DEVELOPER, app, number, png)
    ordered = assets.order_screenshots(store, DEVELOPER, app, order)
    assert [asset.name for asset in ordered] == [f"screenshots/{number}.png" for number in (1, 2, 3)]
    assert shots(store) == [(str(at), pngs[number]) for at, number in enumerate(order, start=1)]
    assert audit.first_fault(store.db.read()) is None


def test_an_image_that_an_older_release_stored_is_ordered_too(store: Store, app: apps.App) -> None:
    for png in (b"one", b"two"):
        asset = assets.add_screenshot(store, DEVELOPER, app, png)
        store.layout.image(APP_ID, asset.name, asset.sha256).unlink()
    assets.order_screenshots(store, DEVELOPER, app, [2, 1])
    assert shots(store) == [("1", b"two"), ("2", b"one")]


@pytest.mark.parametrize("order", [[], [1], [1, 1], [1, 2, 3], [2, 1, 2]])
def test_an_order_names_each_screenshot_once(store: Store, app: apps.App, order: list[int]) -> None:
    for png in (b"one", b"two"):
        assets.add_screenshot(store, DEVELOPER, app, png)
    with pytest.raises(Refused, match="order is invalid"):
        assets.order_screenshots(store, DEVELOPER, app, order)
    assert shots(store) == [("1", b"one"), ("2", b"two")]


def test_an_order_that_cannot_be_committed_leaves_the_one_before(store: Store, app: apps.App) -> None:
    for png in (b"one", b"two"):
        assets.add_screenshot(store, DEVELOPER, app, png)
    store.db.read().execute("CREATE TEMP TRIGGER broken AFTER INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END")
    with pytest.raises(sqlite3.IntegrityError):
        assets.order_screenshots(store, DEVELOPER, app, [2, 1])
    found = [assets.located(store.db.read(), store.layout, APP_ID, f"screenshots/{n}.png") for n in (1, 2)]
    assert [path.read_bytes() for _, path in found] == [b"one", b"two"]
