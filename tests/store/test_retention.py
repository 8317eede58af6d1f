"""Retention never takes away what a device could still install."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.store import apps, audit, releases, retention
from portal.store.store import Store
from tests.packages.samples import APP_ID, manifest
from tests.support.portal import add_developer, make_store

DEVELOPER = audit.Actor("acme", "developer", None, "test")
NOW = 2_000_000_000
YEAR = retention.SUPERSEDED.seconds
LEVELS = range(5)


@dataclass(frozen=True)
class Row:
    """A version: how long it has been superseded in years, None if it is not; `min_api` 0 runs everywhere."""

    status: str
    min_api: int
    years: float | None


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made: Path = tmp_path_factory.mktemp("retention") / "store"
    store = make_store(made)
    add_developer(store, "acme")
    return store


def add(store: Store, rows: Sequence[Row]) -> str:
    """An app with these versions, in the order of their codes, the newest published one current."""
    app_id = f"org.example.a{uuid.uuid4().hex}"
    current = max((code for code, row in enumerate(rows, 1) if row.status == "published"), default=None)
    with store.db.write(durable=False) as tx:
        apps.add(tx, DEVELOPER, app_id, "App", "")
        tx.execute("UPDATE apps SET published_code = ? WHERE app_id = ?", (current, app_id))
        for code, row in enumerate(rows, 1):
            since = None if code == current or row.years is None else NOW - int(row.years * YEAR)
            text = json.dumps(manifest(id=app_id, version_code=code, min_api=row.min_api or None))
            tx.execute(
                "INSERT INTO versions (version_id, app_id, developer_id, status, status_at, created_at, superseded_at,"
                " version_code, version_name, size, sha256, key_id, signature, manifest)"
                " VALUES (?, ?, 'acme', ?, ?, 0, ?, ?, '1.0.0', 1, '', 'k', 's', ?)",
                (uuid.uuid4().hex, app_id, row.status, NOW, since, code, text),
            )
    return app_id


def published(store: Store, app_id: str) -> dict[int, int]:
    """The lowest API level of each published version, by its code."""
    rows = store.db.read().execute(
        "SELECT version_code, manifest FROM versions WHERE app_id = ? AND status = 'published'", (app_id,)
    )
    return {code: json.loads(text).get("min_api", 0) for code, text in rows}


def installed(versions: dict[int, int]) -> list[int | None]:
    """What a device of each level installs."""
    return [max((code for code, lowest in versions.items() if lowest <= level), default=None) for level in LEVELS]


def expire(store: Store, app_id: str) -> None:
    rule = retention.SUPERSEDED
    for version in list(retention.due(store.db.read(), rule, NOW)):
        if version.app_id == app_id:
            with store.db.write(durable=False) as tx:
                assert retention.delete(tx, rule, NOW, version.version_id)


rows = st.builds(
    Row,
    st.sampled_from(["published", "published", "published", "yanked", "in_review"]),
    st.sampled_from(LEVELS),
    st.sampled_from([None, 0.5, 1.5]),
)


@given(st.lists(rows, max_size=9))
def test_every_device_installs_after_a_cleanup_what_it_installed_before(shared: Store, rows: list[Row]) -> None:
    app_id = add(shared, rows)
    before = published(shared, app_id)
    expire(shared, app_id)
    after = published(shared, app_id)
    assert installed(after) == installed(before)
    young = {code for code, row in enumerate(rows, 1) if row.years != 1.5}
    assert after.keys() - young <= {*installed(before)}, "what no device installs goes after a year"
    assert [version.version_code for version in releases.of_app(shared.db.read(), app_id)] == sorted(
        {code for code in installed(before) if code}, reverse=True
    )


def test_what_becomes_needed_before_its_deletion_stays(shared: Store) -> None:
    app_id = add(shared, [Row("published", 1, 2), Row("published", 1, 2), Row("published", 3, None)])
    [due] = [one for one in retention.due(shared.db.read(), retention.SUPERSEDED, NOW) if one.app_id == app_id]
    assert due.version_code == 1
    with shared.db.write(durable=False) as tx:
        tx.execute("UPDATE versions SET status = 'yanked' WHERE app_id = ? AND version_code = 2", (app_id,))
        assert not retention.delete(tx, retention.SUPERSEDED, NOW, due.version_id)


def test_the_limit_of_a_run_counts_only_what_it_would_delete(shared: Store) -> None:
    before, _ = retention.count_placed_due(shared.db.read(), NOW)
    add(shared, [Row("published", 0, 2), Row("published", 2, 2), Row("published", 2, 2), Row("published", 3, None)])
    assert retention.count_placed_due(shared.db.read(), NOW)[0] == before + 1


def test_why_a_version_is_kept(shared: Store) -> None:
    app_id = add(shared, [Row("published", level, 2) for level in (0, 2, 2, 3)] + [Row("published", 7, None)])
    kept = [str(one) for one in retention.needed(shared.db.read(), NOW) if one.app_id == app_id]
    assert kept == [
        f"{app_id}/1: devices of API levels below 2 install no newer version",
        f"{app_id}/3: devices of API level 2 install no newer version",
        f"{app_id}/4: devices of API level 3 to 6 install no newer version",
    ]


def test_an_app_without_versions_has_no_releases(shared: Store) -> None:
    assert releases.of_app(shared.db.read(), APP_ID) == []
