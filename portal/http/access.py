"""Who may see what: another's app and what is not published are, for a stranger, not there."""

import sqlite3

from portal.http.routing import REVIEWER
from portal.store import apps, audit
from portal.store.apps import App

OWNER_OR_REVIEWER = frozenset({"owner", "reviewer"})


def is_insider(actor: audit.Actor | None, developer_id: str) -> bool:
    """Whether the actor is that developer or reviews."""
    return actor is not None and (actor.developer_id == developer_id or actor.scope in REVIEWER.scopes)


def visible(
    db: sqlite3.Connection, actor: audit.Actor, app_id: str, by: frozenset[str] = OWNER_OR_REVIEWER
) -> App:  # fmt: skip
    """The app, for its owner or a reviewer, whichever of them `by` names. Raises Refused (NOT_FOUND) for others."""
    if "reviewer" in by and actor.scope in REVIEWER.scopes:
        return apps.get(db, app_id)
    return apps.owned(db, app_id, actor.developer_id)
