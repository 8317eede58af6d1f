"""What people see of apps: never what was not published."""

import pytest

from portal.store import audit, storefront, versions
from portal.store.store import Store
from tests.support import publishing
from tests.support.portal import add_developer

EVERYTHING = 2**53


@pytest.fixture
def filled(store: Store) -> Store:
    """`a` has a yanked, a current and a draft version, `b` one that is current, `c` only a draft, `d` a yanked one."""
    add_developer(store, publishing.OWNER.developer_id)
    for name in "abcd":
        publishing.add_app(store, f"org.example.{name}")
    for name, code in (("a", 1), ("a", 2), ("b", 1), ("d", 1)):
        publishing.publish(store, f"org.example.{name}", code, payload_bytes=1)
    publishing.change(store, "org.example.a", 1, "yank", "It crashes.")
    publishing.change(store, "org.example.d", 1, "yank", "It crashes.")
    publishing.upload(store, "org.example.a", 3, payload_bytes=1)
    publishing.upload(store, "org.example.c", 1, payload_bytes=1)
    publishing.illustrate(store, "org.example.b", screenshots=0)
    return store


def test_entries_are_published_apps_in_the_order_that_was_asked(filled: Store) -> None:
    asked = [f"org.example.{name}" for name in "dcbax"]
    found = storefront.entries(filled.db.read(), asked)
    assert [entry.app_id for entry in found] == ["org.example.b", "org.example.a"]
    assert [entry.icon is not None for entry in found] == [True, False]


def test_the_newest_apps_have_a_current_version(filled: Store) -> None:
    assert {*storefront.newest(filled.db.read(), 9)} == {"org.example.a", "org.example.b"}
    assert len(storefront.newest(filled.db.read(), 1)) == 1


def test_the_history_has_what_was_published_once(filled: Store) -> None:
    def codes(before: int, limit: int) -> list[int]:
        found = storefront.history(filled.db.read(), "org.example.a", before=before, limit=limit)
        return [version.version_code for version in found]

    assert codes(EVERYTHING, 9) == [2, 1]
    assert codes(EVERYTHING, 1) == [2]
    assert codes(2, 9) == [1]


def test_the_latest_releases_of_all_apps_are_those_that_devices_may_get(filled: Store) -> None:
    found = storefront.latest_releases(filled.db.read(), 9)
    assert {(each.version.app_id, each.version.version_code) for each in found} == {
        ("org.example.a", 2),
        ("org.example.b", 1),
    }
    assert {each.app_name for each in found} == {"Reader"}


def test_the_trail_of_a_version_is_in_order(filled: Store) -> None:
    trail = audit.about(filled.db.read(), "org.example.a/1")
    assert [entry.action for entry, _ in trail] == [
        "version.upload", "version.submit", "version.publish", "version.yank",
    ]  # fmt: skip
    assert trail[-1][1]["reason"] == versions.get(filled.db.read(), "org.example.a", 1).reason
