"""The list of the store's files is read in pages, and can be continued after any of them."""

import hashlib

import pytest

from portal.store import known_files
from portal.store.store import Store
from tests.support.many import fill


@pytest.fixture
def filled(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(known_files, "PAGE", 4)
    fill(store, 3, versions_each=5)
    return store


def test_every_file_comes_once_in_the_order_of_its_position(filled: Store) -> None:
    found = list(known_files.every(filled.db.read(), filled.layout))
    assert len(found) == known_files.count(filled.db.read()) == 3 * 5 + 3
    assert len({file.path for file in found}) == len(found)
    assert [file.position for file in found] == sorted(file.position for file in found)
    assert all(file.is_good(filled.layout.root) for file in found)


def test_the_list_continues_after_any_file(filled: Store) -> None:
    db, layout = filled.db.read(), filled.layout
    found = list(known_files.every(db, layout))
    for number, file in enumerate(found, start=1):
        assert list(known_files.every(db, layout, file.position)) == found[number:]


def test_only_a_regular_file_is_read(store: Store) -> None:
    """A pipe, or a link to a device, would be read without end."""
    fill(store, 1, versions_each=1)
    nothing = hashlib.sha256(b"").hexdigest()
    with store.db.write() as tx:
        tx.execute("UPDATE versions SET size = 0, sha256 = ?", (nothing,))
    file = next(known_files.every(store.db.read(), store.layout))
    path = store.layout.root / file.path
    path.unlink()
    path.symlink_to("/dev/null")
    assert not file.is_good(store.layout.root)
    path.unlink()
    path.touch()
    assert file.is_good(store.layout.root)


def test_a_file_is_current_while_its_row_has_its_digest(filled: Store) -> None:
    db, layout = filled.db.read(), filled.layout
    package, *_, image = known_files.every(db, layout)
    assert known_files.current(db, layout, package) and known_files.current(db, layout, image)
    with filled.db.write() as tx:
        tx.execute("UPDATE versions SET sha256 = 'other'")
        tx.execute("DELETE FROM assets")
    assert not known_files.current(db, layout, package)
    assert not known_files.current(db, layout, image)
