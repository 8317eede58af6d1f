"""The audit log notices what was changed."""

import ast
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

import portal
from portal.settings import Issuer
from portal.store import audit, deletion, developers, publishers, quotas, transfers, webhooks
from portal.store.store import Store
from tests.packages.samples import APP_ID
from tests.support.portal import add_developer
from tests.support.publishing import OWNER, add_app


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


SUBJECTS = ("org.acme.a", "org.acme.a/1", "org.acme.ab", "org.acme.a-b")
ACTIONS = ("version.publish", "versions", "version")


@pytest.fixture
def years(store: Store) -> Store:
    """A log of rows one second apart, from 1000 on."""
    with store.db.write() as tx:
        for number in range(300):
            row = (5000 + number, 1000 + number, f"dev{number % 3}", ACTIONS[number % 3], SUBJECTS[number % 4])
            tx.execute(f"INSERT INTO audit ({audit.COLUMNS}) VALUES (?, ?, ?, NULL, 'host', ?, ?, '{{}}', '')", row)
    return store


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({"subject": "org.acme.a"}, lambda n: n % 4 in (0, 1)),
        ({"subject": "org.acme.a/1"}, lambda n: n % 4 == 1),
        ({"action": "version"}, lambda n: n % 3 in (0, 2)),
        ({"actor": "dev1"}, lambda n: n % 3 == 1),
        ({"since": 1010, "until": 1020}, lambda n: 10 <= n < 20),
        ({"actor": "dev1", "since": 1100, "subject": "org.acme.ab"}, lambda n: n % 3 == 1 and n >= 100 and n % 4 == 2),
    ],
)
def test_a_filter_reads_its_rows_by_an_index(years: Store, wanted: dict[str, str | int], rows) -> None:
    db = years.db.read()
    found = [entry.at - 1000 for entry in audit.filtered(db, **wanted) if entry.seq >= 5000]
    assert found == [number for number in range(300) if rows(number)]
    assert [entry.at - 1000 for entry in audit.filtered(db, **wanted, last=3)] == found[-3:]
    if "action" not in wanted:
        asked: list[str] = []
        db.set_trace_callback(asked.append)
        list(audit.filtered(db, **wanted))
        db.set_trace_callback(None)
        plan = [row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {asked[0]}")]
        assert not [step for step in plan if step == "SCAN audit"], plan


def test_what_happened_to_a_subject_is_found_however_long_ago(years: Store) -> None:
    assert [entry.at for entry, _ in audit.about(years.db.read(), "org.acme.a/1")] == [*range(1001, 1300, 4)]


def test_changes_of_accounts_and_apps_are_in_the_log(store: Store) -> None:
    issuer = Issuer(issuer="https://ci.example.org", jwks_url="https://ci.example.org/jwks")
    settings = store.settings.model_copy(update={"webhooks": "public", "issuers": (issuer,)})
    for name in ("acme", "umbra"):
        add_developer(store, name, key=None)
    add_app(store, APP_ID)
    before = audit.head(store.db.read()).seq
    with store.db.write() as tx:
        webhooks.put(tx, settings, OWNER, "https://hooks.example.org/")
        webhooks.delete(tx, OWNER)
        publisher = publishers.add(tx, settings, OWNER, APP_ID, issuer.issuer, "1", "", "")
        publishers.remove(tx, OWNER, APP_ID, publisher.number)
        quotas.change(tx, "acme", {"apps": 1})
    transfers.transfer(store, audit.OPERATOR, APP_ID, "umbra", "Sold.")
    deletion.delete_app(store, audit.OPERATOR, APP_ID, "By order of a court.")
    with store.db.write() as tx:
        developers.disable(tx, audit.OPERATOR, "acme", "Left.")
        developers.enable(tx, audit.OPERATOR, "acme")
    assert [entry.action for entry in audit.entries(store.db.read(), before)] == [
        "webhook.put", "webhook.delete", "publisher.add", "publisher.remove", "developer.quota",
        "app.transfer", "app.delete", "developer.disable", "developer.enable",
    ]  # fmt: skip


def actions() -> Iterator[str]:
    """What the portal writes into the log, as far as the calls name it."""
    for path in Path(portal.__path__[0]).rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "audit.append" and len(call.args) > 2:
                yield from (
                    named.value for named in ast.walk(call.args[2]) if isinstance(named, ast.Constant) and named.value
                )


def test_no_action_of_the_log_is_without_a_test() -> None:
    """A row that is lost changes nothing else, so only a test that looks for it notices."""
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    found = {*actions()}
    assert {"app.add", "webhook.put"} <= found
    assert sorted(action for action in found if not action.endswith(".") and f'"{action}"' not in tests) == []
