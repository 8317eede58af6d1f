"""Visibility: for a stranger, the app of another developer or an unpublished version does not exist."""

import sqlite3

from portal.http.routing import REVIEWER
from portal.store import apps, audit
from portal.store.apps import App

OWNER_OR_REVIEWER = frozenset({"owner", "reviewer"})


def is_insider(actor: audit.Actor | None, developer_id: str) -> bool:
    """Whether the actor is that developer or a reviewer."""
    return actor is not None and (actor.developer_id == developer_id or actor.scope in REVIEWER.scopes)


def visible(
    db: sqlite3.Connection, actor: audit.Actor, app_id: str, by: frozenset[str] = OWNER_OR_REVIEWER
) -> App:  # fmt: skip
    """The app, if the actor is its owner or a reviewer, as `by` allows. Raises Refused (NOT_FOUND) otherwise."""
    if "reviewer" in by and actor.scope in REVIEWER.scopes:
        return apps.get(db, app_id)
    return apps.owned(db, app_id, actor.developer_id)
