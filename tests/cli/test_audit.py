"""`mosis audit`: the record of everything that happened, and every way to find that it was changed."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from portal.jobs import backup
from portal.store import audit, developers
from portal.store.store import Store
from tests.packages.samples import KEY
from tests.support.portal import Publisher, add_developer, mosis


@pytest.fixture
def logged(store: Store) -> Store:
    for name in ("ann", "bob", "cho"):
        add_developer(store, name, key=KEY if name == "ann" else None)
    return store


def cut_tail(store: Store, keep: int, *, reset: bool) -> None:
    """With `reset` as somebody does who knows SQLite well."""
    db = store.db.read()
    db.execute("DROP TRIGGER audit_is_append_only_delete")
    db.execute("DELETE FROM audit WHERE seq > ?", (keep,))
    if reset:
        db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'audit'", (keep,))


def test_what_was_written_verifies_and_is_listed(logged: Store) -> None:
    verified = mosis(logged, "audit", "verify")
    assert verified.returncode == 0, verified.stderr
    listed = mosis(logged, "audit", "list").stdout.splitlines()
    as_json = [json.loads(line) for line in mosis(logged, "audit", "list", "--json").stdout.splitlines()]
    assert [entry["action"] for entry in as_json[:3]] == ["developer.add", "key.register", "token.issue"]
    assert len(listed) == len(as_json) == audit.head(logged.db.read()).seq
    assert as_json[0]["detail"].items() >= {"name": "Ann"}.items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", as_json[0]["at"])


def test_one_byte_changed_in_the_file_is_found(logged: Store) -> None:
    path = logged.layout.database
    logged.db.read().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    logged.db.close()
    content = bytearray(path.read_bytes())
    at = content.rindex(b'{"name":"Bob"}') + 9
    content[at] ^= 1
    path.write_bytes(content)
    ran = mosis(logged, "audit", "verify")
    assert ran.returncode == 1
    row = next(e.seq for e in audit.entries(logged.db.read()) if e.subject == "bob")
    assert ran.stderr == f"Row {row} of the audit log is missing or not as it was written.\n"


def test_a_cut_tail_is_found_by_the_count(logged: Store) -> None:
    cut_tail(logged, keep=4, reset=False)
    ran = mosis(logged, "audit", "verify")
    assert (ran.returncode, ran.stderr) == (1, "Row 5 of the audit log is missing or not as it was written.\n")


def test_a_cut_tail_is_found_by_a_snapshot_and_by_a_noted_head(logged: Store) -> None:
    """Even when whoever cut it reset the count too."""
    noted = re.search(r"head (\S+)", mosis(logged, "audit", "verify").stdout)[1]
    snapshot = backup.database(logged)
    with logged.db.write() as tx:
        developers.add(tx, audit.OPERATOR, "dan", "Dan")
    assert mosis(logged, "audit", "verify", "--head", noted).returncode == 0
    cut_tail(logged, keep=4, reset=True)
    seq = noted.partition(":")[0]
    ran = mosis(logged, "audit", "verify", "--head", noted)
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [
        f"The audit log no longer has row {seq} as it was noted.",
        f"The audit log no longer has row {seq} as {snapshot} has it.",
    ]


def test_a_log_written_anew_is_found_by_a_snapshot(logged: Store) -> None:
    backup.database(logged)
    rows = list(audit.entries(logged.db.read()))
    cut_tail(logged, keep=0, reset=True)
    with logged.db.write() as tx:
        for row in rows:
            audit.append(tx, audit.OPERATOR, row.action, "somebody-else")
    assert audit.first_fault(logged.db.read()) is None
    assert mosis(logged, "audit", "verify").returncode == 1


def test_a_snapshot_that_is_no_database_is_named(logged: Store, tmp_path: Path) -> None:
    backup.database(logged).write_bytes(b"no database" * 1000)
    ran = mosis(logged, "audit", "verify")
    assert ran.returncode == 1
    assert "cannot be read" in ran.stderr


@pytest.mark.parametrize("head", ["", "x", "5:", "5:0000", f"99:{'0' * 64}", f"0:{'1' * 64}"])
def test_heads_that_were_never_noted(logged: Store, head: str) -> None:
    ran = mosis(logged, "audit", "verify", f"--head={head}")
    assert ran.returncode == {"": 0, "x": 2}.get(head, 1)


def test_every_change_over_http_names_token_and_address(publisher: Publisher) -> None:
    publisher.publish(1)
    publisher.step(1, "yank", reason="No.").raise_for_status()
    store = publisher.portal.store
    with closing(sqlite3.connect(store.layout.database)) as db:
        rows = db.execute(
            "SELECT action, actor, token_id, address FROM audit WHERE subject LIKE ? ORDER BY seq",
            (f"{publisher.app_id}%",),
        ).fetchall()
    own, reviewer = publisher.developer_id, "reviewer"
    assert [(action, actor) for action, actor, _, _ in rows] == [
        ("app.add", own), ("version.upload", own), ("version.submit", own), ("key.pin", reviewer),
        ("version.publish", reviewer), ("version.yank", own),
    ]  # fmt: skip
    assert {address for *_, address in rows} == {"127.0.0.1"}
    assert all(re.fullmatch("[0-9a-f]{16}", token_id) for _, _, token_id, _ in rows)
