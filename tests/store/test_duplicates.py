"""Only what is in use already is "already in use": any other broken constraint is a fault of the program."""

import sqlite3
from collections.abc import Callable
from typing import Any, cast

import pytest

from portal.store import apps, audit, developers, keys
from portal.store.errors import Refused
from portal.store.store import Store
from tests.packages.samples import APP_ID, KEY
from tests.support.portal import registration

ACME = audit.Actor("acme", "admin", None, "test")
NAMELESS = cast("Any", None)  # the column may not be NULL


def add(tx: sqlite3.Connection) -> None:
    developers.add(tx, audit.OPERATOR, "acme", "Acme")
    apps.add(tx, ACME, APP_ID, "Reader", "")
    keys.register(tx, ACME, "acme", **registration("acme", KEY))


@pytest.mark.parametrize(
    ("code", "again"),
    [
        ("DEVELOPER_EXISTS", lambda tx: developers.add(tx, audit.OPERATOR, "acme", "Another")),
        ("APP_EXISTS", lambda tx: apps.add(tx, ACME, APP_ID, "Another", "")),
        ("KEY_EXISTS", lambda tx: keys.register(tx, ACME, "acme", **registration("acme", KEY))),
    ],
)
def test_what_exists_is_refused(store: Store, code: str, again: Callable[[sqlite3.Connection], object]) -> None:
    with store.db.write() as tx:
        add(tx)
    with pytest.raises(Refused) as refused, store.db.write() as tx:
        again(tx)
    assert refused.value.code == code
    assert apps.get(store.db.read(), APP_ID).name == "Reader"
    assert developers.get(store.db.read(), "acme").name == "Acme"


@pytest.mark.parametrize(
    ("message", "broken"),
    [
        ("NOT NULL", lambda tx: developers.add(tx, audit.OPERATOR, "new", NAMELESS)),
        ("NOT NULL", lambda tx: apps.add(tx, ACME, "org.example.new", NAMELESS, "")),
        ("FOREIGN KEY", lambda tx: apps.add(tx, audit.OPERATOR, "org.example.new", "New", "")),
    ],
)
def test_another_broken_constraint_is_not(
    store: Store, message: str, broken: Callable[[sqlite3.Connection], object]
) -> None:
    with store.db.write() as tx:
        add(tx)
    with pytest.raises(sqlite3.IntegrityError, match=message), store.db.write() as tx:
        broken(tx)
