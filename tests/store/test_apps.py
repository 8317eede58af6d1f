"""Lists stay fast however many apps there are: no page sorts or scans what is not on it."""

import pytest

from portal.store import apps
from portal.store.store import Store


@pytest.mark.parametrize("query", ["", "chess"])
@pytest.mark.parametrize("after", ["", "org.example.a"])
def test_a_page_comes_from_an_index_in_its_order(store: Store, query: str, after: str) -> None:
    db, statements = store.db.read(), []
    db.set_trace_callback(statements.append)
    apps.published(db, query=query, after=after, limit=50)
    db.set_trace_callback(None)
    (statement,) = [text for text in statements if "LIMIT" in text]
    plan = [row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}")]
    assert not [step for step in plan if "TEMP B-TREE" in step]
    assert not [step for step in plan if step.startswith("SCAN") and "VIRTUAL TABLE INDEX" not in step]
