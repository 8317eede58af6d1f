"""The audit log notices what was changed."""

import sqlite3

import pytest

from portal.store import audit
from portal.store.store import Store


@pytest.fixture
def logged(store: Store) -> Store:
    for number in range(5):
        with store.db.write() as tx:
            audit.append(tx, audit.OPERATOR, "test", f"subject {number}", number=number)
    return store


def test_what_was_written_verifies(logged: Store) -> None:
    assert audit.first_fault(logged.db.read()) is None


def test_rows_cannot_be_changed_or_deleted(logged: Store) -> None:
    for sql in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="append only"):
            logged.db.read().execute(sql)


@pytest.mark.parametrize(
    "tamper",
    ["UPDATE audit SET subject = 'subject 9' WHERE seq = 3", "UPDATE audit SET at = at + 1 WHERE seq = 3",
     "DELETE FROM audit WHERE seq = 3", "UPDATE audit SET token_id = 'other' WHERE seq = 3",
     "UPDATE audit SET hash = substr(hash, 2) || substr(hash, 1, 1) WHERE seq = 3",
     "UPDATE audit SET detail = '{}' WHERE seq = 3"],
)  # fmt: skip
def test_tampering_below_the_triggers_is_noticed(logged: Store, tamper: str) -> None:
    db = logged.db.read()
    db.execute("DROP TRIGGER audit_is_append_only_update")
    db.execute("DROP TRIGGER audit_is_append_only_delete")
    if db.execute(tamper).rowcount == 0:
        pytest.fail("the test changed nothing")
    assert audit.first_fault(db) == 3


def test_a_tail_that_was_cut_is_noticed_though_the_log_went_on(logged: Store) -> None:
    db = logged.db.read()
    db.execute("DROP TRIGGER audit_is_append_only_delete")
    db.execute("DELETE FROM audit WHERE seq > 2")
    assert audit.first_fault(db) == 3
    with logged.db.write() as tx:
        for number in range(9):
            audit.append(tx, audit.OPERATOR, "test", f"another {number}")
    assert audit.first_fault(db) == 3


def test_a_head_stands_for_the_log_before_it(logged: Store) -> None:
    db = logged.db.read()
    noted = audit.head(db)
    with logged.db.write() as tx:
        audit.append(tx, audit.OPERATOR, "test", "more")
    assert audit.contains(db, noted)
    assert audit.contains(db, audit.Head(0, audit.GENESIS))
    assert not audit.contains(db, audit.Head(noted.seq, "0" * 64))
    assert not audit.contains(db, audit.Head(noted.seq + 5, noted.hash))
