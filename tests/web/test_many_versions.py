"""Pages stay small however many versions a developer has, and however large their manifests are."""

import json
import tracemalloc
from collections.abc import Iterator
from contextlib import closing

import pytest

from portal.store import audit, tokens, versions
from portal.store.store import Store
from portal.web.review import SHOWN_MAX, TRAIL_MAX
from tests.support import publishing
from tests.support.in_process import calling
from tests.support.portal import add_developer, make_store

APP_ID = "org.example.many"
NUMBER = 100  # of versions, with 250 KB of manifest each
PEAK_MAX = 10_000_000  # bytes; all manifests have 25 million


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with one app, whose drafts are rows alone."""
    store = make_store(tmp_path_factory.mktemp("many") / "store")
    with closing(store.db):
        add_developer(store, publishing.OWNER.developer_id)
        publishing.add_app(store, APP_ID)
        publishing.upload(store, APP_ID, 1)
        names = [name for name in versions.Version.__dataclass_fields__ if name not in ("version_id", "version_code")]
        with store.db.write() as tx:
            large = json.loads(versions.get(tx, APP_ID, 1).manifest) | {"x": "x" * 250_000}
            tx.execute("UPDATE versions SET manifest = ?", (json.dumps(large),))
            tx.execute(
                "WITH RECURSIVE codes (code) AS"
                f" (VALUES (2) UNION ALL SELECT code + 1 FROM codes WHERE code < {NUMBER})"
                f" INSERT INTO versions (version_id, version_code, {', '.join(names)})"
                f" SELECT printf('%032x', code), code, {', '.join(names)} FROM versions, codes WHERE version_code = 1"
            )
        yield store


def token_of(store: Store, scope: tokens.Scope) -> str:
    with store.db.write() as tx:
        return tokens.issue(tx, audit.OPERATOR, publishing.OWNER.developer_id, scope, 1)[1]


@pytest.mark.parametrize("path", ["/console", f"/console/apps/{APP_ID}"])
def test_lists_of_versions_hold_no_manifests(crowded: Store, path: str) -> None:
    with calling(crowded, token_of(crowded, "developer")) as owner:
        owner.get(path).raise_for_status()  # templates are compiled
        tracemalloc.start()
        try:
            page = owner.get(path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (page.status_code, peak < PEAK_MAX) == (200, True), peak


def test_the_queue_shows_the_first_and_how_many_there_are(crowded: Store) -> None:
    with crowded.db.write() as tx:
        tx.execute("UPDATE versions SET status = 'in_review'")
    with calling(crowded, token_of(crowded, "reviewer")) as reviewer:
        page = reviewer.get("/review").text
    assert page.count('<li class="card">') == SHOWN_MAX
    assert f"{NUMBER} versions wait for a decision" in page
    assert f"These are the first {SHOWN_MAX}." in page


def test_a_version_that_was_submitted_without_end_can_be_reviewed(crowded: Store) -> None:
    with crowded.db.write() as tx:
        for number in range(TRAIL_MAX + 20):
            audit.append(tx, publishing.OWNER, "version.submit", f"{APP_ID}/1", reason=f"Note {number}.")
    with calling(crowded, token_of(crowded, "reviewer")) as reviewer:
        page = reviewer.get(f"/review/{APP_ID}/1").raise_for_status().text
    assert page.count("Submit: ") == TRAIL_MAX
    assert f"Note {TRAIL_MAX + 19}." in page and "Note 19." not in page
    assert f"Only the last {TRAIL_MAX} steps are shown" in page
