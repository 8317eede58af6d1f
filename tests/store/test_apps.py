"""Lists stay fast however many apps there are: no page sorts or scans what is not on it."""

from collections.abc import Callable

import pytest

from portal.store import app_keys, apps, asset_rows, audit, keys, versions
from portal.store.errors import Refused
from portal.store.store import Store
from tests.packages.samples import APP_ID
from tests.support.portal import add_developer

DEVELOPER = audit.Actor("acme", "developer", None, "test")


def plans(store: Store, ask: Callable[[], object]) -> list[str]:
    """The steps of every SELECT that `ask` runs."""
    db, statements = store.db.read(), []
    db.set_trace_callback(statements.append)
    ask()
    db.set_trace_callback(None)
    selects = [text for text in statements if text.startswith("SELECT") and "apps_words_" not in text]
    assert selects
    return [row["detail"] for text in selects for row in db.execute(f"EXPLAIN QUERY PLAN {text}")]


def scans(plan: list[str]) -> list[str]:
    return [step for step in plan if step.startswith("SCAN") and "VIRTUAL TABLE INDEX" not in step]


@pytest.mark.parametrize("query", ["", "chess"])
@pytest.mark.parametrize("after", ["", "org.example.a"])
def test_a_page_comes_from_an_index_in_its_order(store: Store, query: str, after: str) -> None:
    plan = plans(store, lambda: apps.published(store.db.read(), query=query, after=after, limit=50))
    assert not [step for step in plan if "TEMP B-TREE" in step]
    assert scans(plan) == []


def test_an_app_comes_from_indexes(store: Store) -> None:
    add_developer(store, "acme")
    with store.db.write() as tx:
        apps.add(tx, DEVELOPER, APP_ID, "Reader", "")
    db = store.db.read()

    def show() -> None:
        apps.get(db, APP_ID)
        versions.highest_published(db, APP_ID)
        with pytest.raises(Refused):
            versions.get(db, APP_ID, 1)
        keys.find(db, "0" * 32)
        asset_rows.of_app(db, APP_ID)
        app_keys.history(db, APP_ID)
        app_keys.pending(db, APP_ID)

    assert scans(plans(store, show)) == []
